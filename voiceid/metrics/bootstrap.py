"""Bounds by a bootstrap over speakers: the trials of a speaker depend on each other.

A trial of two speakers counts as often as both were drawn, multiplied (the vertex bootstrap of
Snijders and Borgatti, Connections 22, 1999).  With n trials, p pairs, t thresholds and r draws that
is O(n log t + r p t) time and O(n + r t) memory.  A speaker is never an impostor of themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.metrics.costs import bayes_threshold, losses, normalized_cost
from voiceid.metrics.detection import crossing
from voiceid.metrics.scores import Floats, Scores, Trials, finite, in_order

Interval: TypeAlias = tuple[float, float]
"""A 95 % percentile confidence interval: low, high."""

_Ids: TypeAlias = npt.NDArray[np.integer]

MAX_UNITS = 512
"""Speakers drawn one by one; more speakers are drawn in this many random groups, so that pairs
stay few.  The variance of an estimate over random groups is that over their members (Wolter,
Introduction to Variance Estimation, 2007, chapter 2)."""

_PAIRS_AT_A_TIME = 2048

_LEVELS = np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in np.linspace(-4.5, 4.5, 256)])
"""Quantiles of each side's scores that are thresholds: evenly spaced on the axes of a DET plot, out
to 3 in a million."""


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """The error rates of the trials of resampled speakers.

    Intervals are 95 % expanded percentile confidence intervals: see `_interval`.

    - `thresholds` (t,) float64, ascending: minus infinity, where all are accepted; those
      asked for; every score, or 256 quantiles of each side; infinity.
    - `fmr`, `fnmr` (r, t) float64: rates of each draw.
    - `cllr` (r,) float64 or None: Cllr of each draw, in bits; None unless the scores are LLRs.
    - `units`: the number of speakers, or groups of them, that were drawn.
    """

    thresholds: Floats
    fmr: Floats
    fnmr: Floats
    cllr: Floats | None
    units: int

    def fmr_at(self, threshold: float) -> Interval:
        """Return the interval of the FMR at a threshold that was asked for."""
        return expanded_interval(self.fmr[:, self._column(threshold)], self.units)

    def fnmr_at(self, threshold: float) -> Interval:
        """Return the interval of the FNMR; see `fmr_at`."""
        return expanded_interval(self.fnmr[:, self._column(threshold)], self.units)

    def equal_error_rate(self) -> Interval:
        """Return the interval of the EER."""
        return expanded_interval(crossing(self.fmr, self.fnmr), self.units)

    def min_dcf(self, *, p_target: float = 0.01) -> Interval:
        """Return the interval of the minDCF, the least over these thresholds."""
        costs = normalized_cost(self.fmr, self.fnmr, p_target=p_target)
        return expanded_interval(np.min(costs, axis=1), self.units)

    def act_dcf(self, *, p_target: float = 0.01) -> Interval:
        """Return the interval of the actDCF of LLRs."""
        column = self._column(bayes_threshold(p_target))
        costs = normalized_cost(self.fmr[:, column], self.fnmr[:, column], p_target=p_target)
        return expanded_interval(costs, self.units)

    def cllr_interval(self) -> Interval:
        """Return the interval of the Cllr."""
        if self.cllr is None:
            raise ValueError("only LLRs have a Cllr: resample with llr=True")
        return expanded_interval(self.cllr, self.units)

    def _column(self, threshold: float) -> int:
        column = int(np.searchsorted(self.thresholds, threshold))
        if column == self.thresholds.size or self.thresholds[column] != threshold:
            raise ValueError(f"no rates at {threshold}: resample with it among the thresholds")
        return column


def resample_speakers(
    genuine: Trials,
    impostor: Trials,
    *,
    thresholds: Sequence[float] = (),
    llr: bool = False,
    resamples: int = 500,
    seed: int = 0,
) -> Resampled:
    """Resample the speakers many times, and return the error rates of every draw.

    A score of minus infinity is a refusal; LLRs must be finite.  A trial of one speaker on both
    sides counts as often as the speaker was drawn.  FMR, FNMR and actDCF may be asked for
    at ``thresholds``.  The same seed gives the same draws.
    """
    sides = (genuine, impostor)
    scores = [
        finite(side.scores, name, refused=not llr)
        for side, name in zip(sides, ("genuine", "impostor"), strict=True)
    ]
    at = _grid(scores, thresholds)
    draws, tables = _drawn([side.speakers for side in sides], resamples, seed)
    lost = (
        [losses(scores[0], genuine=True), losses(scores[1], genuine=False)] if llr else [None] * 2
    )
    same, other = (
        table.weigh(np.searchsorted(at, values, side="right"), at.size + 1, draws, lost_bits)
        for table, values, lost_bits in zip(tables, scores, lost, strict=True)
    )
    bins = slice(at.size + 1)
    refused, refused_impostors = np.cumsum(same[:, bins], axis=1), np.cumsum(other[:, bins], axis=1)
    trials, impostors = refused[:, -1:], refused_impostors[:, -1:]
    cost = (same[:, -1:] / trials + other[:, -1:] / impostors)[:, 0] / 2
    return Resampled(
        thresholds=at,
        fmr=(impostors - refused_impostors[:, :-1]) / impostors,
        fnmr=refused[:, :-1] / trials,
        cllr=cost if llr else None,
        units=len(draws),
    )


def false_match_interval(
    accepted: npt.NDArray[np.bool_], speakers: _Ids, *, resamples: int = 500, seed: int = 0
) -> Interval:
    """Return a 95 % percentile interval of a false match rate of (n,) trials of (n, 2) speakers."""
    draws, (table,) = _drawn([speakers], resamples, seed)
    counts = table.weigh(accepted.astype(np.intp), 2, draws)
    return expanded_interval(counts[:, 1] / np.sum(counts, axis=1), len(draws))


@dataclass(frozen=True, slots=True, eq=False)
class _PairTable:
    """The pairs of units that have trials: (p,) one and other; (n,) the row of each trial."""

    one: _Ids
    other: _Ids
    rows: _Ids

    def weigh(self, bins: _Ids, n_bins: int, draws: Floats, values: Floats | None = None) -> Floats:
        """Return how many trials each draw (units, r) has in each bin: (r, n_bins).

        The sum of the trials' values, if given, is one more column.
        """
        keys = self.rows * n_bins + bins
        keys.sort()  # so that a slice has some pairs
        sums = np.bincount(self.rows, weights=values) if values is not None else None
        totals = np.zeros((draws.shape[1], n_bins + (values is not None)))
        for start in range(0, self.one.size, _PAIRS_AT_A_TIME):
            part = slice(start, start + _PAIRS_AT_A_TIME)
            weights = _weights(draws, self.one[part], self.other[part])
            cells = len(weights) * n_bins
            low, high = np.searchsorted(keys, [start * n_bins, start * n_bins + cells])
            counts = np.bincount(keys[low:high] - start * n_bins, minlength=cells)
            totals[:, :n_bins] += weights.T @ counts.reshape(-1, n_bins).astype(np.float64)
            if sums is not None:
                totals[:, n_bins] += weights.T @ sums[part]
        return totals


def _drawn(speakers: Sequence[_Ids], resamples: int, seed: int) -> tuple[Floats, list[_PairTable]]:
    """Return the count of each unit in each draw (units, resamples), and each side's pairs."""
    units, sides = _numbered(speakers)
    if units > MAX_UNITS:
        group = np.random.default_rng([seed, units]).permutation(units) % MAX_UNITS
        units, sides = MAX_UNITS, [(group[left], group[right]) for left, right in sides]
    tables = [_table(left, right, units) for left, right in sides]
    draws = _draws(units, [(table.one, table.other) for table in tables], resamples, seed)
    return np.stack(list(draws), axis=1).astype(np.float64), tables


