"""The picture of the enrolled voices: a dot for a sample, a colour and a mark for a speaker."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from voiceid.pictures.canvas import (
    COLOURS,
    FAINT,
    MARKERS,
    blank,
    drawable,
    drawn,
    legend_below,
    settle,
)
from voiceid.pictures.marks import place_names
from voiceid.pictures.plane import VoiceMap

ADDED = "*"
"""The mark of audio that was added."""
SAMPLE = "sample (line: to the mean of its speaker's)"
_MANY = 30
"""From this many speakers on, dots and names are smaller."""
_NAME_CHARS = 24


def look(number: int) -> tuple[str, str]:
    """Return the colour and the mark of the ``number``-th speaker."""
    return COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]


@drawn
def voice_map(voices: VoiceMap) -> Figure:
    """Draw the clips of speakers in the plane, and audio that was added among them.

    Thin lines lead from each sample to the mean of its speaker's samples, where the name is.  Names
    never overlap: names without space are left out, and the picture says how many.
    """
    figure, axes = blank(9.0, 6.8)
    many = len(voices.names) > _MANY
    area = 22 if many else 46
    names, spokes = [], []
    for number, name in enumerate(voices.names):
        colour, marker = look(number)
        points = voices.points[voices.of(name)]
        mean = points.mean(axis=0)
        spokes += [(np.stack([point, mean]), colour) for point in points]
        names.append((drawable(name, _NAME_CHARS), mean))
        _dots(axes, points, s=area, c=colour, marker=marker, label="" if number else SAMPLE)
    lines, colours = zip(*spokes, strict=True)
    axes.add_collection(LineCollection(lines, colors=colours, lw=0.7, alpha=0.6, zorder=1))
    if added := voices.of(None):
        _dots(axes, voices.points[added], s=240, c="white", marker=ADDED, label="added audio")
        names = [(drawable(voices.clips[i], _NAME_CHARS), voices.points[i]) for i in added] + names
    title = figure.suptitle(voices.title, x=0.015, ha="left", fontsize=12)
    axes.set_title("; ".join(voices.notes), fontsize=9, color=FAINT)
    axes.set(xlabel=voices.axes[0], ylabel=voices.axes[1])
    _limits(axes, voices.points)
    legend_below(figure, axes, columns=3)
    settle(figure)
    reach_px, size = (22.0, 7) if many else (80.0, 9)
    hidden = place_names(axes, names, voices.points, font_size=size, reach_px=reach_px)
    if hidden:
        title.set_text(f"{voices.title}; no space for {hidden} of {len(names)} names")
    return figure


def _dots(axes: Axes, points: npt.NDArray[np.float64], **how: Any) -> None:
    heavy = how["marker"] == ADDED
    axes.scatter(
        points[:, 0],
        points[:, 1],
        edgecolors="black",
        linewidths=1.4 if heavy else 0.5,
        zorder=5 if heavy else 3,
        **how,
    )


def _limits(axes: Axes, points: npt.NDArray[np.float64]) -> None:
    """Show both axes at one scale, with room for names around the outermost points."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * float(np.max(high - low)) or 0.1
    axes.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    axes.set_aspect("equal", adjustable="datalim")
