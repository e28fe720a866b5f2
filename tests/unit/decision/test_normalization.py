"""AS-Norm against a loop that is written as the papers write it."""

from __future__ import annotations

import statistics as plain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceid.decision.embeddings import unit
from voiceid.decision.normalization import (
    MIN_MEMBERS,
    Cohort,
    CohortRefused,
    linear_map,
    statistics,
)

DIM = 8


def directions(seed: int, n: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32))


def as_norm(enrolled: np.ndarray, probe: np.ndarray, cohort: np.ndarray, top: int) -> float:
    """Return the normalised score of one comparison, one number at a time."""
    raw = float(enrolled.astype(float) @ probe)
    parts = []
    for side in (enrolled, probe):
        nearest = sorted((float(side.astype(float) @ c) for c in cohort), reverse=True)[:top]
        parts.append((raw - plain.fmean(nearest)) / plain.pstdev(nearest))
    return sum(parts) / 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(MIN_MEMBERS, 80))
def test_the_line_gives_what_a_loop_gives(seed: int, top: int) -> None:
    cohort, enrolled, probes = (
        directions(seed, 80),
        directions(seed + 1, 3),
        directions(seed + 2, 4),
    )
    known = Cohort(cohort, top)
    one, other = statistics(enrolled, known), statistics(probes, known)
    for i in range(3):
        for k in range(4):
            slope, offset = linear_map(one.of(i), other.of(k))
            raw = float(enrolled[i].astype(float) @ probes[k])
            expected = as_norm(enrolled[i], probes[k], cohort, top)
            assert slope * raw + offset == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 10_000), st.floats(-3, 8))
def test_a_threshold_of_normalised_scores_is_one_of_raw_cosines(
    seed: int, threshold: float
) -> None:
    known = Cohort.of(directions(seed, 60))
    sides = [statistics(directions(seed + i, 5), known) for i in (1, 2)]
    slopes, offsets = linear_map(*sides)
    assert np.all(slopes > 0)
    raw = (threshold - offsets) / slopes
    np.testing.assert_allclose(slopes * raw + offsets, threshold, atol=1e-9)
    assert np.all(slopes * (raw + 1e-6) + offsets > threshold)


def test_the_two_sides_weigh_the_same() -> None:
    known = Cohort.of(directions(0, 60))
    one, other = (statistics(directions(i, 5), known) for i in (1, 2))
    np.testing.assert_allclose(linear_map(one, other), linear_map(other, one))


def test_more_vectors_than_are_taken_at_a_time_score_as_alone() -> None:
    known, many = Cohort.of(directions(0, 60)), directions(1, 2500)
    found = statistics(many, known)
    for i in (0, 1023, 1024, 2499):
        alone = statistics(many[i : i + 1], known)
        assert found.means[i] == pytest.approx(alone.means[0], abs=1e-12)
        assert found.deviations[i] == pytest.approx(alone.deviations[0], abs=1e-12)


def test_a_speaker_s_own_voice_among_the_strangers_is_left_out() -> None:
    strangers, own = directions(0, 60), directions(1, 1)
    with_own = Cohort(np.concatenate([strangers, own]), 50)
    left_out = statistics(own, with_own, np.arange(61)[None] == 60)
    expected = statistics(own, Cohort(strangers, 50))
    np.testing.assert_allclose(left_out.means, expected.means)
    np.testing.assert_allclose(left_out.deviations, expected.deviations)
    left_in = statistics(own, with_own)
    assert left_in.means[0] > expected.means[0]
    assert left_in.deviations[0] > expected.deviations[0]


def test_a_cohort_that_is_all_needed_cannot_leave_anybody_out() -> None:
    known = Cohort(directions(0, 50), 50)
    with pytest.raises(CohortRefused, match="fewer than 50"):
        statistics(directions(1, 1), known, np.arange(50)[None] == 3)


@pytest.mark.parametrize(("members", "top"), [(49, 49), (49, 50), (60, 61), (60, 10)])
def test_too_few_strangers_are_refused_with_the_number_that_is_needed(
    members: int, top: int
) -> None:
    with pytest.raises(CohortRefused, match="at least 50"):
        Cohort(directions(0, members), top)


def test_copies_of_a_voice_are_one_stranger() -> None:
    voices = directions(0, 55)
    known = Cohort.of(np.concatenate([voices, voices]))
    np.testing.assert_array_equal(known.vectors, voices)
    assert known.top == 55
    with pytest.raises(CohortRefused, match="cohort of 40"):
        Cohort.of(np.repeat(voices[:40], 3, axis=0))


def test_strangers_that_all_score_the_same_are_refused() -> None:
    # On a circle around the vector, every cosine is one half.
    rest = directions(0, 60)
    rest[:, 0] = 0.0
    ring = unit(np.sqrt(3.0).astype(np.float32) * unit(rest) + np.eye(DIM, dtype=np.float32)[0])
    with pytest.raises(CohortRefused, match="score the same"):
        statistics(np.eye(DIM, dtype=np.float32)[:1], Cohort.of(ring))
