"""A transform is adopted where it helps speakers it has not seen, and nowhere else."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from repeated_scores import bootstrap_by_speaker

from voiceid import metrics
from voiceid.decision.choice import _min_cllrs, choose
from voiceid.decision.embeddings import centroid, unit
from voiceid.decision.held_out import (
    MAX_IMPOSTORS,
    MAX_SAMPLES,
    MIN_SPEAKERS,
    MOST_FOLDS,
    deal,
    list_trials,
)
from voiceid.decision.transforms import AdaptationRefused, Candidate, fit

DIM = 16


def speech(
    seed: int = 0, speakers: int = 20, samples: int = 6, nuisance: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return voices, and a nuisance of a few directions that all of them share."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(speakers), samples)
    own = rng.standard_normal((speakers, DIM))[who]
    lines = rng.standard_normal((len(who), 2)) @ np.eye(DIM)[:2]
    vectors = own + 0.7 * rng.standard_normal((len(who), DIM)) + nuisance * lines
    return unit(vectors.astype(np.float32)), who


def test_a_nuisance_that_all_share_is_learned_and_adopted() -> None:
    choice = choose(*speech(nuisance=4.0))
    assert choice.adopted
    assert choice.after.candidate.method == "wccn"
    assert choice.after.eer < choice.before.eer
    assert 0 < choice.after.gain_lower < choice.after.gain
    assert "more than chance" in choice.reason
    assert choice.transform.n_speakers == 20


def test_five_speakers_are_enough_where_they_all_say_the_same() -> None:
    choice = choose(*speech(seed=1, speakers=MIN_SPEAKERS, samples=8, nuisance=4.0))
    assert choice.adopted
    assert choice.transform.n_speakers == MIN_SPEAKERS


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_adopted_where_there_is_nothing_to_learn(seed: int) -> None:
    choice = choose(*speech(seed))
    assert not choice.adopted
    assert "chance" in choice.reason


@pytest.mark.parametrize("seed", range(5))
def test_vectors_without_voices_teach_nothing(seed: int) -> None:
    vectors = unit(np.random.default_rng(seed).standard_normal((60, DIM)).astype(np.float32))
    assert not choose(vectors, np.repeat(np.arange(12), 5)).adopted


def test_speakers_without_an_error_need_no_transform() -> None:
    who = np.repeat(np.arange(12), 4)
    blur = 0.01 * np.random.default_rng(0).standard_normal((len(who), DIM))
    choice = choose(unit((np.eye(DIM)[who] + blur).astype(np.float32)), who)
    assert not choice.adopted
    assert choice.reason == "held-out speakers are already distinguished without an error"


def test_the_same_seed_makes_the_same_choice() -> None:
    one, other = (choose(*speech(nuisance=2.0), seed=3) for _ in range(2))
    assert one.measured == other.measured
    assert one.transform.digest == other.transform.digest
    np.testing.assert_array_equal(one.scores_after, other.scores_after)


def test_a_trial_is_scored_by_a_transform_that_knows_neither_speaker() -> None:
    vectors, who = speech(nuisance=3.0)
    choice = choose(vectors, who, candidates=[Candidate("wccn", 0.3)])
    trials = choice.trials
    fold = deal(who, trials, 0)
    for t in np.linspace(0, len(trials.probe) - 1, 25).astype(int):
        run, probe = trials.enrolments[trials.enrolment[t]], trials.probe[t]
        rest = ~np.isin(fold, [fold[run[0]], fold[probe]])
        assert not np.isin(who[rest], trials.speakers[t]).any()
        transform = fit(vectors[rest], who[rest], method="wccn", shrinkage=0.3)
        expected = centroid(transform.apply(vectors[run])) @ transform.apply(vectors[probe])
        assert choice.scores_after[t] == pytest.approx(expected, abs=1e-5)
        assert choice.scores_before[t] == pytest.approx(
            centroid(vectors[run]) @ vectors[probe], abs=1e-5
        )


def test_what_is_reported_is_what_the_held_out_scores_say() -> None:
    choice = choose(*speech(nuisance=3.0))
    for scores, told in (
        (choice.scores_before, choice.before),
        (choice.scores_after, choice.after),
    ):
        same, other = choice.trials.sides(scores)
        assert told.eer == metrics.equal_error_rate(same.scores, other.scores)
        assert told.min_cllr == metrics.min_cllr(same.scores, other.scores)
        assert told.min_dcf == metrics.min_dcf(same.scores, other.scores)


def test_the_cost_of_a_draw_is_the_minimal_cllr_of_its_trials() -> None:
    rng = np.random.default_rng(0)
    pairs = np.array(list(combinations(range(8), 2)))
    same = metrics.Trials(rng.normal(1.0, 1.0, 40), np.repeat(np.arange(8), 5)[:, None] + [0, 0])
    other = metrics.Trials(rng.normal(0.0, 1.0, len(pairs) * 2), np.concatenate([pairs, pairs]))
    drawn = _min_cllrs(metrics.resample_speakers(same, other, resamples=200))
    oracle = bootstrap_by_speaker(metrics.min_cllr, same, other, resamples=200)
    np.testing.assert_allclose(metrics.expanded_interval(drawn, 8), oracle, atol=1e-9)


def test_speakers_are_dealt_evenly_and_none_is_in_two_folds() -> None:
    who = np.repeat(np.arange(23), 3)
    sessions = np.where(who < 12, np.arange(len(who)), 0)  # the others have one session each
    fold = deal(who, list_trials(who, sessions, 0), 0)
    assert len({(s, f) for s, f in zip(who, fold, strict=True)}) == 23
    counts = np.bincount(fold[::3], minlength=MOST_FOLDS)
    assert counts.max() - counts.min() <= 1
    assert len(np.unique(fold[: 12 * 3])) == MOST_FOLDS


def test_samples_of_one_session_are_never_compared_with_each_other() -> None:
    who, sessions = np.repeat(np.arange(12), 8), np.tile(np.repeat(np.arange(4), 2), 12)
    trials = list_trials(who, sessions, 0)
    for t in np.flatnonzero(trials.genuine):
        run = trials.enrolments[trials.enrolment[t]]
        assert sessions[trials.probe[t]] not in sessions[run]


def test_every_pair_of_speakers_meets_and_enrolments_hold_one_speaker() -> None:
    who = np.repeat(np.arange(11), [2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 2])
    trials = list_trials(who, np.arange(len(who)), 0)
    sizes = {int(who[run[0]]): len(run) for run in trials.enrolments}
    assert sizes == {0: 1, 1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 3, 7: 3, 8: 1, 9: 1, 10: 1}
    assert all(len(np.unique(who[run])) == 1 for run in trials.enrolments)
    assert {tuple(pair) for pair in trials.speakers} >= {
        (a, b) for a in range(11) for b in range(11) if a != b
    }
    for run, probe in zip(trials.enrolment, trials.probe, strict=True):
        assert probe not in trials.enrolments[run]


def test_trials_of_many_samples_stay_few() -> None:
    who = np.repeat(np.arange(60), 50)
    trials = list_trials(who, np.arange(len(who)), 0)
    used = np.unique(trials.probe)
    assert np.bincount(who[used]).max() == MAX_SAMPLES
    assert 0.9 * MAX_IMPOSTORS < np.sum(~trials.genuine) <= MAX_IMPOSTORS


def test_too_few_speakers_are_refused_with_the_number_that_is_needed() -> None:
    vectors, who = speech(speakers=MIN_SPEAKERS - 1)
    with pytest.raises(AdaptationRefused, match=r"4 of 4 speakers .* and 5 are needed"):
        choose(vectors, who)


def test_speakers_of_one_session_do_not_count() -> None:
    vectors, who = speech(speakers=12)
    with pytest.raises(AdaptationRefused, match="0 of 12 speakers"):
        choose(vectors, who, sessions=who)


def test_no_speaker_at_all_is_refused() -> None:
    with pytest.raises(AdaptationRefused, match="no samples"):
        choose(np.empty((0, DIM), np.float32), [])


def test_copies_of_a_sample_are_refused() -> None:
    vectors, _ = speech(speakers=12, samples=1)
    with pytest.raises(AdaptationRefused, match="differ"):
        choose(np.repeat(vectors, 3, axis=0), np.repeat(np.arange(12), 3))
