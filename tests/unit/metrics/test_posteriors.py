"""The bins of a reliability diagram, against scikit-learn and the definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from voiceid import metrics

llrs = st.lists(st.floats(-6, 6), min_size=1, max_size=40).map(np.array)


@given(llrs, st.data())
def test_equal_numbers_at_even_odds_give_the_calibration_curve_of_scikit_learn(genuine, data):
    size = len(genuine)
    impostor = data.draw(st.lists(st.floats(-6, 6), min_size=size, max_size=size).map(np.array))
    found = metrics.reliability(genuine, impostor, bins=5)
    posterior = 1 / (1 + np.exp(-np.concatenate([genuine, impostor])))
    observed, predicted = calibration_curve(np.repeat([1, 0], size), posterior, n_bins=5)
    assert found.observed == pytest.approx(observed)
    assert found.predicted == pytest.approx(predicted)


@given(llrs, llrs, st.sampled_from([0.01, 0.3, 0.5]), st.integers(1, 12))
def test_every_trial_is_in_the_bin_of_its_posterior(genuine, impostor, prior, bins):
    found = metrics.reliability(genuine, impostor, p_target=prior, bins=bins)
    odds = math.log(prior / (1 - prior))
    for counts, side in ((found.genuine, genuine), (found.impostor, impostor)):
        assert np.sum(counts) == len(side)
        posterior = 1 / (1 + np.exp(-(side + odds)))
        for low, high, count in zip(found.low, found.high, counts, strict=True):
            tolerance = 1e-9
            at_most = np.sum((posterior >= low - tolerance) & (posterior < high + tolerance))
            at_least = np.sum((posterior >= low + tolerance) & (posterior < high - tolerance))
            assert at_least <= count <= at_most
    assert np.all(found.genuine + found.impostor > 0)
    assert np.all((found.predicted >= found.low - 1e-9) & (found.predicted <= found.high + 1e-9))


@given(llrs, llrs)
def test_float32_llrs_are_in_the_bins_of_their_float64_copies(genuine, impostor):
    narrow = genuine.astype(np.float32), impostor.astype(np.float32)
    found = metrics.reliability(*narrow, p_target=0.01)
    wide = (side.astype(np.float64) for side in narrow)
    expected = metrics.reliability(*wide, p_target=0.01)
    for field in ("low", "high", "predicted", "observed", "genuine", "impostor"):
        assert getattr(found, field).tolist() == getattr(expected, field).tolist()


def test_calibrated_llrs_are_observed_as_often_as_predicted_whatever_the_numbers():
    rng = np.random.default_rng(2)
    # Normal LLRs with the variance twice the mean are calibrated (their ratio is themselves).
    genuine, impostor = rng.normal(1, math.sqrt(2), 20_000), rng.normal(-1, math.sqrt(2), 200_000)
    found = metrics.reliability(genuine, impostor, p_target=0.3)
    assert len(found.predicted) == 10
    assert found.observed == pytest.approx(found.predicted, abs=0.02)
    wrong = metrics.reliability(genuine + 2, impostor + 2, p_target=0.3)
    assert np.max(np.abs(wrong.observed - wrong.predicted)) > 0.2


def test_certain_llrs_are_in_the_outer_bins():
    certain = np.array([math.inf])
    found = metrics.reliability(certain, -certain)
    assert (found.low.tolist(), found.high.tolist()) == ([0.0, 0.9], [0.1, 1.0])
    assert found.predicted.tolist() == found.observed.tolist() == [0.0, 1.0]
    assert (found.genuine.tolist(), found.impostor.tolist()) == ([0, 1], [1, 0])


def test_no_bins_at_all_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        metrics.reliability(np.array([1.0]), np.array([0.0]), bins=0)
