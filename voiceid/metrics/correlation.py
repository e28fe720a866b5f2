"""How two systems order the same comparisons."""

from __future__ import annotations

import math

import numpy as np

from voiceid.metrics.scores import Floats, Scores


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


def _ranks(scores: Floats) -> Floats:
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[group], dtype=np.float64)
