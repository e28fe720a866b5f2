"""Error rates, against scikit-learn and SciPy as independent implementations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import beta, spearmanr
from sklearn import metrics as oracle

from voiceid import metrics
from voiceid.metrics import Trials

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
def test_det_curve_runs_from_accepting_everybody_to_accepting_nobody(genuine, impostor):
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


@given(scores, scores, st.sampled_from([0.001, 0.01, 0.5]))
def test_min_dcf_is_the_least_normalized_cost_over_all_thresholds(genuine, impostor, prior):
    fpr, tpr, _ = oracle.roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    costs = (prior * (1 - tpr) + (1 - prior) * fpr) / min(prior, 1 - prior)
    found = metrics.min_dcf(genuine, impostor, p_target=prior)
    assert found == pytest.approx(np.min(costs))
    assert 0.0 <= found <= 1.0


@given(st.integers(1, 5000), st.data())
def test_the_upper_bound_of_a_rate_is_the_quantile_of_a_beta_distribution(trials, data):
    errors = data.draw(st.integers(0, trials))
    confidence = data.draw(st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    bound = metrics.rate_upper_bound(errors, trials, confidence)
    expected = 1.0 if errors == trials else beta.ppf(confidence, errors + 1, trials - errors)
    assert bound == pytest.approx(expected, rel=1e-7)


def test_no_error_at_all_gives_the_rule_of_three():
    assert metrics.rate_upper_bound(0, 3000) == pytest.approx(3 / 3000, rel=0.01)


@given(scores, scores, st.integers(0, 5))
def test_a_bootstrap_interval_holds_rates_only_and_repeats_with_its_seed(genuine, impostor, seed):
    one = Trials(genuine, np.repeat(np.arange(len(genuine)) % 4, 2).reshape(-1, 2))
    two = Trials(impostor, np.array([[i % 4, (i + 1) % 4] for i in range(len(impostor))]))
    args = (metrics.equal_error_rate, one, two)
    low, high = metrics.bootstrap_by_speaker(*args, resamples=20, seed=seed)
    assert 0.0 <= low <= high <= 1.0
    assert (low, high) == metrics.bootstrap_by_speaker(*args, resamples=20, seed=seed)


def test_a_bootstrap_by_speaker_is_wider_than_trials_that_repeat_one_speaker_deserve():
    rng = np.random.default_rng(1)
    per_speaker = rng.normal(0.6, 0.1, size=12)  # a speaker's trials all score the same
    genuine = Trials(np.repeat(per_speaker, 50), np.repeat(np.arange(12), 100).reshape(-1, 2))
    pairs = np.array([(i, j) for i in range(12) for j in range(12) if i != j])
    impostor = Trials(np.zeros(len(pairs)), pairs)
    low, high = metrics.bootstrap_by_speaker(
        lambda same, _: float(np.mean(same)), genuine, impostor, seed=3
    )
    standard_error = np.std(per_speaker, ddof=1) / math.sqrt(12)
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.25)


@given(scores, st.integers(2, 6), st.integers(0, 5))
def test_the_interval_of_a_false_match_rate_is_that_of_the_general_bootstrap(impostor, names, seed):
    pairs = np.array([[i % names, (i + 1 + i // 2) % names] for i in range(len(impostor))])
    pairs[:, 1] = np.where(pairs[:, 0] == pairs[:, 1], (pairs[:, 1] + 1) % names, pairs[:, 1])
    everybody = np.repeat(np.unique(pairs), 2).reshape(-1, 2)
    expected = metrics.bootstrap_by_speaker(
        lambda _, other: float(np.mean(other >= 0.25)),
        Trials(np.zeros(len(everybody)), everybody),
        Trials(impostor, pairs),
        resamples=20,
        seed=seed,
    )
    found = metrics.false_match_interval(impostor >= 0.25, pairs, resamples=20, seed=seed)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("genuine", "impostor"),
    [([], [0.1]), ([0.1], []), ([math.nan], [0.1]), ([0.1], [math.inf])],
)
def test_missing_and_non_finite_scores_are_refused(genuine, impostor):
    sides = np.array(genuine), np.array(impostor)
    for measure in (metrics.det_curve, metrics.equal_error_rate, metrics.min_dcf):
        with pytest.raises(ValueError, match=r"no \w+ scores|finite|not a number"):
            measure(*sides)
    with pytest.raises(ValueError, match=r"no \w+ scores|finite|not a number"):
        metrics.error_rates(*sides, 0.5)


def test_arguments_that_are_no_rates_counts_or_thresholds_are_refused():
    one = np.array([0.5])
    with pytest.raises(ValueError, match="not a number"):
        metrics.error_rates(one, one, math.nan)
    for target in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match="target"):
            metrics.threshold_at_fmr(one, target)
    for prior in (0.0, 1.0):
        with pytest.raises(ValueError, match="prior"):
            metrics.min_dcf(one, one, p_target=prior)
    for errors, trials in ((0, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="cannot be"):
            metrics.rate_upper_bound(errors, trials)
    with pytest.raises(ValueError, match="confidence"):
        metrics.rate_upper_bound(0, 5, 1.0)
    alone = Trials(one, np.zeros((1, 2), dtype=int))
    with pytest.raises(ValueError, match="two speakers"):
        metrics.bootstrap_by_speaker(metrics.equal_error_rate, alone, alone)
    with pytest.raises(ValueError, match="two speakers"):
        metrics.false_match_interval(np.array([True]), np.zeros((1, 2), dtype=int))


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
