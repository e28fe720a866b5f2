"""Pictures of scores: histograms of comparisons, and the matrix of all pairs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from voiceid.metrics import Scores
from voiceid.pictures.canvas import COLOURS, blank, drawn, legend_below
from voiceid.pictures.marks import mark_thresholds

_BINS = 50


@drawn
def score_histograms(
    genuine: Scores,
    impostor: Scores,
    thresholds: Mapping[str, float] | None = None,
    *,
    score_name: str = "cosine",
) -> Figure:
    """Draw how the scores of genuine and of impostor comparisons are distributed.

    Each histogram is in percent of its own comparisons, for there are far more impostors.

    - `genuine`, `impostor` (n,), (m,) float: either may be empty, not both.
    - `thresholds`: thresholds to draw, by what they are called.
    - `score_name`: what the scores are: the axis says it.
    """
    figure, axes = blank()
    marked = list((thresholds or {}).values())
    low, high = _span(np.concatenate([genuine, impostor, marked]))
    edges = np.linspace(low, high, _BINS + 1)
    for scores, name, colour, hatch in (
        (impostor, "impostor", COLOURS[1], "////"),
        (genuine, "genuine", COLOURS[0], ""),
    ):
        if len(scores):
            shares = 100 * np.histogram(scores, edges)[0] / len(scores)
            noun = "comparison" if len(scores) == 1 else "comparisons"
            axes.stairs(
                shares,
                edges,
                fill=True,
                facecolor=colour,
                edgecolor="black",
                alpha=0.6,
                hatch=hatch,
                label=f"{name} ({len(scores):,} {noun})",
            )
    axes.set(xlim=(low, high), ylim=(0, None))
    axes.set(xlabel=f"score ({score_name})", ylabel="share of the comparisons (%)")
    axes.set_title("Scores of genuine and impostor comparisons")
    mark_thresholds(axes, thresholds or {})
    legend_below(figure, axes, columns=2)
    return figure


def _span(scores: Scores) -> tuple[float, float]:
    """Return the ends of the axis, which are not one even where all scores are."""
    low, high = float(np.min(scores)), float(np.max(scores))
    margin = max(0.02 * (high - low), 0.005 * max(abs(low), abs(high), 1.0))
    return low - margin, high + margin
