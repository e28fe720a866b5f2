"""Whether samples are one voice: at the threshold, in groups, and by an independent oracle."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage, to_tree

from voiceid.decision.agreement import AGREEMENT_FMR, Odd, _branches, odd_ones, parting
from voiceid.decision.embeddings import centroid, cosine, unit
from voiceid.decision.rule import DecisionRule, OperatingPoint
from voiceid.domain import Float32Array, QualityReport

DIM = 32


def rule(threshold: float, longer: float | None = None) -> DecisionRule:
    """One threshold from a second of net speech on, and perhaps another from 4 s on."""
    steps = [(1.0, threshold)] + ([] if longer is None else [(4.0, longer)])
    points = [
        OperatingPoint("wideband", least_s, value, 0.001, 0.01, 1000, 100, AGREEMENT_FMR)
        for least_s, value in steps
    ]
    return DecisionRule("model", points, 0.0)


def quality(net_speech_s: float = 3.0) -> QualityReport:
    return QualityReport(
        duration_s=net_speech_s,
        net_speech_s=net_speech_s,
        sample_rate_hz=16000,
        level_dbfs=-20.0,
        snr_db=30.0,
        clipped_fraction=0.0,
        bandwidth_hz=8000.0,
        warnings=(),
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
