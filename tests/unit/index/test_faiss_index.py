"""The exact index, with a dictionary and float64 arithmetic as oracle."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceid.domain import CentroidTable
from voiceid.index.base import Ids
from voiceid.index.faiss_index import FaissIndex, nearest_to_each

DIM = 6

# Few ids and few directions: replacements, removals of what is there, and equal vectors.
ids = st.sampled_from([0, 1, 2, 7, 2**31, 2**53 + 1, 2**63 - 2, 2**63 - 1])
directions = st.integers(0, 5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.dictionaries(ids, directions, max_size=6)),
        st.tuples(st.just("remove"), st.sets(ids, max_size=6)),
    ),
    max_size=12,
)


def direction(number: int) -> np.ndarray:
    v = np.random.default_rng(number).standard_normal(DIM)
    return (v / np.linalg.norm(v)).astype(np.float32)


def as_ids(values: object) -> Ids:
    return np.array(sorted(values), dtype=np.int64)  # type: ignore[call-overload]


def filled(numbers: dict[int, int]) -> FaissIndex:
    index = FaissIndex(DIM)
    vectors = np.array([direction(numbers[i]) for i in sorted(numbers)]).reshape(-1, DIM)
    index.add(as_ids(numbers), vectors.astype(np.float32))
    return index


def by_hand(held: dict[int, int], query: np.ndarray, k: int) -> list[tuple[int, float]]:
    scores = {
        i: np.float32(direction(n).astype(np.float64) @ query.astype(np.float64))
        for i, n in held.items()
    }
    return sorted(((i, float(s)) for i, s in scores.items()), key=lambda hit: (-hit[1], hit[0]))[:k]


@settings(deadline=None, max_examples=60)
@given(steps=steps, query=st.integers(0, 9), k=st.integers(0, 10))
def test_any_history_of_changes_is_searched_as_a_dictionary_would_be(
    steps: list[tuple[str, object]], query: int, k: int
) -> None:
    index, held = FaissIndex(DIM), {}
    for what, given_ in steps:
        if what == "add":
            vectors = [direction(given_[i]) for i in sorted(given_)]
            index.add(as_ids(given_), np.array(vectors, dtype=np.float32).reshape(-1, DIM))
            held.update(given_)
        else:
            index.remove(as_ids(given_))
            held = {i: n for i, n in held.items() if i not in given_}
        assert len(index) == len(held)
        assert sorted(index.ids().tolist()) == sorted(held)
    found, scores = index.search(direction(query), k)
    expected = by_hand(held, direction(query), k)
    assert found.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(scores, [s for _, s in expected], atol=1e-6)
    assert found.dtype == np.int64
    assert scores.dtype == np.float32


@settings(deadline=None, max_examples=60)
@given(
    held=st.dictionaries(ids, directions, max_size=8),
    among=st.sets(ids),
    query=st.integers(0, 9),
    k=st.integers(0, 10),
)
def test_a_search_among_some_is_that_of_an_index_of_these_alone(
    held: dict[int, int], among: set[int], query: int, k: int
) -> None:
    found, scores = filled(held).search(direction(query), k, as_ids(among))
    expected = by_hand({i: n for i, n in held.items() if i in among}, direction(query), k)
    assert found.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(scores, [s for _, s in expected], atol=1e-6)


def test_a_search_among_many_finds_the_best_of_them() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((3000, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = FaissIndex(DIM)
    index.add(np.arange(3000, dtype=np.int64), vectors)
    among = np.sort(rng.choice(3000, 300, replace=False)).astype(np.int64)
    found, _ = index.search(direction(1), 5, among)
    cosines = vectors[among].astype(np.float64) @ direction(1)
    assert found.tolist() == among[np.argsort(-cosines)[:5]].tolist()


@pytest.mark.parametrize("k", [1, 2, 5, 40, 99, 100, 1000])
def test_equal_vectors_come_in_the_order_of_their_ids_with_one_score(k: int) -> None:
    index = filled({i: 3 if i % 2 else 4 for i in range(100, 0, -1)})
    found, scores = index.search(direction(3), k)
    assert found[:50].tolist() == list(range(1, 101, 2))[:k]
    assert len(set(scores[:50].tolist())) == 1


def test_it_agrees_with_brute_force_on_ten_thousand() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((10_000, 192))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = FaissIndex(192)
    index.add(np.arange(10_000, dtype=np.int64) * 3, vectors)
    for row in (0, 17, 9_999):
        query = vectors[row] + 0.05 * vectors[(row + 1) % 10_000]
        query = (query / np.linalg.norm(query)).astype(np.float32)
        expected = vectors.astype(np.float64) @ query.astype(np.float64)
        best = np.argsort(-expected, kind="stable")[:7]
        found, scores = index.search(query, 7)
        assert found.tolist() == (best * 3).tolist()
        np.testing.assert_allclose(scores, expected[best], atol=1e-6)


def test_an_empty_index_answers_with_nothing() -> None:
    index = FaissIndex(DIM)
    for _ in range(2):
        assert [len(part) for part in index.search(direction(1), 5)] == [0, 0]
        index.remove(as_ids([1, 2]))
        index.add(as_ids([]), np.empty((0, DIM), dtype=np.float32))
        assert len(index) == 0


@pytest.mark.parametrize(
    ("bad_ids", "vectors"),
    [
        ([1, 1], np.ones((2, DIM))),
        ([1], np.ones((2, DIM))),
        ([1], np.ones((1, DIM + 1))),
        ([1], np.full((1, DIM), np.nan)),
        ([1], np.full((1, DIM), np.inf)),
    ],
)
def test_what_may_not_be_added_leaves_the_index_as_it_was(
    bad_ids: list[int], vectors: np.ndarray
) -> None:
    index = filled({1: 1})
    with pytest.raises(ValueError):
        index.add(np.array(bad_ids, dtype=np.int64), vectors.astype(np.float32))
    assert index.search(direction(1), 5)[0].tolist() == [1]


def test_searches_of_many_threads_agree() -> None:
    index = filled({i: i for i in range(200)})
    wrong = []

    def ask(number: int) -> None:
        answers = [index.search(direction(number), 1)[0].tolist() for _ in range(50)]
        wrong.extend(answer for answer in answers if answer != [number])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(st.lists(st.integers(0, 9), max_size=4), st.integers(1, 4), st.integers(0, 99))
def test_the_nearest_to_each_are_those_of_all_tables_together(
    sizes: list[int], k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    vectors = rng.standard_normal((n, DIM)).astype(np.float32)
    queries = rng.standard_normal((3, DIM)).astype(np.float32)
    numbers = rng.permutation(100)[:n].astype(np.int64)
    ends = np.cumsum(sizes, dtype=np.int64)[:-1] if sizes else []
    parts = zip(np.split(numbers, ends), np.split(vectors, ends), strict=True)
    found, scores = nearest_to_each(queries, [CentroidTable(*part) for part in parts], k)
    best = np.argsort(-(queries.astype(np.float64) @ vectors.T), axis=1)[:, :k]
    assert found.shape == scores.shape == (3, k)
    assert np.array_equal(found[:, : best.shape[1]], numbers[best])
    assert (found[:, best.shape[1] :] == -1).all()
    there = scores[:, : best.shape[1]]
    np.testing.assert_allclose(there, np.einsum("qd,qkd->qk", queries, vectors[best]), atol=1e-5)
