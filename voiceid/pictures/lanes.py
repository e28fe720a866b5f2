"""The picture of who spoke when: a lane for each voice, in rows of a readable scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voiceid.domain import Diarization, VoiceTurn
from voiceid.domain.turn_formats import short_clock
from voiceid.pictures.canvas import COLOURS, FAINT, drawable, drawn, sheet

_ROWS: Final = 6
_LONG_S: Final = 60.0
"""A recording up to this long has one row; a longer one has at most `_ROWS`."""
_KINDS: Final = (
    *((10, 1), (30, 5), (60, 10), (120, 20), (300, 60), (600, 60), (1200, 120), (1800, 300)),
    *((3600, 600), (7200, 900), (14_400, 1800), (43_200, 7200), (86_400, 14_400)),
)
"""Lengths of a row in seconds, and the distance of the times at its axis."""
_WIDTH_IN, _LANE_IN, _AXIS_IN = 10.0, 0.24, 0.5
_TITLE_CHARS = 60


@drawn
def lanes(talk: Diarization) -> Figure:
    """Draw who spoke when: a lane for each voice, in the order in which they first speak.

    A recording of more than a minute has several rows, six at most up to six hours, each with the
    voices that speak in it.
    """
    row_s, step_s = next(
        kind
        for kind in _KINDS
        if talk.duration_s <= kind[0] * (_ROWS if kind[0] >= _LONG_S else 1) or kind == _KINDS[-1]
    )
    n_rows = max(1, -int(-talk.duration_s // row_s))
    names = [voice.name for voice in talk.voices]
    rows: list[list[VoiceTurn]] = [[] for _ in range(n_rows)]
    for turn in talk.turns:
        end = min(n_rows, -int(-turn.end_s // row_s))
        for number in range(int(turn.start_s // row_s), end):
            rows[number].append(turn)
    heights = [_AXIS_IN + _LANE_IN * max(1, len({t.voice for t in row})) for row in rows]
    figure = sheet(_WIDTH_IN, 0.5 + sum(heights))
    grid = figure.add_gridspec(n_rows, 1, height_ratios=heights)
    for number, row in enumerate(rows):
        axes = figure.add_subplot(grid[number])
        _draw(axes, row, names, [v.name for v in talk.voices if v.speaker is not None])
        start_s, end_s = number * row_s, (number + 1) * row_s
        ticks = range(start_s, end_s + 1, step_s)
        axes.set_xticks(ticks, [short_clock(at_s) for at_s in ticks])
        axes.set_xlim(start_s, max(1.0, talk.duration_s) if n_rows == 1 else end_s)
    voices = f"{len(names)} voice{'s' * (len(names) != 1)}"
    title = f"{drawable(talk.clip, _TITLE_CHARS)}: {voices}, {short_clock(round(talk.duration_s))}"
    figure.suptitle(title, x=0.015, ha="left", fontsize=12)
    return figure


def _draw(
    axes: Axes, turns: Sequence[VoiceTurn], names: Sequence[str], known: Sequence[str]
) -> None:
    """Draw the turns of a row; those of unknown voices are grey."""
    here = [name for name in names if any(turn.voice == name for turn in turns)]
    for lane, name in enumerate(here):
        spans = [(t.start_s, t.end_s - t.start_s) for t in turns if t.voice == name]
        colour = COLOURS[names.index(name) % len(COLOURS)]
        # The line around a turn keeps one of a tenth of a second visible in half an hour.
        axes.broken_barh(spans, (lane - 0.36, 0.72), facecolor=colour, edgecolor=colour, lw=0.6)
    axes.set_ylim(max(1, len(here)) - 0.5, -0.5)
    axes.set_yticks(range(len(here)), [drawable(name) for name in here])
    for label, name in zip(axes.get_yticklabels(), here, strict=True):
        label.set_color("black" if name in known else FAINT)
    axes.tick_params(length=0)