def _table(left: _Ids, right: _Ids, units: int) -> _PairTable:
    codes = np.minimum(left, right) * units + np.maximum(left, right)
    occurs = np.bincount(codes, minlength=units * units) > 0
    rows = (np.cumsum(occurs) - 1)[codes]
    return _PairTable(*np.divmod(np.flatnonzero(occurs), units), rows)


def _numbered(speakers: Sequence[_Ids]) -> tuple[int, list[tuple[_Ids, _Ids]]]:
    """Return the number of speakers, and each side's two columns, numbered from 0."""
    columns = [side.T for side in speakers]
    names = np.unique(np.concatenate([np.unique(side) for side in columns]))
    if names.size < 2:  # noqa: PLR2004 - one speaker cannot be drawn differently
        raise ValueError("a bootstrap by speaker needs at least two speakers")
    return names.size, [
        (np.searchsorted(names, left), np.searchsorted(names, right)) for left, right in columns
    ]


def _draws(
    units: int, sides: Sequence[tuple[_Ids, _Ids]], resamples: int, seed: int
) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the count of each unit in a draw; draws with a side without trials are repeated."""
    rng = np.random.default_rng(seed)
    left = resamples
    while left:
        drawn = np.bincount(rng.integers(units, size=units), minlength=units)
        if all(_weights(drawn, *side).any() for side in sides):
            left -= 1
            yield drawn


def _weights(draws: npt.NDArray[Any], left: _Ids, right: _Ids) -> npt.NDArray[Any]:
    """Return the weight of each pair in draws (units, ...): (pairs, ...)."""
    weights = draws[left]
    apart = np.flatnonzero(left != right)
    weights[apart] *= draws[right[apart]]
    return weights


def _grid(sides: Sequence[Scores], asked: Sequence[float]) -> Floats:
    """Return the thresholds of `Resampled`."""
    points = [np.array([-np.inf, *asked, np.inf])]
    for scores in sides:
        values = in_order(scores[scores > -np.inf])
        if values.size > _LEVELS.size:
            places = np.round(_LEVELS * (values.size - 1)).astype(np.intp)
            values = values[np.concatenate([[0], places, [values.size - 1]])]
        points.append(values)
    at = np.unique(np.concatenate(points, dtype=np.float64))
    if np.isnan(at[-1]):
        raise ValueError("a threshold is not a number")
    return at


def expanded_interval(values: Floats, units: int) -> Interval:
    """Return the 95 % expanded percentile interval of draws (r,) of so many units, 2 or more.

    Draws of few units spread too little, and like the normal distribution where Student's t
    would be right: so more extreme quantiles are used (Hesterberg, What teachers should know about
    the bootstrap, The American Statistician 69(4), 2015).
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - decisions do not need it

    spread = math.sqrt(units / (units - 1)) * stdtrit(units - 1, 0.975)
    tail = 0.5 * math.erfc(spread / math.sqrt(2.0))
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)
