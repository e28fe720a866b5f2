"""Who spoke when as a page that plays the recording: one file that only needs a browser.

The page links to the recording, which stays where it is; if the link does not work, a person
chooses the file.  Names and words are text, never markup: each is escaped.  A content security
policy forbids the page to load anything but sound.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from urllib.parse import quote

from voiceid.domain import Diarization
from voiceid.domain.turn_formats import short_clock
from voiceid.transcripts.transcript import TranscriptLine

_COLOURS = 7
"""The colours of the page's style: a reader cannot distinguish more."""


def talk_page(
    talk: Diarization, lines: Iterable[TranscriptLine] = (), audio: str | None = None
) -> str:
    """Return a page that plays a recording, highlights who speaks, and jumps to a clicked place.

    Parameters
    ----------
    talk : Diarization
        Who speaks when.
    lines : iterable of TranscriptLine
        What they say; without lines the page lists the turns.
    audio : str, optional
        Path of the recording, from the folder of the page, or its address; without it the page
        asks for the file.
    """
    names = [voice.name for voice in talk.voices]
    turns = [(turn.start_s, turn.end_s, names.index(turn.voice)) for turn in talk.turns]
    said = list(lines) or [TranscriptLine(t.start_s, t.end_s, t.voice, "") for t in talk.turns]
    times = [(_time(line.start_s), _time(line.end_s)) for line in said]
    facts = {
        "duration_s": round(talk.duration_s, 3),
        "turns": [(_time(start_s), _time(end_s), voice) for start_s, end_s, voice in turns],
        "lines": times,
    }
    page = Path(__file__).with_suffix(".html").read_text("utf-8")
    return Template(page).substitute(
        title=_text(talk.clip),
        summary=_text(_summary(talk)),
        source="" if audio is None else f' src="{_text(_link(audio))}"',
        hidden="" if audio is None else " hidden",
        colours="\n".join(f".v{i} {{ --own: var(--v{i}); }}" for i in range(_COLOURS)),
        voices="\n".join(
            f'<li class="{_class(i)}"><button type="button"><bdi>{_text(name)}</bdi></button></li>'
            for i, name in enumerate(names)
        ),
        names="\n".join(
            f'<li class="{_class(i)}"><bdi>{_text(name)}</bdi></li>' for i, name in enumerate(names)
        ),
        lanes="\n".join(_lane(i, turns, talk.duration_s) for i in range(len(names))),
        lines="\n".join(_line(line, names) for line in said),
        data=json.dumps(facts).replace("<", "\\u003c"),
    )


def _text(text: str) -> str:
    """Return text that is safe between tags and in attributes, and that UTF-8 can hold."""
    return html.escape(text.encode("utf-8", "backslashreplace").decode())


def _link(path: str) -> str:
    """Return a path as the address of what is there; a colon in its name is not a scheme."""
    if path.startswith("file:"):
        return path
    return quote(path if path.startswith((".", "/")) else f"./{path}", errors="surrogateescape")


def _class(voice: int) -> str:
    return f"v{voice % _COLOURS}"


def _time(at_s: float) -> float | None:
    return round(at_s, 3) if math.isfinite(at_s) else None


def _summary(talk: Diarization) -> str:
    times = (talk.duration_s, talk.speech_s, talk.overlap_s)
    length, speech, overlap = map(short_clock, times)
    n = len(talk.voices)
    voices = f"{n} voice{'s' * (n != 1)}"
    return f"{length}, {voices}; {speech} of speech, {overlap} of it several at once."


def _lane(voice: int, turns: Sequence[tuple[float, float, int]], duration_s: float) -> str:
    share = 100 / max(duration_s, 1e-3)
    marks = "".join(
        f'<i style="left:{start_s * share:.4f}%;width:{(end_s - start_s) * share:.4f}%"></i>'
        for start_s, end_s, who in turns
        if who == voice
    )
    return f'<div class="lane {_class(voice)}">{marks}</div>'


def _line(line: TranscriptLine, names: Sequence[str]) -> str:
    voice = "" if line.voice is None else f"<b><bdi>{_text(line.voice)}</bdi></b>"
    kind = f' class="{_class(names.index(line.voice))}"' if line.voice in names else ""
    when = short_clock(line.start_s) if math.isfinite(line.start_s) else "?"
    return (
        f'<li{kind}><button type="button">{when}</button>'
        f'<p dir="auto">{voice}{_text(line.text)}</p></li>'
    )
