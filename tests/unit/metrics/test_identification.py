"""Open-set identification, counted search by search."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from voiceid import metrics
from voiceid.metrics import Searches

GALLERY = 4
grid = st.integers(-8, 8).map(lambda x: x / 8)
rows = st.lists(st.lists(grid, min_size=GALLERY, max_size=GALLERY), min_size=1, max_size=20)
thresholds = st.integers(-9, 9).map(lambda x: x / 8)


@st.composite
def searched(draw):
    """Scores of mated and of non-mated searches against a gallery, and the searches of them."""
    mated, strangers = draw(rows), draw(rows)
    own = [i % GALLERY for i in range(len(mated))]
    refused = draw(st.lists(st.booleans(), min_size=len(mated), max_size=len(mated)))
    for i in range(len(mated)):
        if refused[i]:
            mated[i] = [-math.inf] * GALLERY
    return mated, own, strangers


def searches(mated, own, strangers):
    scores, columns = np.array(mated), np.array(own)
    others = scores.copy()
    others[np.arange(len(own)), columns] = -np.inf
    return Searches(
        own=scores[np.arange(len(own)), columns],
        rank=metrics.rank_of_own(scores, columns),
        best_other=np.max(others, axis=1),
        non_mated=np.max(np.array(strangers), axis=1),
        mated_speakers=columns,
        non_mated_speakers=10 + np.arange(len(strangers)),
    )


def answer(scores, threshold):
    """Who is named: the best alone, if good enough; of a tie it cannot be said whom."""
    best = max(scores)
    return [i for i, score in enumerate(scores) if score == best and score >= threshold]


@given(searched(), thresholds)
def test_errors_are_counted_search_by_search(material, threshold):
    mated, own, strangers = material
    counts = metrics.identification_counts(searches(*material), threshold)
    right = sum(answer(row, threshold) == [i] for row, i in zip(mated, own, strict=True))
    wrong = sum(bool(set(answer(row, threshold)) - {i}) for row, i in zip(mated, own, strict=True))
    assert counts.false_negatives == len(mated) - right
    assert counts.wrong_names == wrong
    assert counts.false_positives == sum(bool(answer(row, threshold)) for row in strangers)
    assert (counts.mated, counts.non_mated) == (len(mated), len(strangers))


@given(searched())
def test_the_curve_has_the_rates_at_each_of_its_thresholds(material):
    found = searches(*material)
    curve = metrics.identification_curve(found)
    assert curve.thresholds[-1] == np.inf
    assert np.all(np.isfinite(curve.thresholds[:-1]))
    for threshold, fpir, fnir in zip(curve.thresholds, curve.fpir, curve.fnir, strict=True):
        counts = metrics.identification_counts(found, threshold)
        assert fpir == counts.false_positives / counts.non_mated
        assert fnir == counts.false_negatives / counts.mated


@given(st.integers(1, 50), st.sampled_from([0.0, 1e-9, 0.001, 0.3, 1.0]))
def test_fpir_of_a_gallery_is_the_chance_of_any_false_match_in_it(size, fmr):
    fpir = float(binom.sf(0, size, fmr))
    assert metrics.fmr_for_fpir(fpir, size) == pytest.approx(fmr, rel=1e-6)


def test_fpir_of_a_gallery_holds_for_strangers_whose_comparisons_err_independently():
    strangers = np.random.default_rng(4).normal(size=(20_000, 25))
    fmr = float(np.mean(strangers >= 2.5))
    measured = float(np.mean(np.max(strangers, axis=1) >= 2.5))
    assert metrics.fmr_for_fpir(measured, 25) == pytest.approx(fmr, rel=0.05)


def test_bounds_of_fpir_and_fnir_are_drawn_by_speaker():
    rng = np.random.default_rng(6)
    # Of every speaker all searches fail or none: 10 of 40 mated, 4 of 40 non-mated.
    own = np.where(np.arange(40) < 10, -1.0, 1.0).repeat(30)
    found = Searches(
        own=own,
        rank=np.ones(own.size, dtype=int),
        best_other=np.full(own.size, -2.0),
        non_mated=np.where(np.arange(40) < 4, 1.0, -1.0).repeat(30) + rng.normal(0, 0.01, 1200),
        mated_speakers=np.arange(40).repeat(30),
        non_mated_speakers=40 + np.arange(40).repeat(30),
    )
    resampled = metrics.resample_speakers(*found.trials, thresholds=[0.0], resamples=2000)
    for (low, high), rate in ((resampled.fnmr_at(0.0), 0.25), (resampled.fmr_at(0.0), 0.1)):
        half = 1.96 * math.sqrt(rate * (1 - rate) / 40)
        assert (high - low) / 2 == pytest.approx(half, rel=0.15)
        assert low < rate < high


def test_all_refused_is_a_miss_for_all():
    none = np.full(3, -np.inf)
    found = Searches(none, np.ones(3, dtype=int), none, none, np.arange(3), 5 + np.arange(3))
    counts = metrics.identification_counts(found, -100.0)
    assert (counts.false_negatives, counts.false_positives, counts.wrong_names) == (3, 0, 0)
    curve = metrics.identification_curve(found)
    assert (curve.fpir.tolist(), curve.fnir.tolist()) == ([0.0], [1.0])
    resampled = metrics.resample_speakers(*found.trials, thresholds=[0.0], resamples=20)
    assert (resampled.fnmr_at(0.0), resampled.fmr_at(0.0)) == ((1.0, 1.0), (0.0, 0.0))


def test_rates_galleries_and_thresholds_that_cannot_be_are_refused():
    for rate, size in ((-0.1, 5), (1.1, 5), (0.1, 0), (math.nan, 5)):
        with pytest.raises(ValueError, match="cannot be"):
            metrics.fmr_for_fpir(rate, size)
    found = searches([[1.0, 0.0]], [0], [[0.0, 0.0]])
    for threshold in (math.nan, -math.inf):
        with pytest.raises(ValueError, match="not a threshold"):
            metrics.identification_counts(found, threshold)
