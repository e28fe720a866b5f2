"""Error rates of speaker verification.  Pure.

A comparison accepts when its score is at least the threshold, as the product decides:
an equal score is an acceptance everywhere here, so that ties are counted as they happen.

FMR, the false match rate, is the share of impostor comparisons that are accepted; FNMR, the
false non-match rate, the share of genuine comparisons that are refused (ISO/IEC 19795-1).
Rates are fractions, 0 to 1, never percents.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Scores: TypeAlias = npt.NDArray[np.floating]
"""(n,) scores, finite, any float type; larger means more alike."""

_BISECTIONS = 60
"""Halvings of [0, 1]: past the 53 bits of a double."""


@dataclass(frozen=True, slots=True, eq=False)
class DetCurve:
    """The detection error trade-off: both error rates at every threshold that matters.

    Parameters
    ----------
    thresholds : (n,) float64, ascending
        Every distinct score, then infinity (nobody is accepted).
    fmr, fnmr : (n,) float64, 0 to 1
        Rates when a score of at least the threshold is accepted; fmr falls, fnmr rises.
    """

    thresholds: npt.NDArray[np.float64]
    fmr: npt.NDArray[np.float64]
    fnmr: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Scored comparisons, and whose voices each compares.

    Parameters
    ----------
    scores : (n,) float
    speakers : (n, 2) int
        Numbers of the two speakers: the same number twice in a genuine trial.
    """

    scores: Scores
    speakers: npt.NDArray[np.intp]


def det_curve(genuine: Scores, impostor: Scores) -> DetCurve:
    """Return both error rates at every distinct score and above them all.

    Parameters
    ----------
    genuine, impostor : (n,), (m,) float
        Scores of comparisons of one voice with itself, and of two voices.

    Raises
    ------
    ValueError
        A side has no scores, or a score is not finite.
    """
    same, other = _sorted(genuine, "genuine"), _sorted(impostor, "impostor")
    thresholds = np.append(np.unique(np.concatenate([same, other])), np.inf)
    accepted_impostors = other.size - np.searchsorted(other, thresholds, side="left")
    refused_genuine = np.searchsorted(same, thresholds, side="left")
    return DetCurve(thresholds, accepted_impostors / other.size, refused_genuine / same.size)


def error_rates(genuine: Scores, impostor: Scores, threshold: float) -> tuple[float, float]:
    """Return (FMR, FNMR) when scores of at least ``threshold`` are accepted.

    Raises
    ------
    ValueError
        A side has no scores, a score is not finite, or the threshold is not a number.
    """
    if math.isnan(threshold):
        raise ValueError("the threshold is not a number")
    same, other = _sorted(genuine, "genuine"), _sorted(impostor, "impostor")
    return float(np.mean(other >= threshold)), float(np.mean(same < threshold))


def equal_error_rate(genuine: Scores, impostor: Scores) -> float:
    """Return the rate, 0 to 1, at which FMR and FNMR are equal.

    The rates are steps.  Where they do not meet, the line between the two steps around the
    crossing is followed, as between points of a ROC curve: scores that are all tied give
    one half, and separated scores give exactly zero.

    Raises
    ------
    ValueError
        See :func:`det_curve`.
    """
    curve = det_curve(genuine, impostor)
    gap = curve.fnmr - curve.fmr  # rises from -1 (all accepted) to +1 (nobody)
    after = int(np.argmax(gap >= 0))
    before = after - 1
    weight = -gap[before] / (gap[after] - gap[before])
    return float(curve.fnmr[before] + weight * (curve.fnmr[after] - curve.fnmr[before]))


def threshold_at_fmr(impostor: Scores, target: float) -> float:
    """Return the smallest threshold whose measured FMR is at most ``target`` (0 to 1).

    It lies just above an impostor's score, one step of a double away, and is infinite never.

    Raises
    ------
    ValueError
        No scores, a score is not finite, or ``target`` is not a rate below 1.
    """
    if not 0.0 <= target < 1.0:
        raise ValueError(f"a target rate of {target} is not in [0, 1)")
    other = _sorted(impostor, "impostor")
    allowed = math.floor(target * other.size * (1 + 1e-12))  # 0.1 * 30 is 3, not 2.999...
    highest_refused = other[other.size - 1 - allowed]
    return float(np.nextafter(highest_refused, np.inf))


def min_dcf(
    genuine: Scores,
    impostor: Scores,
    *,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_false_alarm: float = 1.0,
) -> float:
    """Return the least detection cost over all thresholds, normalized (NIST SRE 2016 plan).

    ``c_miss p_target FNMR + c_false_alarm (1 - p_target) FMR``, divided by the cost of the
    better of accepting everybody and refusing everybody: 1 means that the scores are of no use.

    Raises
    ------
    ValueError
        See :func:`det_curve`; or a prior that is not strictly between 0 and 1.
    """
    if not 0.0 < p_target < 1.0:
        raise ValueError(f"a prior of {p_target} is not strictly between 0 and 1")
    curve = det_curve(genuine, impostor)
    miss, false_alarm = c_miss * p_target, c_false_alarm * (1.0 - p_target)
    return float(np.min(miss * curve.fnmr + false_alarm * curve.fmr) / min(miss, false_alarm))


def rank_correlation(a: Scores, b: Scores) -> float:
    """Return Spearman's rank correlation of (n,) scores by two systems, -1 to 1.

    Tied scores share the mean of their ranks.

    Raises
    ------
    ValueError
        Not the same number of scores, fewer than two, or all of one side are tied.
    """
    if len(a) != len(b) or len(a) < 2:  # noqa: PLR2004 - one score has no order
        raise ValueError(f"{len(a)} and {len(b)} scores cannot be correlated")
    ranks = [_ranks(np.asarray(scores, dtype=np.float64)) for scores in (a, b)]
    deviations = [one - one.mean() for one in ranks]
    spread = math.sqrt(float(np.prod([np.sum(one**2) for one in deviations])))
    if spread == 0.0:
        raise ValueError("scores that are all tied have no order")
    return float(np.sum(deviations[0] * deviations[1]) / spread)


