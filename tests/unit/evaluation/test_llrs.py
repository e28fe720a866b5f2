"""When a calibration should not be believed."""

from __future__ import annotations

import numpy as np
import pytest

from voiceid import metrics
from voiceid.evaluation.llrs import worth

RNG = np.random.default_rng(5)
N = 4_000
TARGET = np.arange(N) % 4 == 0
ONE = RNG.integers(0, 40, N)
SPEAKERS = np.stack([ONE, np.where(TARGET, ONE, (ONE + RNG.integers(1, 40, N)) % 40)], axis=1)
# Normal scores of one width, 4 widths apart, whose middle is 0: the LLR is 4 times the score.
LLRS = 4.0 * RNG.normal(np.where(TARGET, 2.0, -2.0))


def test_true_llrs_are_believed() -> None:
    found = worth(LLRS, TARGET, SPEAKERS)
    assert found.misfit is None
    assert found.scale == pytest.approx(1.0, abs=0.15)
    assert found.cllr.value == metrics.cllr(np.sort(LLRS[TARGET]), np.sort(LLRS[~TARGET]))


def test_llrs_that_claim_too_much_are_overconfident() -> None:
    found = worth(4.0 * LLRS, TARGET, SPEAKERS)
    assert found.cllr.value < 1.0
    assert "overconfident here" in found.misfit
    assert found.scale == pytest.approx(0.25, abs=0.04)
    assert found.to_dict()["misfit"] == found.misfit


def test_llrs_that_claim_too_little_are_not_called_overconfident() -> None:
    found = worth(LLRS / 8.0, TARGET, SPEAKERS)
    assert "not made for recordings like these" in found.misfit
    assert found.scale > 4.0


def test_llrs_that_cost_more_than_none_are_called_worse_than_none() -> None:
    assert "worse than none" in worth(LLRS - 20.0, TARGET, SPEAKERS).misfit
    assert "worse than none" in worth(-LLRS, TARGET, SPEAKERS).misfit


def test_a_few_trials_without_an_error_prove_no_misfit() -> None:
    """The least Cllr of separated trials is 0, whatever the calibration."""
    few = np.r_[np.flatnonzero(TARGET)[:6], np.flatnonzero(~TARGET)[:20]]
    llrs = np.where(TARGET, 2.5, -2.5)[few] + RNG.normal(0, 0.2, len(few))
    found = worth(llrs, TARGET[few], SPEAKERS[few])
    assert found.min_cllr == 0.0
    assert found.cllr.bounds[0] > 0.0
    assert found.misfit is None


def test_trials_that_are_not_covered_count_for_nothing() -> None:
    missing = np.where(np.arange(N) % 3 == 0, np.nan, LLRS)
    some, kept = worth(missing, TARGET, SPEAKERS), ~np.isnan(missing)
    assert some.not_covered == (~kept).sum()
    assert some.cllr == worth(LLRS[kept], TARGET[kept], SPEAKERS[kept]).cllr
    nothing = worth(np.full(N, np.nan), TARGET, SPEAKERS)
    assert (nothing.genuine, nothing.impostor, nothing.not_covered, nothing.cllr) == (0, 0, N, None)


def test_one_speaker_alone_gives_no_bounds() -> None:
    found = worth(LLRS, TARGET, np.zeros((N, 2), dtype=np.int64))
    assert found.cllr.bounds is None
    assert found.act_dcf[0.01].bounds is None
