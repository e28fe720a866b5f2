"""Who spoke when, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from voiceid.cli.console import Console
from voiceid.cli.text import counted, seconds, table

if TYPE_CHECKING:  # numpy need not be loaded to parse a command line
    from voiceid.domain import Decision, Diarization, DiarizedVoice


_COLUMNS, _TICK_COLUMNS = 60, 9
"""Columns of the lanes, and the least number from one time label to the next."""
_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200)


def diarization_text(result: Diarization) -> str:
    """Return the voices and the turns of a recording, as tables and lanes."""
    facts = [
        seconds(result.duration_s),
        counted(len(result.voices), "voice"),
        f"{seconds(result.speech_s)} of speech, {seconds(result.overlap_s)} of it several at once",
    ]
    lines = [f"{result.clip}  {', '.join(facts)}"]
    if result.voices:
        lines += ["", _voices(result), "", _lanes(result), ""]
        rows = [[clock(t.start_s), clock(t.end_s), t.voice] for t in result.turns]
        lines.append(table(["start", "end", "voice"], rows, right={"start", "end"}))
    return "\n".join(lines)


def warn_of_unheard(unheard: Iterable[str], console: Console) -> None:
    """Warn about parts of a recording that were not heard."""
    if texts := "; ".join(unheard):
        console.warn(f"not heard: {texts}")


def clock(at_s: float) -> str:
    """Return a time in a recording: ``1:02:03.4`` or ``2:03.4``."""
    tenths = round(at_s * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds_text = f"{tenths // 10:02}.{tenths % 10}"
    return f"{hours}:{minutes:02}:{seconds_text}" if hours else f"{minutes}:{seconds_text}"


def _voices(result: Diarization) -> str:
    turns = Counter(turn.voice for turn in result.turns)
    rows = [
        [v.name, seconds(v.speech_s), seconds(v.alone_s), turns[v.name], *_answer(v.decision)]
        for v in result.voices
    ]
    header = ["voice", "speech", "alone", "turns", "score", "needed", "LLR", ""]
    numbers = set(header[1:7])
    if any(voice.own_name for voice in result.voices):
        header.insert(1, "here")
        for row, voice in zip(rows, result.voices, strict=True):
            row.insert(1, voice.own_name or "")
            row += [_link(voice)]
        header += [" "]
    return table(header, rows, right=numbers)


def _link(voice: DiarizedVoice) -> str:
    link = voice.link
    if link is None:
        return ""
    return f"as in {link.clip}: {link.score:.3f}, needed {link.threshold:.3f}"


def _answer(decision: Decision | None) -> Sequence[str | None]:
    if decision is None:
        return [None, None, None, ""]
    score, threshold, llr = decision.score, decision.threshold, decision.llr
    return [
        None if score is None else f"{score:.3f}",
        None if threshold is None else f"{threshold.value:.3f}",
        None if llr is None else f"{llr:.1f}",
        "" if decision.accepted else decision.reason.value.replace("_", " "),
    ]


def _lanes(result: Diarization) -> str:
    """Return a lane for each voice: ``-`` where it speaks, ``=`` a third of the time, ``#`` two."""
    from voiceid.domain.turn_formats import short_clock  # noqa: PLC0415 - with numpy

    column_s = result.duration_s / _COLUMNS
    step_s = next((s for s in _STEPS_S if s / column_s >= _TICK_COLUMNS), 14_400)
    axis = ""
    for at_s in range(0, int(result.duration_s) + 1, step_s):
        at = int(at_s / column_s)
        if at + len(label := short_clock(at_s)) <= _COLUMNS:
            axis = axis.ljust(at) + label
    rows = [[voice.name, _lane(result, voice.name, column_s)] for voice in result.voices]
    return table(["", axis], rows)


def _lane(result: Diarization, voice: str, column_s: float) -> str:
    spoken_s = [0.0] * _COLUMNS
    for turn in result.turns:
        if turn.voice == voice:
            first = int(turn.start_s / column_s)
            for at in range(first, min(_COLUMNS, int(turn.end_s / column_s) + 1)):
                start_s, end_s = at * column_s, (at + 1) * column_s
                spoken_s[at] += max(0.0, min(end_s, turn.end_s) - max(start_s, turn.start_s))
    shares = [min(s / column_s, 0.99) for s in spoken_s]
    return "".join("-=#"[int(3 * share)] if share > 0 else " " for share in shares)
