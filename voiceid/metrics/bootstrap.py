"""Bounds by a bootstrap over speakers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from voiceid.metrics.scores import Scores, Trials


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
    speakers: npt.NDArray[np.integer],
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
