"""Bounds by speaker: counts against trials that are literally drawn again."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repeated_scores import bootstrap_by_speaker
from scipy import stats

from voiceid import metrics
from voiceid.metrics import Trials, bootstrap

# A coarse grid makes ties within and between the two sides common.
scores = st.lists(st.integers(-8, 8).map(lambda x: x / 8), min_size=1, max_size=40).map(np.array)
PRIOR = 0.05
BAYES = metrics.bayes_threshold(PRIOR)


@st.composite
def trials_of_speakers(draw):
    """Genuine and impostor trials of a few speakers, the impostors' either way round."""
    names = draw(st.integers(2, 6))
    genuine, impostor = draw(scores) * 5, draw(scores) * 5
    own = np.array(draw(st.lists(st.integers(0, names - 1), min_size=40, max_size=40)))
    step = np.array(draw(st.lists(st.integers(1, names - 1), min_size=40, max_size=40)))
    one = own[: len(genuine)]
    other = np.stack([own, (own + step) % names], axis=1)[: len(impostor)]
    return Trials(genuine, np.stack([one, one], axis=1)), Trials(impostor, other)


def drawn_again(genuine, impostor, rng):
    """Lists of trials of speakers who are drawn with replacement, copy by copy."""
    names = np.unique(np.concatenate([genuine.speakers.ravel(), impostor.speakers.ravel()]))
    drawn = names[rng.integers(len(names), size=len(names))]
    same = [
        score
        for score, (name, _) in zip(genuine.scores, genuine.speakers, strict=True)
        for copy in drawn
        if copy == name
    ]
    other = [
        score
        for score, (one, two) in zip(impostor.scores, impostor.speakers, strict=True)
        for copy in drawn
        for second in drawn
        if (copy, second) == (one, two)
    ]
    return np.array(same), np.array(other)