def _ranks(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[group], dtype=np.float64)


def rate_upper_bound(errors: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper confidence bound of an error rate (Clopper-Pearson).

    The largest rate under which so few errors still have a chance of ``1 - confidence``.
    With no error at all it is ``1 - (1 - confidence) ** (1 / trials)``: the rule of three.
    Trials count as independent, which comparisons that share a speaker are not.

    Parameters
    ----------
    errors, trials : int
        ``0 <= errors <= trials``, ``trials >= 1``.
    confidence : float
        Strictly between 0 and 1.

    Raises
    ------
    ValueError
        The counts or the confidence are out of range.
    """
    if trials < 1 or not 0 <= errors <= trials:
        raise ValueError(f"{errors} errors in {trials} trials cannot be")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence of {confidence} is not strictly between 0 and 1")
    if errors == trials:
        return 1.0
    low, high = errors / trials, 1.0
    log_ways = _log_binomials(errors, trials)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _at_most(errors, trials, middle, log_ways) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def bootstrap_by_speaker(
    statistic: Callable[[Scores, Scores], float],
    genuine: Trials,
    impostor: Trials,
    *,
    resamples: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a 95 % percentile confidence interval of ``statistic(genuine, impostor)``.

    Speakers are drawn again, not trials, for the trials of one speaker stand and fall
    together: one drawn twice has its genuine trials twice, and a trial of two speakers counts
    as often as both were drawn, multiplied.  A speaker is never an impostor of their own copy.

    Parameters
    ----------
    statistic : callable
        Takes (n,) genuine and (m,) impostor scores.
    genuine, impostor : Trials
    resamples : int
    seed : int
        The same seed gives the same interval.

    Raises
    ------
    ValueError
        Fewer than two speakers.
    """
    names, numbers = np.unique(
        np.concatenate([genuine.speakers.ravel(), impostor.speakers.ravel()]), return_inverse=True
    )
    if names.size < 2:  # noqa: PLR2004 - one speaker cannot be drawn differently
        raise ValueError("a bootstrap by speaker needs at least two speakers")
    own = numbers[: genuine.speakers.size].reshape(-1, 2)[:, 0]
    pairs = numbers[genuine.speakers.size :].reshape(-1, 2)
    rng = np.random.default_rng(seed)
    values: list[float] = []
    while len(values) < resamples:
        drawn = np.bincount(rng.integers(names.size, size=names.size), minlength=names.size)
        same = np.repeat(genuine.scores, drawn[own])
        other = np.repeat(impostor.scores, drawn[pairs[:, 0]] * drawn[pairs[:, 1]])
        if same.size and other.size:  # one speaker drawn every time has no impostors
            values.append(statistic(same, other))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def false_match_interval(
    accepted: npt.NDArray[np.bool_],
    speakers: npt.NDArray[np.intp],
    *,
    resamples: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a 95 % percentile confidence interval of a false match rate, 0 to 1.

    The bootstrap of :func:`bootstrap_by_speaker` for this one statistic, which only needs
    how many trials each pair of speakers has: millions of trials take no longer than pairs.

    Parameters
    ----------
    accepted : (n,) bool
        Whether each impostor trial was accepted.
    speakers : (n, 2) int
        Whose voices it compares: two different numbers.
    resamples : int
    seed : int

    Raises
    ------
    ValueError
        Fewer than two speakers.
    """
    names, numbers = np.unique(speakers.ravel(), return_inverse=True)
    if names.size < 2:  # noqa: PLR2004 - one speaker cannot be drawn differently
        raise ValueError("a bootstrap by speaker needs at least two speakers")
    pairs = numbers.reshape(-1, 2) @ np.array([names.size, 1])
    codes, where = np.unique(pairs, return_inverse=True)
    one, other = np.divmod(codes, names.size)
    trials = np.bincount(where).astype(np.float64)
    errors = np.bincount(where, weights=accepted.astype(np.float64))
    rng = np.random.default_rng(seed)
    rates: list[float] = []
    while len(rates) < resamples:
        drawn = np.bincount(rng.integers(names.size, size=names.size), minlength=names.size)
        weights = drawn[one] * drawn[other]
        if weights.any():  # one speaker drawn every time has no impostors
            rates.append(float(weights @ errors / (weights @ trials)))
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), float(high)


def _sorted(scores: Scores, side: str) -> npt.NDArray[np.float64]:
    values = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if values.size == 0:
        raise ValueError(f"there are no {side} scores")
    if not np.all(np.isfinite(values)):
        raise ValueError(f"a {side} score is not finite")
    return values


def _log_binomials(errors: int, trials: int) -> npt.NDArray[np.float64]:
    """Logarithms of ``trials choose k`` for k = 0 .. errors."""
    k = np.arange(1, errors + 1, dtype=np.float64)
    return np.concatenate([[0.0], np.cumsum(np.log((trials - k + 1) / k))])


def _at_most(errors: int, trials: int, rate: float, log_ways: npt.NDArray[np.float64]) -> float:
    """Chance of at most ``errors`` in ``trials`` at a ``rate`` above 0: binomial distribution."""
    if rate >= 1.0:
        return 0.0
    k = np.arange(errors + 1)
    logs = log_ways + k * math.log(rate) + (trials - k) * math.log1p(-rate)
    top = float(np.max(logs))
    return math.exp(top) * float(np.sum(np.exp(logs - top)))
