"""A rate with its bounds, against SciPy."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from voiceid import metrics
from voiceid.metrics import Rate


@given(st.integers(1, 5000), st.data())
def test_the_upper_bound_of_a_rate_is_the_quantile_of_a_beta_distribution(trials, data):
    errors = data.draw(st.integers(0, trials))
    confidence = data.draw(st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    bound = metrics.rate_upper_bound(errors, trials, confidence)
    expected = 1.0 if errors == trials else beta.ppf(confidence, errors + 1, trials - errors)
    assert bound == pytest.approx(expected, rel=1e-7)


def test_no_error_at_all_gives_the_rule_of_three():
    assert metrics.rate_upper_bound(0, 3000) == pytest.approx(3 / 3000, rel=0.01)


@given(st.integers(2, 5000), st.data())
def test_bounds_without_a_bootstrap_are_those_of_clopper_and_pearson(trials, data):
    errors = data.draw(st.integers(1, trials - 1))
    rate = Rate.of(errors, trials)
    low = beta.ppf(0.025, errors, trials - errors + 1)
    high = beta.ppf(0.975, errors + 1, trials - errors)
    assert (rate.low, rate.high) == pytest.approx((low, high), rel=1e-7)
    assert (rate.rate, rate.bounds) == (errors / trials, "Clopper-Pearson")


def test_a_bootstrap_bounds_what_was_seen_and_the_rule_of_three_what_was_not():
    seen = Rate.of(2, 100, (0.01, 0.05))
    assert (seen.low, seen.high, seen.bounds) == (0.01, 0.05, "bootstrap by speaker")
    none = Rate.of(0, 300, (0.0, 0.0))
    assert (none.rate, none.low, none.bounds) == (0.0, 0.0, "rule of three")
    assert none.high == pytest.approx(3 / 300, rel=0.01)
    every = Rate.of(300, 300, (1.0, 1.0))
    assert (every.low, every.high) == (1 - none.high, 1.0)


def test_of_no_trials_nothing_is_known():
    assert Rate.of(0, 0).to_dict() == {
        "rate": None,
        "errors": 0,
        "trials": 0,
        "low": 0.0,
        "high": 1.0,
        "bounds": "none",
    }


def test_a_rate_is_ready_for_json():
    facts = Rate.of(1, 4).to_dict()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["rate"] == 0.25


def test_failures_are_counted_by_reason_the_most_frequent_first():
    rate, reasons = metrics.failures([None, "noisy", "too little speech", None, "noisy"])
    assert (rate.errors, rate.trials) == (3, 5)
    assert list(reasons.items()) == [("noisy", 2), ("too little speech", 1)]
    rate, reasons = metrics.failures([None] * 300)
    assert (rate.bounds, reasons) == ("rule of three", {})


def test_counts_and_confidences_that_cannot_be_are_refused():
    for errors, trials in ((-1, 5), (6, 5), (0, -1), (1, 0)):
        with pytest.raises(ValueError, match="cannot be"):
            Rate.of(errors, trials)
        with pytest.raises(ValueError, match="cannot be"):
            metrics.rate_upper_bound(errors, trials)
    with pytest.raises(ValueError, match="cannot be"):
        metrics.rate_upper_bound(0, 0)
    with pytest.raises(ValueError, match="confidence"):
        metrics.rate_upper_bound(0, 5, 1.0)
