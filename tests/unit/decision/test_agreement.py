"""Whether samples are one voice: at the threshold, in groups, and by an independent oracle."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage, to_tree

from voiceid.decision.agreement import AGREEMENT_FMR, Odd, _branches, odd_ones, parting, taken_for
from voiceid.decision.aims import Target
from voiceid.decision.embeddings import centroid, cosine, unit
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Enrolled, Float32Array, QualityReport, SpeakerRef
from voiceid.errors import ThresholdUnavailable

DIM = 32


def rule(
    threshold: float, longer: float | None = None, over_telephone: float = 0.0
) -> DecisionRule:
    """One threshold from a second of net speech on, and perhaps another from 4 s on.

    - `over_telephone`: how much higher they are where both sides came over a telephone.
    """
    steps = [(1.0, threshold)] + ([] if longer is None else [(4.0, longer)])
    points = [
        OperatingPoint(
            AGREEMENT_FMR, least_s, value, value + over_telephone, 0.001, 0.01, 1000, 100
        )
        for least_s, value in steps
    ]
    return DecisionRule("model", points, 0.0)


def quality(net_speech_s: float = 3.0, telephone: float | None = None) -> QualityReport:
    return QualityReport(
        duration_s=net_speech_s,
        net_speech_s=net_speech_s,
        sample_rate_hz=16000,
        level_dbfs=-20.0,
        snr_db=30.0,
        clipped_fraction=0.0,
        bandwidth_hz=8000.0,
        warnings=(),
        telephone=telephone,
    )


def voices(*sizes: int, spread: float = 0.1, seed: int = 0) -> Float32Array:
    """So many samples of each of some voices, which are at right angles; voice after voice."""
    rng = np.random.default_rng(seed)
    rows = [
        np.eye(DIM)[voice] + spread * rng.normal(size=DIM) / math.sqrt(DIM)
        for voice, size in enumerate(sizes)
        for _ in range(size)
    ]
    return unit(np.array(rows, dtype=np.float32))


def indices(odd: list[Odd]) -> list[int]:
    return sorted(i for outlier in odd for i in outlier.indices)


def test_a_sample_that_reaches_its_threshold_exactly_agrees() -> None:
    vectors, both = voices(2, spread=0.5), [quality()] * 2
    score = parting([0], [1], vectors, both, rule(0.5)).agreement
    assert 0.5 < score < 0.95
    for threshold, expected in ((score, []), (np.nextafter(score, 1.0), [0, 1])):
        odd, agreements = odd_ones(vectors, both, rule(threshold))
        assert indices(odd) == expected
        assert agreements == {0: score, 1: score}


def test_a_voice_does_not_walk_to_another_in_steps_that_each_agree() -> None:
    def towards(degrees: float, n: int) -> Float32Array:
        start, end = np.eye(DIM)[:2]
        at = math.cos(math.radians(degrees)) * start + math.sin(math.radians(degrees)) * end
        return np.tile(at.astype(np.float32), (n, 1))

    kept = towards(0, 4)
    for degrees, agrees in ((50, True), (75, False), (90, False)):
        vectors = np.concatenate([kept, towards(degrees, 25)])
        odd, _ = odd_ones(vectors, [quality()] * len(vectors), rule(0.5), range(len(kept)))
        assert indices(odd) == ([] if agrees else list(range(len(kept), len(vectors)))), degrees
        kept = vectors if agrees else kept


@pytest.mark.parametrize("sizes", [(3, 3), (2, 3), (2, 2), (5, 2), (4, 3, 1), (4, 3, 3)])
def test_samples_of_another_voice_do_not_vouch_for_each_other(sizes: tuple[int, ...]) -> None:
    vectors = voices(*sizes)
    odd, _ = odd_ones(vectors, [quality()] * len(vectors), rule(0.5))
    ends = list(itertools.accumulate(sizes))
    groups = [set(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]
    left = set(range(len(vectors))) - set(indices(odd))
    assert left in groups
    assert len(left) == max(sizes)


@pytest.mark.parametrize(("n_kept", "n_new"), [(1, 1), (1, 2), (1, 6), (3, 2), (3, 8)])
def test_the_kept_samples_stay_however_many_new_ones_disagree(n_kept: int, n_new: int) -> None:
    vectors = voices(n_kept, n_new)
    odd, agreements = odd_ones(vectors, [quality()] * len(vectors), rule(0.5), kept=range(n_kept))
    assert indices(odd) == list(range(n_kept, n_kept + n_new))
    assert set(agreements) == set(indices(odd))
    assert max(agreements.values()) < 0.5


def test_a_new_sample_of_the_kept_voice_agrees_beside_a_stranger() -> None:
    vectors = voices(3, 2)[
        [0, 1, 3, 4, 2]
    ]  # kept 0 and 1; new: two of another voice, one of theirs
    odd, agreements = odd_ones(vectors, [quality()] * 5, rule(0.5), kept=[0, 1])
    assert indices(odd) == [2, 3]
    assert agreements[4] > 0.9


def test_samples_of_one_voice_agree_with_the_centroid_of_the_others() -> None:
    vectors = voices(5, spread=0.5)
    odd, agreements = odd_ones(vectors, [quality()] * 5, rule(0.5))
    assert odd == []
    for i in range(5):
        others = centroid(np.delete(vectors, i, axis=0))
        assert agreements[i] == pytest.approx(cosine(vectors[i], others), abs=1e-6)


def test_the_side_with_less_speech_goes() -> None:
    vectors = voices(2, 3)
    odd, _ = odd_ones(vectors, [quality(20.0)] * 2 + [quality(2.0)] * 3, rule(0.5))
    assert indices(odd) == [2, 3, 4]


def test_a_group_needs_what_its_shortest_clip_needs() -> None:
    vectors, both = voices(2, 2), rule(0.3, longer=0.6)
    found = parting(
        [0, 1], [2, 3], vectors, [quality(5.0), quality(2.0), *[quality(9.0)] * 2], both
    )
    assert found.needed == 0.3
    found = parting([0, 1], [2, 3], vectors, [quality(5.0)] * 4, both)
    assert found.needed == 0.6


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0), (None, 1.0, 1.0), (0.5, 0.8, 0.4)],
)
def test_only_samples_that_both_came_over_a_telephone_need_more(
    one: float | None, other: float, share: float
) -> None:
    qualities = [quality(telephone=one), quality(telephone=other)]
    found = parting([0], [1], voices(2), qualities, rule(0.5, over_telephone=0.2))
    assert found.needed == pytest.approx(0.5 + 0.2 * share)


def test_a_group_is_of_a_telephone_as_far_as_its_samples_are() -> None:
    lines = [quality(telephone=one) for one in (1.0, 0.0, 1.0, 0.5)]
    found = parting([0, 1], [2, 3], voices(2, 2), lines, rule(0.5, over_telephone=0.2))
    assert found.needed == pytest.approx(0.5 + 0.2 * 0.5 * 0.75)


@pytest.mark.parametrize("telephone", [0.0, 0.3, 1.0, None])
def test_clips_could_be_taken_for_a_speaker_by_the_lowest_threshold_of_any_line(
    telephone: float | None,
) -> None:
    speaker = SpeakerRef(1, "Ada")
    owner = Enrolled(speaker, 1.0, 3, 12.0, None, None)
    clips, needs = [quality(telephone=telephone)], rule(0.5, over_telephone=0.2)
    assert taken_for(owner, 0.5, clips, needs.aimed(Target(AGREEMENT_FMR)))
    assert not taken_for(owner, 0.499, clips, needs.aimed(Target(AGREEMENT_FMR)))


def test_one_sample_has_nothing_to_agree_with() -> None:
    assert odd_ones(voices(1), [quality()], rule(0.5)) == ([], {})


@given(st.integers(3, 12), st.integers(0, 2**32 - 1))
def test_the_branches_are_those_of_average_linkage(n: int, seed: int) -> None:
    vectors = unit(np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32))
    distances = 1.0 - (vectors @ vectors.T).astype(np.float64)[np.triu_indices(n, 1)]
    _, nodes = to_tree(linkage(distances, "average"), rd=True)
    expected = {frozenset(node.pre_order()) for node in nodes} - {frozenset(range(n))}
    whole = frozenset(range(n))
    found = {frozenset(branch) for branch in _branches(vectors, range(n), frozenset())}
    # The last branch and its rest part the samples alike.
    assert {frozenset({b, whole - b}) for b in found} == {
        frozenset({b, whole - b}) for b in expected
    }


def test_two_clips_need_what_is_measured_for_one_false_match_in_a_thousand() -> None:
    points = [
        OperatingPoint(fmr, 1.0, 0.4 - fmr, 0.4 - fmr, fmr, 0.01, 10**5, 100)
        for fmr in (0.1, 0.01, 0.001)
    ]
    vectors, both = voices(2), [quality()] * 2
    found = parting([0], [1], vectors, both, DecisionRule("model", points, 0.0))
    assert found.needed == 0.4 - 0.001


def test_the_side_with_less_speech_is_the_clip_however_many_samples_it_has() -> None:
    """Three samples of 2 s have less than one of 9 s, and need what one of 2 s needs."""
    vectors, both = voices(3, 1), rule(0.3, longer=0.6)
    qualities = [*[quality(2.0)] * 3, quality(9.0)]
    for sides in (([0, 1, 2], [3]), ([3], [0, 1, 2])):
        assert parting(*sides, vectors, qualities, both).needed == 0.3
    qualities = [*[quality(5.0)] * 3, quality(9.0)]
    assert parting([3], [0, 1, 2], vectors, qualities, both).needed == 0.6


def test_the_branch_that_misses_its_own_threshold_most_is_parted_first() -> None:
    """The short one misses less than the long one does, though its cosine is lower."""
    angles = np.radians([0.0, 4.0, 56.0, -75.0])
    vectors = np.zeros((4, DIM), dtype=np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    qualities = [quality(9.0), quality(8.0), quality(5.0), quality(2.0)]
    both = rule(0.22, longer=0.6)
    long = parting([2], [0, 1, 3], vectors, qualities, both)
    short = parting([3], [0, 1, 2], vectors, qualities, both)
    assert long.agreement - long.needed < short.agreement - short.needed < 0
    assert short.agreement < long.agreement
    odd, _ = odd_ones(vectors, qualities, both)
    assert indices(odd) == [2], "without the long one the short one agrees with the rest"


def test_the_odd_ones_are_named_voice_by_voice() -> None:
    odd, agreements = odd_ones(voices(4, 2, 3), [quality()] * 9, rule(0.5))
    assert sorted(sorted(one.indices) for one in odd) == [[4, 5], [6, 7, 8]]
    for one in odd:
        assert one.agreement < one.needed == 0.5
        assert all(agreements[i] == one.agreement for i in one.indices)
    assert all(agreements[i] > 0.9 for i in range(4))


def test_samples_that_are_kept_stay_together_though_they_are_of_two_voices() -> None:
    vectors = voices(1, 2)[[0, 1, 2]]
    odd, _ = odd_ones(vectors, [quality()] * 3, rule(0.5), kept=[0, 1])
    assert odd == []
    assert indices(odd_ones(vectors, [quality()] * 3, rule(0.5), kept=[0])[0]) == [1, 2]


def enrolled(net_speech_s: float = 9.0, telephone: float = 0.0) -> Enrolled:
    return Enrolled(SpeakerRef(1, "alice"), telephone, 2, net_speech_s, None, None)


def test_a_voice_is_taken_for_another_from_the_threshold_of_all_its_speech_on() -> None:
    points = [
        OperatingPoint(0.001, least_s, value, 0.9, 0.001, 0.01, 1000, 100)
        for least_s, value in ((1.0, 0.7), (5.0, 0.5))
    ]
    both = DecisionRule("model", points, 0.0)
    clips = [quality(3.0), quality(2.0)]
    for score, expected in ((0.5, True), (math.nextafter(0.5, 0.0), False), (math.nan, False)):
        assert taken_for(enrolled(), score, clips, both) is expected
    assert not taken_for(enrolled(), 0.6, clips[:1], both), "3 s alone need 0.7"
    assert taken_for(enrolled(telephone=1.0), 0.5, clips, both), "the lower threshold counts"


def test_a_model_that_was_not_measured_so_far_down_asks_for_the_lowest_rate_that_it_keeps() -> None:
    points = [
        OperatingPoint(fmr, 1.0, 0.4 - fmr, 0.4 - fmr, fmr, 0.01, 10**5, 100) for fmr in (0.1, 0.01)
    ]
    vectors, both = voices(2), [quality()] * 2
    found = parting([0], [1], vectors, both, DecisionRule("model", points, 0.0))
    assert found.needed == 0.4 - 0.01
    with pytest.raises(ThresholdUnavailable):
        parting([0], [1], vectors, both, DecisionRule("model", [], 0.0))
