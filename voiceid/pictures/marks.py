"""Labels that do not overlap: thresholds on an axis, names among points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from voiceid.pictures.canvas import FAINT, LINES, drawable

_ROW = 0.055
"""Height of a label's row, as a share of the axes."""
_LABEL_CHARS = 44
_GAP_PX = 2.0
_DOT_PX = 6.0
_LEADER_PX = 14.0
_RADII_PX = (5.0, 12.0, 22.0, 34.0, 50.0, 80.0)
_ANGLES = np.arange(12) * np.pi / 6
_RING = np.clip(1.2 * np.stack([np.sin(_ANGLES), np.cos(_ANGLES)], axis=1), -1, 1)
"""Directions in which a name is tried, above first, stretched to the shape of a box."""


def mark_thresholds(axes: Axes, thresholds: Mapping[str, float]) -> None:
    """Draw thresholds as lines across the axes, each with its label in a row of its own.

    The limits of the axes must have been set by the data; they are widened to hold the
    thresholds, and room for the labels is made at the top.  Labels stand on the side that has
    more room, and a line ends at its label, so that no line runs through another's label.

    - `thresholds`: on the x axis, by their labels.
    """
    if not thresholds:
        return
    ordered = sorted(thresholds.items(), key=lambda item: item[1])
    left, right = axes.get_xlim()
    margin = 0.02 * (right - left)
    left, right = min(left, ordered[0][1] - margin), max(right, ordered[-1][1] + margin)
    low, high = axes.get_ylim()
    room = _ROW * (len(ordered) + 0.5)
    axes.set(xlim=(left, right), ylim=(low, low + (high - low) / (1 - room)))
    on_the_left = ordered[0][1] - left > right - ordered[-1][1]
    rows = reversed(ordered) if on_the_left else ordered
    for row, (label, value) in enumerate(rows):
        top = 1 - _ROW * (row + 0.6)
        axes.axvline(value, ymax=top, color="black", lw=1.2, ls=LINES[row % len(LINES)])
        axes.annotate(
            f"{drawable(label, _LABEL_CHARS)}: {value:.3g}",
            (value, top),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-4 if on_the_left else 4, 0),
            textcoords="offset points",
            ha="right" if on_the_left else "left",
            va="center",
            fontsize=9,
            color=FAINT,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )


def place_names(
    axes: Axes,
    names: Sequence[tuple[str, npt.NDArray[np.float64]]],
    points: npt.NDArray[np.float64],
    *,
    font_size: float,
    reach_px: float,
) -> int:
    """Write names near their places without overlap; return how many names had no place.

    Greedy, in the given order: each name takes the free spot that covers the fewest points, the
    nearest of these.  A thin line leads to a name that is farther away.

    - `axes`: with a fixed layout: names are placed by pixels.
    - `names`, sequence of (str, (2,) float64): each with its place in the coordinates of the data.
    - `points` (n, 2) float64: points that should not be covered.
    - `font_size`: in points.
    - `reach_px`: the largest distance of a name, in pixels.
    """
    transform = axes.transData
    dots = transform.transform(points)
    taken = np.empty((0, 4))
    hidden = 0
    for name, place in names:
        anchor = transform.transform(place)
        text = axes.annotate(
            name,
            (float(place[0]), float(place[1])),
            xytext=(0, 0),
            textcoords="offset pixels",
            ha="center",
            va="center",
            fontsize=font_size,
            zorder=6,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
        extent = text.get_window_extent()
        size = np.array([extent.width, extent.height]) + 2 * _GAP_PX
        frame = np.array(axes.bbox.extents)
        rings = [_RING * (size / 2 + radius) for radius in _RADII_PX if radius <= reach_px]
        spot = _best_spot(anchor + np.concatenate(rings), size, frame, taken, dots)
        if spot is None:
            text.remove()
            hidden += 1
            continue
        text.set_position((float(spot[0] - anchor[0]), float(spot[1] - anchor[1])))
        taken = np.vstack([taken, [*(spot - size / 2), *(spot + size / 2)]])
        if np.any(np.abs(spot - anchor) > size / 2 + _LEADER_PX):
            ends = transform.inverted().transform([anchor, spot])
            axes.plot(ends[:, 0], ends[:, 1], color=FAINT, lw=0.5, zorder=2)
    return hidden


def _best_spot(
    spots: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    frame: npt.NDArray[np.float64],
    taken: npt.NDArray[np.float64],
    dots: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64] | None:
    """Return the free spot that covers the fewest dots, the nearest of these, or None."""
    low, high = spots - size / 2, spots + size / 2
    free = np.all((low >= frame[:2]) & (high <= frame[2:]), axis=1)
    for box in taken:
        free &= ~np.all((low < box[2:]) & (high > box[:2]), axis=1)
    if not free.any():
        return None
    over = (dots > low[:, None] - _DOT_PX) & (dots < high[:, None] + _DOT_PX)
    covered = np.all(over, axis=2).sum(axis=1)
    best: npt.NDArray[np.float64] = spots[np.lexsort((covered, ~free))[0]]
    return best
