"""Costs of decisions and of LLRs, against scikit-learn, closed forms and the definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.isotonic import IsotonicRegression

from voiceid import metrics

# A coarse grid makes ties within and between the two sides common.
scores = st.lists(st.integers(-8, 8).map(lambda x: x / 8), min_size=1, max_size=40).map(np.array)
llrs = st.lists(st.integers(-20, 20).map(lambda x: x / 2), min_size=1, max_size=40).map(np.array)
priors = st.sampled_from([0.01, 0.05, 0.5, 0.9])


def labelled(genuine, impostor):
    truth = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    return truth, np.concatenate([genuine, impostor])


@given(scores, scores, st.sampled_from([0.001, 0.01, 0.5]))
def test_min_dcf_is_the_least_normalized_cost_over_all_thresholds(genuine, impostor, prior):
    fpr, tpr, _ = oracle.roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    costs = (prior * (1 - tpr) + (1 - prior) * fpr) / min(prior, 1 - prior)
    found = metrics.min_dcf(genuine, impostor, p_target=prior)
    assert found == pytest.approx(np.min(costs))
    assert 0.0 <= found <= 1.0


@given(scores, scores, priors)
def test_min_dcf_min_cllr_and_eer_do_not_change_when_scores_are_stretched(genuine, impostor, prior):
    stretched = np.exp(3 * genuine), np.exp(3 * impostor)
    assert metrics.min_cllr(*stretched) == metrics.min_cllr(genuine, impostor)
    assert metrics.equal_error_rate(*stretched) == metrics.equal_error_rate(genuine, impostor)
    ours = metrics.min_dcf(genuine, impostor, p_target=prior)
    assert metrics.min_dcf(*stretched, p_target=prior) == ours


@given(scores, scores, priors)
def test_costs_of_the_reflected_problem_are_those_of_the_complementary_prior(
    genuine, impostor, prior
):
    ours = metrics.min_dcf(genuine, impostor, p_target=prior)
    assert metrics.min_dcf(-impostor, -genuine, p_target=1 - prior) == pytest.approx(ours)
    for measure in (metrics.cllr, metrics.min_cllr):
        assert measure(-impostor, -genuine) == pytest.approx(measure(genuine, impostor))


@given(llrs, llrs, priors)
def test_act_dcf_is_the_cost_at_the_bayes_threshold_and_at_least_the_least(
    genuine, impostor, prior
):
    threshold = -math.log(prior / (1 - prior))
    misses = sum(x < threshold for x in genuine) / len(genuine)
    alarms = sum(x >= threshold for x in impostor) / len(impostor)
    expected = (prior * misses + (1 - prior) * alarms) / min(prior, 1 - prior)
    found = metrics.act_dcf(genuine, impostor, p_target=prior)
    assert found == pytest.approx(expected, abs=1e-9)
    assert found >= metrics.min_dcf(genuine, impostor, p_target=prior)


def test_the_bayes_threshold_is_minus_the_log_odds_of_the_prior():
    assert metrics.bayes_threshold(0.01) == pytest.approx(math.log(99))


def test_an_llr_just_at_the_bayes_threshold_is_accepted():
    at = np.array([metrics.bayes_threshold(0.05)])
    assert metrics.act_dcf(at, at, p_target=0.05) == pytest.approx(19)
    assert metrics.act_dcf(at, np.nextafter(at, -1), p_target=0.05) == 0.0


@given(llrs, llrs)
def test_cllr_is_the_mean_log_loss_of_either_side_in_bits(genuine, impostor):
    truth, values = labelled(genuine, impostor)
    weights = np.where(truth == 1, 1 / len(genuine), 1 / len(impostor))
    loss = oracle.log_loss(truth, 1 / (1 + np.exp(-values)), sample_weight=weights, labels=[0, 1])
    assert metrics.cllr(genuine, impostor) == pytest.approx(loss / math.log(2), abs=1e-9)


def test_cllr_in_closed_form():
    zero, one = np.zeros(3), np.full(2, math.log(3))  # odds of 3 to 1
    assert metrics.cllr(zero, zero) == 1.0
    right, wrong = math.log2(4 / 3), math.log2(4)
    assert metrics.cllr(one, one) == pytest.approx((right + wrong) / 2)
    assert metrics.cllr(one, -one) == pytest.approx(right)


def test_certain_llrs_cost_nothing_where_they_are_right_and_everything_where_they_are_wrong():
    certain, some = np.array([math.inf]), np.array([1.0])
    assert metrics.cllr(certain, -certain) == 0.0
    assert metrics.cllr(some, certain) == math.inf
    assert metrics.cllr(np.array([1.0, -math.inf]), -some) == math.inf
    assert metrics.act_dcf(certain, -certain) == 0.0
    assert metrics.act_dcf(-certain, certain) == 100.0  # every error there is, at odds of 1 to 99


@given(llrs, llrs)
def test_min_cllr_is_the_cllr_of_scores_calibrated_by_isotonic_regression(genuine, impostor):
    truth, values = labelled(genuine, impostor)
    share = IsotonicRegression().fit(values, truth).predict(values)
    with np.errstate(divide="ignore"):
        best = np.log(share / (1 - share)) - math.log(len(genuine) / len(impostor))
    expected = metrics.cllr(best[: len(genuine)], best[len(genuine) :])
    assert metrics.min_cllr(genuine, impostor) == pytest.approx(expected, abs=1e-9)


def test_min_cllr_of_many_scores_is_that_of_isotonic_regression_too():
    rng = np.random.default_rng(5)
    genuine, impostor = rng.normal(1, 1, 3000), rng.normal(-1, 1, 30_000)
    truth, values = labelled(genuine, impostor)
    share = IsotonicRegression().fit(values, truth).predict(values)
    with np.errstate(divide="ignore"):
        best = np.log(share / (1 - share)) - math.log(len(genuine) / len(impostor))
    expected = metrics.cllr(best[: len(genuine)], best[len(genuine) :])
    assert metrics.min_cllr(genuine, impostor) == pytest.approx(expected, abs=1e-9)


@given(llrs, llrs)
def test_min_cllr_is_at_most_the_cllr_and_at_most_one_bit(genuine, impostor):
    found = metrics.min_cllr(genuine, impostor)
    assert 0.0 <= found <= 1.0 + 1e-12
    assert found <= metrics.cllr(genuine, impostor) + 1e-12


def test_min_cllr_of_separated_scores_is_zero_and_of_constant_ones_one_bit():
    assert metrics.min_cllr(np.array([2.0]), np.array([1.0, 1.5])) == 0.0
    assert metrics.min_cllr(np.zeros(3), np.zeros(7)) == 1.0
    assert metrics.min_cllr(np.array([1.0]), np.array([2.0])) == 1.0  # the wrong way round


def test_min_cllr_pools_a_falling_run_to_its_end():
    # Shares 1/2, 2/3, 3/4, then 0: every pooled block must still swallow the one before it.
    genuine = np.repeat([1.0, 2.0, 3.0], [1, 2, 3])
    impostor = np.repeat([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 9])
    assert metrics.min_cllr(genuine, impostor) == 1.0


def test_a_prior_that_is_none_and_scores_that_are_none_are_refused():
    one = np.array([0.5])
    for prior in (0.0, 1.0, math.nan):
        for measure in (metrics.min_dcf, metrics.act_dcf):
            with pytest.raises(ValueError, match="prior"):
                measure(one, one, p_target=prior)
    for measure in (metrics.act_dcf, metrics.cllr, metrics.min_cllr, metrics.reliability):
        with pytest.raises(ValueError, match="no genuine scores"):
            measure(np.array([]), one)
        with pytest.raises(ValueError, match="impostor score is not a number"):
            measure(one, np.array([0.1, math.nan]))
