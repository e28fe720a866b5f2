"""Labels that do not overlap: thresholds on an axis, names among points."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes

from voiceid.pictures.canvas import FAINT, LINES, drawable

_ROW = 0.055
"""Height of a label's row, as a share of the axes."""
_LABEL_CHARS = 44


def mark_thresholds(axes: Axes, thresholds: Mapping[str, float]) -> None:
    """Draw thresholds as lines across the axes, each with its label in a row of its own.

    The limits of the axes must have been set by the data; they are widened to hold the
    thresholds, and room for the labels is made at the top.  Labels stand on the side that has
    more room, and a line ends at its label, so that no line runs through another's label.

    Parameters
    ----------
    axes : Axes
    thresholds : mapping of str to float
        On the x axis, by what they are called.
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
