"""How two systems order the same comparisons, against SciPy's answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from voiceid import metrics


@given(st.lists(st.tuples(st.integers(-8, 8), st.integers(-8, 8)), min_size=3, max_size=40))
def test_rank_correlation_agrees_with_scipy(pairs):
    a, b = np.array(pairs, dtype=float).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        with pytest.raises(ValueError, match="all tied"):
            metrics.rank_correlation(a, b)
    else:
        assert metrics.rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], [])])
def test_scores_without_an_order_are_refused(a, b):
    with pytest.raises(ValueError, match="cannot be correlated"):
        metrics.rank_correlation(np.array(a), np.array(b))
