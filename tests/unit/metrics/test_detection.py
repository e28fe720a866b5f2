"""Detection errors, against scikit-learn and SciPy as independent implementations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn import metrics as oracle

from voiceid import metrics

# A coarse grid makes ties within and between the two sides common.
scores = st.lists(st.integers(-8, 8).map(lambda x: x / 8), min_size=1, max_size=40).map(np.array)
fine_scores = st.lists(
    st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=40, unique=True
).map(np.array)


def labelled(genuine, impostor):
    truth = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    return truth, np.concatenate([genuine, impostor])


@given(scores, scores)
def test_det_curve_agrees_with_scikit_learn_where_both_have_a_point(genuine, impostor):
    curve = metrics.det_curve(genuine, impostor)
    fpr, fnr, thresholds = oracle.det_curve(*labelled(genuine, impostor))
    ours = {t: (a, b) for t, a, b in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True)}
    for threshold, expected in zip(thresholds, zip(fpr, fnr, strict=True), strict=True):
        if threshold in ours:  # scikit-learn adds a point of its own above all scores
            assert ours[threshold] == pytest.approx(expected)


@given(scores, scores)
def test_det_curve_has_every_point_of_the_roc_curve(genuine, impostor):
    curve = metrics.det_curve(genuine, impostor)
    fpr, tpr, thresholds = oracle.roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    assert curve.thresholds[::-1] == pytest.approx(thresholds)
    assert curve.fmr[::-1] == pytest.approx(fpr)
    assert 1 - curve.fnmr[::-1] == pytest.approx(tpr)


@given(scores, scores)
def test_det_curve_runs_from_accepting_all_to_accepting_none(genuine, impostor):
    curve = metrics.det_curve(genuine, impostor)
    assert (curve.fmr[0], curve.fnmr[0]) == (1.0, 0.0)
    assert (curve.fmr[-1], curve.fnmr[-1]) == (0.0, 1.0)
    assert np.all(np.diff(curve.fmr) <= 0)
    assert np.all(np.diff(curve.fnmr) >= 0)


@given(scores, scores, st.integers(-9, 9).map(lambda x: x / 8))
def test_error_rates_count_an_equal_score_as_accepted(genuine, impostor, threshold):
    fmr, fnmr = metrics.error_rates(genuine, impostor, threshold)
    assert fmr == pytest.approx(sum(s >= threshold for s in impostor) / len(impostor))
    assert fnmr == pytest.approx(sum(s < threshold for s in genuine) / len(genuine))


@given(fine_scores, fine_scores)
def test_eer_is_where_the_roc_curve_of_scikit_learn_crosses_the_diagonal(genuine, impostor):
    fpr, tpr, _ = oracle.roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    # `interp` takes the last of the points with equal fpr; shear the curve so that x increases.
    along = fpr + tpr
    crossing = brentq(lambda a: np.interp(a, along, fpr) - (1 - np.interp(a, along, tpr)), 0.0, 2.0)
    expected = np.interp(crossing, along, fpr)
    assert metrics.equal_error_rate(genuine, impostor) == pytest.approx(expected, abs=1e-9)


def test_eer_of_scores_that_are_all_tied_is_one_half():
    assert metrics.equal_error_rate(np.zeros(3), np.zeros(50)) == 0.5


def test_eer_of_separated_scores_is_zero_and_of_swapped_ones_is_one():
    high, low = np.array([0.7, 0.8]), np.array([0.1, 0.6])
    assert metrics.equal_error_rate(high, low) == 0.0
    assert metrics.equal_error_rate(low, high) == 1.0


def test_eer_of_a_hand_counted_example():
    genuine = np.array([0.9, 0.8, 0.7, 0.3])  # one of four below the impostors' best
    impostor = np.array([0.1, 0.2, 0.4, 0.75])  # one of four above the genuine rest
    assert metrics.equal_error_rate(genuine, impostor) == 0.25


@given(scores, scores)
def test_eer_does_not_change_when_scores_are_stretched(genuine, impostor):
    before = metrics.equal_error_rate(genuine, impostor)
    after = metrics.equal_error_rate(np.exp(3 * genuine), np.exp(3 * impostor))
    assert after == pytest.approx(before)


@given(scores, scores)
def test_eer_is_the_same_for_the_reflected_problem(genuine, impostor):
    forward = metrics.equal_error_rate(genuine, impostor)
    assert metrics.equal_error_rate(-impostor, -genuine) == pytest.approx(forward)


@given(scores, st.floats(0, 0.99))
def test_threshold_at_fmr_keeps_the_target_and_is_the_smallest_that_does(impostor, target):
    threshold = metrics.threshold_at_fmr(impostor, target)
    assert np.mean(impostor >= threshold) <= target + 1e-9
    just_below = np.nextafter(threshold, -np.inf)
    assert np.mean(impostor >= just_below) > target


def test_threshold_at_fmr_counts_a_target_that_floats_cannot_hold():
    impostor = np.arange(30) / 30
    threshold = metrics.threshold_at_fmr(impostor, 0.1)  # 0.1 * 30 < 3 in floating point
    assert np.sum(impostor >= threshold) == 3


@given(fine_scores, fine_scores, st.floats(-1, 1))
def test_float32_scores_answer_as_their_float64_copies_do(genuine, impostor, threshold):
    narrow = genuine.astype(np.float32), impostor.astype(np.float32)
    wide = narrow[0].astype(np.float64), narrow[1].astype(np.float64)
    for at in (threshold, narrow[1][0]):
        assert metrics.error_counts(*narrow, at) == metrics.error_counts(*wide, at)
    ours, expected = metrics.det_curve(*narrow), metrics.det_curve(*wide)
    assert ours.thresholds.dtype == np.float32
    for field in ("thresholds", "fmr", "fnmr"):
        assert getattr(ours, field).tolist() == getattr(expected, field).tolist()
    for measure in (metrics.equal_error_rate, metrics.min_dcf, metrics.cllr, metrics.min_cllr):
        assert measure(*narrow) == measure(*wide)
        assert measure(narrow[0], wide[1]) == measure(*wide)


def test_a_threshold_between_two_float32_numbers_keeps_its_digits():
    score = np.array([0.7], dtype=np.float32)  # 0.699999988
    assert metrics.error_counts(score, score, 0.7) == (0, 1)


@given(scores, scores, st.randoms(use_true_random=False))
def test_the_order_of_the_scores_does_not_matter_and_they_are_left_alone(genuine, impostor, random):
    shuffled = genuine.copy()
    random.shuffle(shuffled)
    before = shuffled.copy()
    for measure in (metrics.equal_error_rate, metrics.min_dcf, metrics.min_cllr):
        assert measure(shuffled, impostor) == measure(np.sort(genuine), np.sort(impostor))
    assert np.array_equal(shuffled, before)


@given(scores, scores)
def test_the_eer_by_bisection_is_that_of_the_whole_curve(genuine, impostor):
    curve = metrics.det_curve(genuine, impostor)
    gap = curve.fnmr - curve.fmr
    after = int(np.argmax(gap >= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    expected = curve.fnmr[after - 1] * (1 - share) + curve.fnmr[after] * share
    assert metrics.equal_error_rate(genuine, impostor) == pytest.approx(expected, abs=1e-12)


@given(scores, st.floats(0, 0.99))
def test_threshold_at_fmr_of_float32_scores_is_a_float32_number(impostor, target):
    threshold = metrics.threshold_at_fmr(impostor.astype(np.float32), target)
    assert np.float32(threshold) == threshold
    assert np.mean(impostor >= threshold) <= target + 1e-9


@pytest.mark.parametrize(
    ("genuine", "impostor"), [([], [0.1]), ([0.1], []), ([math.nan], [0.1]), ([0.1], [math.inf])]
)
def test_missing_and_non_finite_scores_are_refused(genuine, impostor):
    sides = np.array(genuine), np.array(impostor)
    for measure in (metrics.det_curve, metrics.equal_error_rate, metrics.min_dcf):
        with pytest.raises(ValueError, match=r"no \w+ scores|finite|not a number"):
            measure(*sides)
    with pytest.raises(ValueError, match=r"no \w+ scores|finite|not a number"):
        metrics.error_rates(*sides, 0.5)


def test_thresholds_and_targets_that_are_none_are_refused():
    one = np.array([0.5])
    with pytest.raises(ValueError, match="not a number"):
        metrics.error_rates(one, one, math.nan)
    for target in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match="target"):
            metrics.threshold_at_fmr(one, target)