@settings(deadline=None, max_examples=30)  # of ten draws each, drawn by loops
@given(trials_of_speakers(), st.integers(0, 5))
def test_counts_come_to_what_literally_drawn_trials_come_to(trials, seed):
    rng = np.random.default_rng(seed)
    values = []
    while len(values) < 10:
        same, other = drawn_again(*trials, rng)
        if same.size and other.size:
            fmr, fnmr = metrics.error_rates(same, other, 0.25)
            eer, least = metrics.equal_error_rate(same, other), metrics.min_dcf(same, other)
            actual = metrics.act_dcf(same, other, p_target=PRIOR)
            values.append((fmr, fnmr, eer, least, actual, metrics.cllr(same, other)))
    n = len(np.unique(np.concatenate([side.speakers.ravel() for side in trials])))
    tail = stats.norm.sf(math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
    expected = np.quantile(values, [tail, 1.0 - tail], axis=0).T
    found = metrics.resample_speakers(
        *trials, thresholds=[0.25, BAYES], llr=True, resamples=10, seed=seed
    )
    assert found.fmr_at(0.25) == pytest.approx(expected[0], rel=1e-3, abs=1e-3)
    assert found.fnmr_at(0.25) == pytest.approx(expected[1], rel=1e-3, abs=1e-3)
    assert found.equal_error_rate() == pytest.approx(expected[2], rel=1e-3, abs=1e-3)
    assert found.min_dcf() == pytest.approx(expected[3], rel=1e-3, abs=1e-3)
    assert found.act_dcf(p_target=PRIOR) == pytest.approx(expected[4], rel=1e-3, abs=1e-3)
    assert found.cllr_interval() == pytest.approx(expected[5], rel=1e-3, abs=1e-3)


@settings(deadline=None, max_examples=30)  # of ten draws each
@given(trials_of_speakers(), st.integers(0, 5))
def test_repeated_lists_and_counts_are_the_same_draws(trials, seed):
    found = metrics.resample_speakers(*trials, llr=True, resamples=10, seed=seed)
    for statistic, interval in (
        (metrics.equal_error_rate, found.equal_error_rate()),
        (metrics.min_dcf, found.min_dcf()),
        (metrics.cllr, found.cllr_interval()),
    ):
        again = bootstrap_by_speaker(statistic, *trials, resamples=10, seed=seed)
        assert interval == pytest.approx(again)


def many_trials(rng, names, per_pair=2, spread=1.0):
    """Trials of speakers who differ: some are hard to know, some are easily taken for others."""
    own = np.repeat(np.arange(names), 20)
    hardness = rng.normal(0, spread, names)
    genuine = rng.normal(3, 1, own.size) - hardness[own]
    pairs = np.array([(i, j) for i in range(names) for j in range(names) if i != j])
    pairs = pairs.repeat(per_pair, axis=0)
    impostor = rng.normal(-3, 1, len(pairs)) + 0.5 * hardness[pairs].sum(axis=1)
    return Trials(genuine, np.stack([own, own], axis=1)), Trials(impostor, pairs)


def test_quantiles_as_thresholds_bound_the_eer_and_min_dcf_as_every_score_does():
    trials = many_trials(np.random.default_rng(8), 40)
    found = metrics.resample_speakers(*trials, resamples=200)
    assert len(found.thresholds) < len(trials[1].scores)
    for statistic, interval in (
        (metrics.equal_error_rate, found.equal_error_rate()),
        (metrics.min_dcf, found.min_dcf()),
    ):
        low, high = bootstrap_by_speaker(statistic, *trials, resamples=200)
        assert interval == pytest.approx((low, high), abs=0.05 * (high - low))
        assert low < statistic(trials[0].scores, trials[1].scores) < high


def test_the_pairs_may_be_counted_some_at_a_time(monkeypatch):
    trials = many_trials(np.random.default_rng(9), 12)
    whole = metrics.resample_speakers(*trials, llr=True, resamples=20)
    monkeypatch.setattr(bootstrap, "_PAIRS_AT_A_TIME", 7)
    parts = metrics.resample_speakers(*trials, llr=True, resamples=20)
    assert np.array_equal(whole.fmr, parts.fmr)
    assert np.array_equal(whole.fnmr, parts.fnmr)
    assert parts.cllr == pytest.approx(whole.cllr)


def test_speakers_in_random_groups_have_intervals_as_wide_as_speakers_alone(monkeypatch):
    trials = many_trials(np.random.default_rng(10), 120, per_pair=1)
    alone = metrics.resample_speakers(*trials, thresholds=[0.0], llr=True, resamples=1000)
    monkeypatch.setattr(bootstrap, "MAX_UNITS", 60)
    grouped = metrics.resample_speakers(*trials, thresholds=[0.0], llr=True, resamples=1000)
    for ask in (
        lambda r: r.fmr_at(0.0),
        lambda r: r.fnmr_at(0.0),
        lambda r: r.equal_error_rate(),
        lambda r: r.cllr_interval(),
    ):
        (low, high), (low_too, high_too) = ask(alone), ask(grouped)
        # 60 groups know a standard error to about 1 / sqrt(2 * 59) = 9 %.
        assert high_too - low_too == pytest.approx(high - low, rel=0.3)
        assert low_too + high_too == pytest.approx(low + high, abs=0.3 * (high - low))


def test_of_speakers_beyond_counting_by_pairs_the_error_rates_have_intervals():
    rng = np.random.default_rng(11)
    names = 3 * bootstrap.MAX_UNITS
    own = np.arange(names).repeat(2)
    pairs = rng.integers(names, size=(20_000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    genuine = Trials(rng.normal(2, 1, own.size), np.stack([own, own], axis=1))
    impostor = Trials(rng.normal(-2, 1, len(pairs)), pairs)
    found = metrics.resample_speakers(genuine, impostor, thresholds=[0.0], resamples=50)
    fmr, fnmr = metrics.error_rates(genuine.scores, impostor.scores, 0.0)
    for (low, high), rate in ((found.fmr_at(0.0), fmr), (found.fnmr_at(0.0), fnmr)):
        assert low < rate < high
        assert high - low < 0.02


@settings(deadline=None)
@given(scores, scores, st.integers(0, 5))
def test_a_bootstrap_interval_holds_rates_only_and_repeats_with_its_seed(genuine, impostor, seed):
    one = Trials(genuine, np.repeat(np.arange(len(genuine)) % 4, 2).reshape(-1, 2))
    two = Trials(impostor, np.array([[i % 4, (i + 1) % 4] for i in range(len(impostor))]))
    args = (metrics.equal_error_rate, one, two)
    low, high = bootstrap_by_speaker(*args, resamples=20, seed=seed)
    assert 0.0 <= low <= high <= 1.0
    assert (low, high) == bootstrap_by_speaker(*args, resamples=20, seed=seed)


def test_a_bootstrap_by_speaker_is_wider_than_trials_that_repeat_one_speaker_deserve():
    rng = np.random.default_rng(1)
    per_speaker = rng.normal(0.6, 0.1, size=12)  # a speaker's trials all score the same
    genuine = Trials(np.repeat(per_speaker, 50), np.repeat(np.arange(12), 100).reshape(-1, 2))
    pairs = np.array([(i, j) for i in range(12) for j in range(12) if i != j])
    impostor = Trials(np.zeros(len(pairs)), pairs)
    low, high = bootstrap_by_speaker(
        lambda same, _: float(np.mean(same)), genuine, impostor, seed=3
    )
    standard_error = np.std(per_speaker, ddof=1) / math.sqrt(12)
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.25)


@settings(deadline=None)
@given(scores, st.integers(2, 6), st.integers(0, 5))
def test_the_interval_of_a_false_match_rate_is_that_of_the_general_bootstrap(impostor, names, seed):
    pairs = np.array([[i % names, (i + 1 + i // 2) % names] for i in range(len(impostor))])
    pairs[:, 1] = np.where(pairs[:, 0] == pairs[:, 1], (pairs[:, 1] + 1) % names, pairs[:, 1])
    everybody = np.repeat(np.unique(pairs), 2).reshape(-1, 2)
    expected = bootstrap_by_speaker(
        lambda _, other: float(np.mean(other >= 0.25)),
        Trials(np.zeros(len(everybody)), everybody),
        Trials(impostor, pairs),
        resamples=20,
        seed=seed,
    )
    found = metrics.false_match_interval(impostor >= 0.25, pairs, resamples=20, seed=seed)
    assert found == pytest.approx(expected)


def test_the_same_seed_draws_the_same_and_another_seed_others():
    trials = many_trials(np.random.default_rng(12), 8)
    one, again, other = (
        metrics.resample_speakers(*trials, resamples=20, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.fmr, again.fmr)
    assert not np.array_equal(one.fmr, other.fmr)


def test_a_curve_of_each_draw_runs_from_accepting_all_to_accepting_none():
    found = metrics.resample_speakers(*many_trials(np.random.default_rng(13), 8), resamples=20)
    assert (found.thresholds[0], found.thresholds[-1]) == (-np.inf, np.inf)
    assert np.all(found.fmr[:, 0] == 1)
    assert np.all(found.fmr[:, -1] == 0)
    assert np.all(np.diff(found.fmr) <= 0)
    assert np.all(np.diff(found.fnmr) >= 0)


def test_what_was_not_asked_for_is_not_made_up():
    found = metrics.resample_speakers(*many_trials(np.random.default_rng(14), 4), resamples=5)
    with pytest.raises(ValueError, match="among the thresholds"):
        found.fmr_at(0.123)
    with pytest.raises(ValueError, match="among the thresholds"):
        found.act_dcf()
    with pytest.raises(ValueError, match="llr=True"):
        found.cllr_interval()


def test_one_speaker_and_scores_that_are_none_are_refused():
    one = np.array([0.5])
    alone = Trials(one, np.zeros((1, 2), dtype=int))
    with pytest.raises(ValueError, match="two speakers"):
        bootstrap_by_speaker(metrics.equal_error_rate, alone, alone)
    with pytest.raises(ValueError, match="two speakers"):
        metrics.resample_speakers(alone, alone)
    with pytest.raises(ValueError, match="two speakers"):
        metrics.false_match_interval(np.array([True]), np.zeros((1, 2), dtype=int))
    pair = np.array([[0, 1]])
    with pytest.raises(ValueError, match="threshold is not a number"):
        metrics.resample_speakers(alone, Trials(one, pair), thresholds=[math.nan])
    with pytest.raises(ValueError, match="impostor score is not a number"):
        metrics.resample_speakers(alone, Trials(np.array([math.nan]), pair))
    with pytest.raises(ValueError, match="impostor score is not finite"):
        metrics.resample_speakers(alone, Trials(np.array([-math.inf]), pair), llr=True)
