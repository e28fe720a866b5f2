"""Voices of windows become people: those of one window never one, and the number that is asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.decision.embeddings import unit
from voiceid.diarization import clustering
from voiceid.diarization.clustering import Grouping, Pieces, grouped

DIM = 32


def pieces_of(spoken: list[list[int]], noise: float = 0.2, seed: int = 0) -> Pieces:
    """Windows of which each names the people of its voices, each voice with two pieces."""
    rng = np.random.default_rng(seed)
    people = np.eye(DIM, dtype=np.float32)
    vectors, voices = [], []
    for at, window in enumerate(spoken):
        for who, person in enumerate(window):
            for _ in range(2):
                vectors.append(people[person] + noise * rng.normal(size=DIM) / np.sqrt(DIM))
                voices.append((at, who))
    unit_vectors = unit(np.array(vectors, np.float32).reshape(-1, DIM))
    return Pieces(unit_vectors, np.array(voices).reshape(-1, 2), np.full(len(vectors), 2.0))


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def truth(spoken: list[list[int]]) -> set[frozenset[int]]:
    return partition(np.repeat([person for window in spoken for person in window], 2))


windows = st.lists(
    st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True), min_size=1, max_size=12
)


@given(spoken=windows, seed=st.integers(0, 99))
def test_clear_voices_are_grouped_by_person(spoken: list[list[int]], seed: int) -> None:
    pieces = pieces_of(spoken, seed=seed)
    assert partition(grouped(pieces, Grouping())) == truth(spoken)


@given(spoken=windows, noise=st.floats(0, 9), seed=st.integers(0, 99), fewest=st.integers(1, 3))
def test_voices_of_one_window_are_different_people_if_there_are_enough(
    spoken: list[list[int]], noise: float, seed: int, fewest: int
) -> None:
    pieces = pieces_of(spoken, noise, seed)
    people = grouped(pieces, Grouping(fewest=fewest))
    assert set(people.tolist()) <= set(range(len(people)))
    for window in range(len(spoken)):
        own = {
            who: frozenset(people[(pieces.voices == (window, who)).all(axis=1)].tolist())
            for who in range(len(spoken[window]))
        }
        if sum(map(len, own.values())) <= people.max() + 1:
            assert len(frozenset.union(*own.values())) == sum(map(len, own.values()))


@given(spoken=windows, noise=st.floats(0, 9), seed=st.integers(0, 99), wanted=st.integers(1, 4))
def test_there_are_as_many_people_as_are_asked_for(
    spoken: list[list[int]], noise: float, seed: int, wanted: int
) -> None:
    pieces = pieces_of(spoken, noise, seed)
    people = grouped(pieces, Grouping(fewest=wanted, most=wanted))
    assert len(set(people.tolist())) <= wanted
    if noise < 0.5 and wanted <= len(truth(spoken)):
        assert len(set(people.tolist())) == wanted


def test_many_pieces_are_grouped_in_blocks_to_the_same_people(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    spoken = [rng.permutation(5)[: rng.integers(1, 3)].tolist() for _ in range(120)]
    pieces = pieces_of(spoken)
    monkeypatch.setattr(clustering, "_MOST_AT_ONCE", 40)
    assert partition(grouped(pieces, Grouping())) == truth(spoken)


def test_one_wrong_window_does_not_part_a_person() -> None:
    spoken = [[0], [1]] * 8
    pieces = pieces_of([*spoken, [0, 2]])
    pieces.vectors[-2:] = pieces.vectors[:2]  # the model heard person 0 as two voices
    people = grouped(pieces, Grouping())
    assert len(set(people[: 2 * len(spoken)].tolist())) == 2


def test_two_voices_of_a_window_that_sound_alike_are_two_people() -> None:
    pieces = pieces_of([[0, 1]])
    pieces.vectors[:] = pieces.vectors[0]
    assert [len(own) for own in partition(grouped(pieces, Grouping()))] == [2, 2]


def test_short_voices_of_a_window_are_of_different_people_too() -> None:
    spoken = [[0], [1], [0, 0]]
    pieces = pieces_of(spoken)
    pieces.alone_s[4:] = 0.2
    people = grouped(pieces, Grouping()).tolist()
    assert set(people[4:6]) | set(people[6:]) == {0, 1}
    assert not set(people[4:6]) & set(people[6:])


def test_of_nothing_nobody_is_made() -> None:
    nothing = Pieces(np.empty((0, DIM), np.float32), np.empty((0, 2), int), np.empty(0))
    assert grouped(nothing, Grouping()).tolist() == []
