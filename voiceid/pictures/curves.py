"""Pictures of error rates: DET, FPIR and FNIR by threshold, CMC, calibration.

Rates come as fractions, 0 to 1, as in `voiceid.metrics`, and are drawn in percent.  Small rates
matter most and large ones still do, so their axes are spaced by the normal deviate, the inverse
of the normal distribution's cumulative function (A. Martin et al., "The DET curve in assessment
of detection task performance", Eurospeech 1997).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voiceid.metrics import DetCurve, Reliability, Scores, det_curve, equal_error_rate, error_rates
from voiceid.pictures.canvas import (
    COLOURS,
    FAINT,
    LINES,
    MARKERS,
    blank,
    drawable,
    drawn,
    legend_below,
    legend_beside,
    sheet,
)
from voiceid.pictures.marks import mark_thresholds

Rates = npt.NDArray[np.floating]
"""Rates, 0 to 1."""

# fmt: off
_TICKS = (1e-5, 1e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4,
          0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
# fmt: on
_MOST = _TICKS[-1]
_LEAST_GAP, _END_GAP = 0.05, 0.09
"""Least distance between two labels of an axis, and to those at its ends, which are wider: shares
of its length."""
_WHOLE = 0.6
"""A DET curve is shown up to here, unless a mark lies beyond: no product works at such rates."""
_LABEL_CHARS = 60
_LEGEND_CHARS = 40
_SIZE_16_9 = (9.6, 5.4)
_DEVIATE_95 = 1.959964
"""Two-sided 95 % of the normal distribution."""


@drawn
def det(
    scores: Mapping[str, tuple[Scores, Scores]],
    thresholds: Mapping[str, float] | None = None,
    points: Mapping[str, tuple[float, float]] | None = None,
    *,
    title: str = "",
) -> Figure:
    """Draw detection error trade-off curves, marked at the equal error rate and at thresholds.

    - `scores`, mapping of str to ((n,) float, (m,) float): by the name of each curve, its genuine
      and its impostor scores; at least one curve.
    - `thresholds`: thresholds to mark on every curve, by their labels.
    - `points`, mapping of str to (FMR, FNMR): rates to mark that do not belong to one
      threshold, by their labels.
    - `title`: e.g. the name of the data set.

    Raises `ValueError`: a side has no scores, or a score is not finite.
    """
    figure, axes = blank(*_SIZE_16_9)
    least = (
        _floor(1 / max(len(impostor) for _, impostor in scores.values())),
        _floor(1 / max(len(genuine) for genuine, _ in scores.values())),
    )
    top = _WHOLE
    for number, (name, (genuine, impostor)) in enumerate(scores.items()):
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)]}
        line = LINES[number % len(LINES)]
        curve = _thinned(det_curve(genuine, impostor), least)
        label = f"{drawable(name, _LABEL_CHARS)} ({len(genuine):,} genuine,"
        label += f" {len(impostor):,} impostor comparisons)"
        axes.plot(*curve, linestyle=line, label=label, **look)
        for mark, words, rates in _det_marks(genuine, impostor, thresholds or {}):
            style = {"markerfacecolor": "none", "markersize": 14} if mark == MARKERS[0] else {}
            _mark(axes, rates, least, f"    {words}", marker=mark, **look, **style)
            top = _MOST if max(rates) > _WHOLE else top
    for which, (name, rates) in enumerate((points or {}).items()):
        mark = MARKERS[len(MARKERS) - 1 - which % len(MARKERS)]
        _mark(axes, rates, least, _rates_text(name, rates), marker=mark, color="black")
        top = _MOST if max(rates) > _WHOLE else top
    _probit_axis(axes, "x", least[0], top)
    _probit_axis(axes, "y", least[1], top)
    ends = [_deviate(max(least)), _deviate(top)]
    axes.plot(ends, ends, color=FAINT, linewidth=0.8, linestyle=":")
    axes.set(
        xlabel="FMR (%): strangers who are accepted",
        ylabel="FNMR (%): right speakers who are refused",
        title=f"Detection error trade-off{title and ': '}{drawable(title, _LABEL_CHARS)}",
    )
    legend_beside(figure, axes, _LEGEND_CHARS)
    return figure


@drawn
def open_set(
    thresholds: npt.NDArray[np.floating],
    fpir: Rates,
    fnir: Rates,
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """Draw both error rates of open-set identification against the threshold.

    - `thresholds` (n,) float, ascending: finite, or ending with infinity, which is not drawn.
    - `fpir`, `fnir` (n,) float, 0 to 1: False positive and false negative identification rate at
      each.
    - `marks`: thresholds to draw, by their labels.
    """
    figure, axes = blank()
    finite = np.isfinite(thresholds)
    at = np.asarray(thresholds, dtype=np.float64)[finite]
    both = np.concatenate([np.asarray(fpir)[finite], np.asarray(fnir)[finite]])
    floor = _floor(float(np.min(both[both > 0], initial=1.0)))
    for rates, name, look in ((fpir, "FPIR", 0), (fnir, "FNIR", 3)):
        shown = _deviates(np.asarray(rates)[finite], floor)
        line = "--" if look else "-"
        axes.plot(at, shown, line, color=COLOURS[look], drawstyle="steps-pre", label=name)
    _probit_axis(axes, "y", floor, _MOST)
    title = "Open-set identification errors by threshold"
    axes.set(xlabel="threshold (cosine)", ylabel="error rate (%)", title=title)
    mark_thresholds(axes, marks or {})
    legend_below(figure, axes, columns=2)
    return figure


@drawn
def cmc(rates: Mapping[str, Rates]) -> Figure:
    """Draw cumulative match characteristics: how often the right speaker is among the first k.

    - `rates`, mapping of str to (k,) float, 0 to 1: by the name of each curve, the identification
      rate at rank 1, 2, ... k.
    """
    figure, axes = blank(6.5, 4.5)
    longest = max(len(curve) for curve in rates.values())
    for number, (name, curve) in enumerate(rates.items()):
        axes.plot(
            np.arange(1, len(curve) + 1),
            100 * np.asarray(curve),
            color=COLOURS[number % len(COLOURS)],
            linestyle=LINES[number % len(LINES)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=6,
            clip_on=False,
            zorder=3,
            label=f"{drawable(name, _LABEL_CHARS)}: {_percent(float(curve[0]))} at rank 1",
        )
    lowest = 100 * min(float(np.min(curve)) for curve in rates.values())
    axes.set_xticks(range(1, longest + 1))
    axes.set(xlim=(0.8, longest + 0.2), ylim=(max(0.0, 10 * np.floor((lowest - 1) / 10)), 100))
    axes.set(xlabel="rank", ylabel="identification rate (%)")
    axes.set_title("Cumulative match characteristic")
    legend_below(figure, axes)
    return figure


@drawn
def reliability(shares: Reliability, *, p_target: float = 0.5) -> Figure:
    """Draw the share of comparisons that were of one voice, against the predicted probability.

    The number of comparisons in each bin is below.  The bars are 95 % intervals (E. B.
    Wilson 1927), which count comparisons as independent.

    - `p_target`: the prior of a genuine comparison.
    """
    figure = sheet(6.2, 6.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    low, high = _observed_bounds(shares, p_target)
    upper.plot([0, 1], [0, 1], ":", color=FAINT, label="calibrated: as often as said")
    upper.errorbar(
        shares.predicted,
        shares.observed,
        (np.maximum(shares.observed - low, 0.0), np.maximum(high - shares.observed, 0.0)),
        fmt="o",
        color=COLOURS[0],
        capsize=3,
        label="measured, with 95 % interval",
    )
    upper.set(ylabel="measured share of one voice", ylim=(-0.03, 1.03), xlim=(-0.03, 1.03))
    upper.set_title("Calibration")
    width = (shares.high - shares.low) * 0.45
    middle = (shares.low + shares.high) / 2
    for counts, name, side, colour, hatch in (
        (shares.impostor, "impostor", -0.5, COLOURS[1], "////"),
        (shares.genuine, "genuine", 0.5, COLOURS[0], ""),
    ):
        look: dict[str, Any] = {"facecolor": colour, "edgecolor": "black", "hatch": hatch}
        lower.bar(middle + side * width, counts, width, lw=0.6, alpha=0.6, label=name, **look)
    lower.set_yscale("symlog", linthresh=1)
    lower.set_ylim(0, None)
    lower.yaxis.set_major_formatter("{x:,.0f}")
    said = f"predicted probability of one voice, of which {_percent(p_target)} are"
    lower.set(xlabel=said, ylabel="comparisons")
    figure.align_ylabels()
    legend_below(figure, upper, lower, columns=2)
    return figure


def _observed_bounds(
    shares: Reliability, p_target: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return Wilson's interval of each observed share.

    It is computed of the counts; then genuine comparisons are weighted so that their total
    weight is ``p_target``.
    """
    n = shares.genuine + shares.impostor
    low, high = _wilson(shares.genuine / n, n)
    per_genuine = p_target / max(int(shares.genuine.sum()), 1)
    per_impostor = (1.0 - p_target) / max(int(shares.impostor.sum()), 1)

    def weighed(part: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return per_genuine * part / (per_genuine * part + per_impostor * (1.0 - part))

    return weighed(low), weighed(high)


def _rates_text(label: str, rates: tuple[float, float]) -> str:
    fmr, fnmr = map(_percent, rates)
    return f"{drawable(label, _LABEL_CHARS)}: FMR {fmr}, FNMR {fnmr}"


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _floor(resolution: float) -> float:
    """Return the tick at or below the smallest rate above zero."""
    return max((tick for tick in _TICKS if tick <= resolution and tick <= 0.01), default=_TICKS[0])  # noqa: PLR2004 - the axis begins at 1 % at the latest


def _deviate(rate: float) -> float:
    return NormalDist().inv_cdf(rate)


def _deviates(rates: Rates, floor: float) -> npt.NDArray[np.float64]:
    """Return normal deviates; values below ``floor`` or above the last tick go on the edge."""
    values, where = np.unique(np.clip(rates, floor, _MOST), return_inverse=True)
    return np.array([_deviate(float(value)) for value in values])[where]


def _thinned(
    curve: DetCurve, least: tuple[float, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the deviates of a curve without points too close to be seen apart."""
    rates = [np.clip(r, low, _MOST) for r, low in zip((curve.fmr, curve.fnmr), least, strict=True)]
    cells = np.stack([np.round(np.log(r / (1 - r)) * 100) for r in rates])
    new = np.append(True, np.any(np.diff(cells, axis=1) != 0, axis=0))
    return _deviates(rates[0][new], least[0]), _deviates(rates[1][new], least[1])


def _det_marks(
    genuine: Scores, impostor: Scores, thresholds: Mapping[str, float]
) -> Iterator[tuple[str, str, tuple[float, float]]]:
    """Yield the mark, the label and the rates (FMR, FNMR) of each point to mark on a curve."""
    for which, (label, threshold) in enumerate(thresholds.items()):
        fmr, fnmr = error_rates(genuine, impostor, threshold)
        mark = MARKERS[1 + which % (len(MARKERS) - 1)]
        yield mark, _rates_text(label, (fmr, fnmr)), (fmr, fnmr)
    rate = equal_error_rate(genuine, impostor)
    yield MARKERS[0], f"EER {_percent(rate)}", (rate, rate)


def _mark(
    axes: Axes, rates: tuple[float, float], least: tuple[float, float], label: str, **look: Any
) -> None:
    [x], [y] = (_deviates(np.array([rate]), low) for rate, low in zip(rates, least, strict=True))
    how = {"markersize": 8, "zorder": 3, "clip_on": False, **look}
    axes.plot(x, y, linestyle="", label=label, **how)


def _probit_axis(axes: Axes, which: Literal["x", "y"], floor: float, top: float) -> None:
    """Label an axis of normal deviates in percent; its ends stand for all values beyond."""
    span = _deviate(top) - _deviate(floor)
    ticks = [floor]
    for tick in (t for t in _TICKS if floor < t < top):
        gaps = (_deviate(tick) - _deviate(ticks[-1]), _deviate(top) - _deviate(tick))
        least = _END_GAP if ticks[-1] == floor else _LEAST_GAP
        if gaps[0] > least * span and gaps[1] > _END_GAP * span:
            ticks.append(tick)
    ticks.append(top)
    labels = [f"{100 * tick:g}" for tick in ticks]
    labels[0] = f"≤ {labels[0]}"
    if ticks[-1] == _MOST:
        labels[-1] = f"≥ {labels[-1]}"
    axis = axes.xaxis if which == "x" else axes.yaxis
    first = axis.set_ticks([_deviate(tick) for tick in ticks], labels)[0]
    if which == "y":
        first.label1.set_verticalalignment("bottom")  # clear of the other axis's first label
    axes.set(**{f"{which}lim": (_deviate(floor), _deviate(top))})


def _wilson(
    share: npt.NDArray[np.float64], n: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    z = _DEVIATE_95
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return np.minimum(middle - half, share), np.maximum(middle + half, share)
