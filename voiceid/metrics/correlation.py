"""How two systems order the same comparisons."""

from __future__ import annotations

import numpy as np

from voiceid.metrics.scores import Scores


def rank_correlation(a: Scores, b: Scores) -> float:
    """Return Spearman's rank correlation of (n,) scores by two systems, -1 to 1."""
    from scipy.stats import spearmanr  # noqa: PLC0415 - a second that only comparisons wait for

    if len(a) != len(b) or len(a) < 2:  # noqa: PLR2004 - one score has no order
        raise ValueError(f"{len(a)} and {len(b)} scores cannot be correlated")
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        raise ValueError("scores that are all tied have no order")
    return float(spearmanr(a, b).statistic)
