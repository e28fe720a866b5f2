"""Pictures of pairs of clips: how their scores are distributed, and the matrix of all cosines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array
from voiceid.metrics import Scores
from voiceid.pictures.canvas import COLOURS, FAINT, blank, drawable, drawn, legend_below
from voiceid.pictures.marks import mark_thresholds

_BINS = 50
_NAMED_CLIPS = 24
"""Up to this many clips have their names at the axes; with more, the speakers have."""
_NUMBERED_CLIPS = 12
"""With at most this many clips each cell shows its number."""
_LABEL_PX = 15.0
_DARK = 0.55
"""A cosine under which a cell is too dark for black digits."""


def cosines(vectors: Float32Array) -> npt.NDArray[np.float64]:
    """Return the (n, n) cosines, -1 to 1, of all pairs of (n, dim) vectors."""
    exact = unit(vectors).astype(np.float64)
    return np.asarray(np.clip(exact @ exact.T, -1.0, 1.0))


def pairs(matrix: npt.NDArray[np.float64], speakers: Sequence[str]) -> tuple[Scores, Scores]:
    """Return the cosines of genuine and of impostor pairs, each pair once.

    - `matrix` (n, n) float64: of :func:`cosines`.
    - `speakers`: the speaker of each row.
    """
    left, right = np.triu_indices(len(speakers), k=1)
    names = np.array(speakers)
    same = names[left] == names[right]
    scores = matrix[left, right]
    return scores[same], scores[~same]


@drawn
def similarity(
    matrix: npt.NDArray[np.float64], speakers: Sequence[str], clips: Sequence[str]
) -> Figure:
    """Draw the cosines of all pairs of clips.

    - `matrix` (n, n) float64.
    - `speakers`: the speaker of each row; the clips of one speaker are adjacent.
    - `clips`: the name of each clip.
    """
    figure, axes = blank(8.6, 7.4)
    image = axes.imshow(matrix, cmap="cividis", vmin=0.0, vmax=1.0, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, extend="min", shrink=0.9, pad=0.02)
    bar.set_label("cosine (0 and less: darkest)")
    bar.ax.grid(visible=False)
    axes.grid(visible=False)
    groups = [(name, len(list(rows))) for name, rows in groupby(speakers)]
    ends = np.cumsum([0] + [size for _, size in groups]) - 0.5
    for end in ends[1:-1]:
        axes.axhline(end, color="white", lw=min(1.2, 24 / len(groups)))
        axes.axvline(end, color="white", lw=min(1.2, 24 / len(groups)))
    if len(clips) <= _NAMED_CLIPS:
        names = [drawable(f"{who}: {clip}") for who, clip in zip(speakers, clips, strict=True)]
        places = np.arange(len(clips), dtype=float)
    else:
        names = [drawable(name) for name, _ in groups]
        places = (ends[:-1] + ends[1:]) / 2
    hidden = _label(axes, names, places)
    if len(clips) <= _NUMBERED_CLIPS:
        _write_numbers(axes, matrix)
    title = f"Similarity of {len(clips)} clips of {len(groups)} speakers"
    figure.suptitle(title, x=0.015, ha="left", fontsize=12)
    if hidden:
        axes.set_title(f"no space for {hidden} of {len(names)} names", fontsize=9, color=FAINT)
    return figure


def _label(axes: Axes, names: Sequence[str], places: npt.NDArray[np.float64]) -> int:
    """Write the names at both axes, as many as fit; return how many are missing."""
    rows = axes.get_xlim()[1] - axes.get_xlim()[0]
    least = _LABEL_PX / (0.6 * axes.figure.bbox.height) * rows
    kept: list[int] = []
    for i, place in enumerate(places):
        if not kept or place - places[kept[-1]] >= least:
            kept.append(i)
    shown = [names[i] for i in kept]
    axes.set_xticks(places[kept], shown, rotation=90, fontsize=8)
    axes.set_yticks(places[kept], shown, fontsize=8)
    axes.tick_params(length=0)
    return len(names) - len(kept)


def _write_numbers(axes: Axes, matrix: npt.NDArray[np.float64]) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        colour = "white" if value < _DARK else "black"
        number = f"{round(value, 2) + 0.0:.2f}"  # never -0.00
        axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=8)


@drawn
def score_histograms(
    genuine: Scores,
    impostor: Scores,
    thresholds: Mapping[str, float] | None = None,
    *,
    score_name: str = "cosine",
) -> Figure:
    """Draw how the scores of genuine and of impostor comparisons are distributed.

    Each histogram is in percent of its own comparisons, because there are far more impostors.

    - `genuine`, `impostor` (n,), (m,) float: either may be empty, not both.
    - `thresholds`: thresholds to draw, by their labels.
    - `score_name`: the kind of score, for the axis.
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
    """Return the ends of the axis; they differ even if all scores are equal."""
    low, high = float(np.min(scores)), float(np.max(scores))
    margin = max(0.02 * (high - low), 0.005 * max(abs(low), abs(high), 1.0))
    return low - margin, high + margin
