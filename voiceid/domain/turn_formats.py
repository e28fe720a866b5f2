"""Who spoke when as text: RTTM, SubRip, WebVTT, CSV, and Audacity's labels."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Final, Protocol


class Turn(Protocol):
    """One voice, from start to end, in seconds."""

    @property
    def start_s(self) -> float:
        """Its start."""

    @property
    def end_s(self) -> float:
        """Its end."""

    @property
    def voice(self) -> str:
        """Its name."""


def text(form: str, clip: str, turns: Sequence[Turn]) -> str:
    """Return turns in one of `FORMS`; see :meth:`voiceid.domain.Diarization.text`."""
    if form not in FORMS:
        raise ValueError(f"{form!r} is not one of {', '.join(FORMS)}")
    return FORMS[form](clip, turns)


def tokens(names: Iterable[str]) -> dict[str, str]:
    """Return each name as one word, for formats whose fields end at a blank; all are different."""
    words: dict[str, str] = {}
    for name in dict.fromkeys(names):
        word = base = "_".join(name.split()) or "_"
        number = 1
        while word in words.values():
            number += 1
            word = f"{base}_{number}"
        words[name] = word
    return words


def clock(at_s: float, point: str) -> str:
    """Return a time as hours, minutes, seconds and thousandths: ``00:01:02.345``."""
    seconds, milliseconds = divmod(round(at_s * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{milliseconds:03}"


def short_clock(at_s: float) -> str:
    """Return a time to the second, as people read it: ``1:02:03``, ``2:03``."""
    minutes, seconds = divmod(int(at_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _rttm(clip: str, turns: Sequence[Turn]) -> str:
    """NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A.

    SPEAKER file channel start duration <NA> <NA> name <NA> <NA>; a file's name ends at its dot.
    """
    [file] = tokens([PurePath(clip).stem.strip("<>")]).values()
    words = tokens(turn.voice for turn in turns)
    lines = []
    for turn in turns:
        start_ms, end_ms = round(turn.start_s * 1000), round(turn.end_s * 1000)
        when = f"{start_ms / 1000:.3f} {(end_ms - start_ms) / 1000:.3f}"
        lines.append(f"SPEAKER {file} 1 {when} <NA> <NA> {words[turn.voice]} <NA> <NA>\n")
    return "".join(lines)


def _srt(clip: str, turns: Sequence[Turn]) -> str:
    del clip
    return "\n".join(
        f"{number}\n{clock(turn.start_s, ',')} --> {clock(turn.end_s, ',')}\n"
        f"{one_line(turn.voice)}\n"
        for number, turn in enumerate(turns, start=1)
    )


def _vtt(clip: str, turns: Sequence[Turn]) -> str:
    del clip
    cues = [
        f"{clock(turn.start_s, '.')} --> {clock(turn.end_s, '.')}\n{vtt_voice(turn.voice)}"
        f"{html.escape(turn.voice, quote=False)}\n"
        for turn in turns
    ]
    return "\n".join(["WEBVTT\n", *cues])


def vtt_voice(name: str) -> str:
    """Return WebVTT's tag of who speaks, as W3C's "WebVTT" escapes it."""
    return f"<v {html.escape(name, quote=False)}>"


def _csv(clip: str, turns: Sequence[Turn]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["clip", "start_s", "end_s", "voice"])
    writer.writerows([clip, f"{t.start_s:.3f}", f"{t.end_s:.3f}", t.voice] for t in turns)
    return file.getvalue()


def _audacity(clip: str, turns: Sequence[Turn]) -> str:
    """Start, end and label, with tabs between: https://manual.audacityteam.org, "Label tracks"."""
    del clip
    return "".join(f"{t.start_s:.6f}\t{t.end_s:.6f}\t{one_line(t.voice)}\n" for t in turns)


def one_line(name: str) -> str:
    """Return a name that cannot be taken for a time: an arrow stands between two in subtitles."""
    return " ".join(name.split()).replace("-->", "->")


FORMS: Final[Mapping[str, Callable[[str, Sequence[Turn]], str]]] = {
    "rttm": _rttm,
    "srt": _srt,
    "vtt": _vtt,
    "csv": _csv,
    "audacity": _audacity,
}
"""By the name of each format, what writes the turns of a recording of that name."""
