"""The bound by which codes lose no speaker, and the count of those that a first pass loses.

The oracle is plain arithmetic over what the codes decode to, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from histories import History, random_history
from hypothesis import given
from hypothesis import strategies as st
from random_voices import DIM, SPACE

from voiceid.domain import Float32Array
from voiceid.index import sealed as module
from voiceid.index.base import GENUINE_COSINE, ROUNDING, Tier, genuine_queries
from voiceid.index.codes import Bytes, Products, reach_of
from voiceid.index.sealed import Sealed, seal


@pytest.fixture(autouse=True, scope="module")
def few_spare() -> Iterator[None]:
    """Hardly more are asked for than are wanted, so that the bound decides in small galleries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SPARE", 2)
        yield


def alike(rng: np.random.Generator, n: int, dim: int, spread: float) -> Float32Array:
    """Return a query, then n vectors: the smaller the spread, the more alike their cosines."""
    rows = rng.standard_normal((n + 1, dim))
    rows[1:] = rows[0] / np.linalg.norm(rows[0]) + spread * rows[1:]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def compact(vectors: Float32Array, residual: float | None = None) -> tuple[Sealed, np.ndarray]:
    """Return vectors as codes, and the vectors (n, dim) that these stand for."""
    bytes_ = Bytes.trained(vectors)
    codes = bytes_.encode(vectors)
    decoded = bytes_.decode(codes).astype(np.float64)
    left = float(np.linalg.norm(decoded - vectors, axis=1).max())
    facts = {"tier": "compact", "first_pass": 0, "reach": reach_of(codes)}
    facts["residual"] = left if residual is None else residual
    ids = np.arange(len(vectors), dtype=np.int64)
    arrays = {"ids": ids, "bytes": codes, "low": bytes_.low, "step": bytes_.step}
    return Sealed(facts, arrays), decoded


@given(
    shape=st.tuples(st.integers(1, 90), st.sampled_from([4, 24])),
    k=st.integers(1, 12),
    spread=st.sampled_from([0.01, 0.05, 0.3, 5.0]),
    gone=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**32 - 1),
    tight=st.booleans(),
)
def test_all_who_may_be_among_the_nearest_are_named_and_no_others(
    shape: tuple[int, int], k: int, spread: float, gone: float, seed: int, tight: bool
) -> None:
    n, dim = shape
    rng = np.random.default_rng(seed)
    query, *rows = alike(rng, n, dim, spread)
    vectors = np.array(rows)
    sealed, decoded = compact(vectors)
    cosines = decoded @ query.astype(np.float64)
    there = rng.random(n) >= gone
    best = np.sort(cosines[there])[::-1]
    residual = float(np.linalg.norm(decoded - vectors, axis=1).max())
    if tight and len(best) > k:  # a speaker stands at the very end of what the bound lets in
        residual = float(best[k - 1] - rng.choice(best[k:])) / 2
        sealed, _ = compact(vectors, residual)
    found = set(sealed.candidates(query, k, ~there).tolist())
    least = best[k - 1] - 2 * residual if len(best) > k else -np.inf
    assert set(np.flatnonzero(there & (cosines >= least)).tolist()) <= found
    assert found <= set(np.flatnonzero(there & (cosines >= least - 3 * ROUNDING)).tolist())
    if not tight:
        exact = np.where(there, vectors.astype(np.float64) @ query, -np.inf)
        assert set(np.argsort(-exact)[: min(k, len(best))].tolist()) <= found


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 4))
def test_a_view_names_those_of_its_members_who_may_be_nearest(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    query, *vectors = alike(rng, 60, DIM, 0.05)
    sealed, _ = compact(np.array(vectors))
    members = np.sort(rng.choice(60, 20, replace=False))
    found = sealed.candidates(query, k, np.zeros(60, dtype=np.bool_), sealed.view(members))
    exact = np.array(vectors, dtype=np.float64)[members] @ query
    assert set(members[np.argsort(-exact)[:k]].tolist()) <= set(found.tolist())
    assert set(found.tolist()) <= set(members.tolist())


def test_a_row_that_was_erased_meanwhile_is_named_and_takes_no_place() -> None:
    """What its code was is not known any more, to the process that still needs it."""
    query, *vectors = alike(np.random.default_rng(1), 40, DIM, 0.3)
    sealed, decoded = compact(np.array(vectors))
    first, second, *_, last = np.argsort(-(decoded @ query)).tolist()
    gone = np.zeros(40, dtype=np.bool_)
    assert last not in sealed.candidates(query, 1, gone)
    sealed._codes[[first, last]] = 0
    assert {first, second} <= set(sealed.candidates(query, 1, gone).tolist())
    assert last in sealed.candidates(query, 38, gone)
    gone[first] = True
    assert first not in sealed.candidates(query, 38, gone)


@given(st.integers(1, 60), st.sampled_from([4, 24, 192]), st.integers(0, 2**32 - 1))
def test_no_score_of_a_scan_is_below_what_the_code_stands_for(n: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = alike(rng, n + 4, dim, 1.0)
    queries, vectors = rows[:5], rows[5:]
    bytes_ = Bytes.trained(vectors)
    codes = bytes_.encode(vectors)
    scores, positions = bytes_.scan(codes, reach_of(codes))(queries, n)
    decoded = queries.astype(np.float64) @ bytes_.decode(codes).astype(np.float64).T
    assert np.all(scores >= np.take_along_axis(decoded, positions, axis=1) - ROUNDING / 3)


def test_a_scan_adds_what_the_worst_code_of_all_can_be_off_by() -> None:
    codes = np.array([[128, 128], [125, 132], [255, 0], [128, 200]], dtype=np.uint8)
    assert reach_of(codes) == pytest.approx(np.hypot(127, 128))
    assert reach_of(codes[:0]) == 0.0
    assert reach_of(codes[1:2]) == pytest.approx(5.0)


def test_a_value_a_little_beyond_what_was_trained_has_a_code_of_its_own() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.uniform(-1, 1, (50, DIM)).astype(np.float32)
    bytes_ = Bytes.trained(vectors)
    beyond = vectors * np.float32(1.4)
    assert np.abs(bytes_.decode(bytes_.encode(beyond)) - beyond).max() <= bytes_.step.max() / 2
    assert bytes_.step.max() < 3.2 / 255, "and those within have hardly fewer"


def test_the_facts_of_a_file_have_the_longest_residual_of_all_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows come in several parts, and most of them were not trained on."""
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(module, "TRAINED_ON", 6)
    snapshot = random_history(np.random.default_rng(3), 40).now
    facts, arrays = seal(SPACE.id, lambda: nullcontext(snapshot), Tier.COMPACT, 0.001)
    table = snapshot.table(SPACE.id)
    bytes_ = Bytes(arrays["low"], arrays["step"])
    left = np.linalg.norm(bytes_.decode(arrays["bytes"]) - table.vectors, axis=1)
    assert arrays["ids"].tolist() == table.ids.tolist()
    assert facts["residual"] == pytest.approx(left.max(), rel=1e-6)
    assert facts["reach"] == pytest.approx(reach_of(arrays["bytes"]), rel=1e-6)
    assert left.max() > 2 * left.mean(), "the rows are too much alike to show it"


@pytest.fixture(scope="module")
def two_stage() -> tuple[Sealed, Float32Array, np.ndarray]:
    """A gallery as short codes, queries for it, and their mates."""
    rng = np.random.default_rng(4)
    vectors = alike(rng, 1500, DIM, 2.0)[1:]
    bytes_, products = Bytes.trained(vectors), Products.trained(vectors)
    codes = bytes_.encode(vectors)
    left = np.linalg.norm(bytes_.decode(codes) - vectors, axis=1)
    facts = {"tier": "two-stage", "first_pass": 9, "reach": reach_of(codes)}
    arrays = {"ids": np.arange(1500), "bytes": codes, "low": bytes_.low, "step": bytes_.step}
    arrays |= {"products": products.encode(vectors)}
    arrays |= {"turn": products.turn, "centroids": products.centroids}
    queries, mates = genuine_queries(vectors, 200)
    return Sealed(facts | {"residual": float(left.max())}, arrays), queries, mates


def test_a_mate_is_lost_unless_named_or_surely_beaten_by_one_who_was_named(
    two_stage: tuple[Sealed, Float32Array, np.ndarray],
) -> None:
    sealed, queries, mates = two_stage
    counts = (1, 2, 5, 30, 200)
    _, names = sealed._all.scan(queries, counts[-1])
    decoded = sealed._bytes.decode(sealed._codes).astype(np.float64)
    expected, beaten_only = [], 0
    for count in counts:
        lost = 0
        for named, query, mate in zip(names[:, :count].tolist(), queries, mates, strict=True):
            beaten = (decoded[named] @ query).max() >= GENUINE_COSINE + sealed._margin
            beaten_only += bool(beaten and mate not in named)
            lost += not (mate in named or beaten)
        expected.append(lost)
    assert sealed.missed(queries, mates, counts).tolist() == expected
    assert expected[0] > expected[1] > expected[3]
    assert beaten_only > 0


@pytest.mark.parametrize("k", [1, 3, 30, 400, 1500])
def test_a_first_pass_names_as_many_as_are_wanted_however_short_it_is(
    two_stage: tuple[Sealed, Float32Array, np.ndarray], k: int
) -> None:
    sealed, queries, _ = two_stage
    gone = np.zeros(len(sealed), dtype=np.bool_)
    decoded = sealed._bytes.decode(sealed._codes).astype(np.float64)
    for query in queries[:5]:
        found = sealed.candidates(query, k, gone)
        best = np.argsort(-(decoded @ query))[:k]
        assert len(found) >= k
        assert np.isin(best, found).mean() >= (0.8 if k > 3 else 0.0)


def test_what_counts_as_lost_is_at_least_what_a_search_loses(
    two_stage: tuple[Sealed, Float32Array, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed, queries, mates = two_stage
    decoded = sealed._bytes.decode(sealed._codes).astype(np.float64)
    for count in (1, 5):
        monkeypatch.setattr(sealed, "_count", count)
        _, names = sealed._all.scan(queries, count)
        lost = sum(
            int(np.argmax(decoded @ query)) == mate and mate not in named
            for named, query, mate in zip(names, queries, mates, strict=True)
        )
        assert 0 < lost <= sealed.missed(queries, mates, (count,))[0]


@pytest.mark.parametrize(
    ("lost", "first_pass", "queries"),
    [
        ([0, 0], 250, 3072),
        ([1, 0], 350, 3072),
        ([3, 1], 250, 12_000),  # of four times as many no more are lost than one in a thousand
        ([30, 30], None, 12_000),
    ],
)
def test_the_upper_bound_of_the_losses_keeps_the_budget_and_not_their_rate(
    lost: list[int], first_pass: int | None, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of the first two lengths of a first pass, which are counted in the first batch."""
    calls: list[int] = []

    def missed(_: Sealed, queries: Float32Array, mates: np.ndarray, counts: tuple[int, ...]) -> Any:
        calls.append(len(queries))
        return np.array(lost if len(calls) == 1 else [0] * len(counts))

    monkeypatch.setattr(module, "_THREADS", 1)
    monkeypatch.setattr(module, "_FIRST_PASS", ((250, 350),))
    monkeypatch.setattr(Sealed, "missed", missed)
    snapshot = random_history(np.random.default_rng(5), 30).now
    facts, _ = seal(SPACE.id, lambda: nullcontext(snapshot), Tier.TWO_STAGE, 0.001)
    assert facts["tier"] == ("compact" if first_pass is None else "two-stage")
    if first_pass is not None:
        assert facts["first_pass"] == first_pass
    assert facts["queries"] == queries == sum(calls)


def test_a_history_has_every_point_that_it_went_through() -> None:
    history = History()
    history.change(1, np.eye(DIM, dtype=np.float32)[0])
    history.change(1, None)
    assert [len(point.table("").ids) for point in history.points] == [0, 1, 0]
    assert [point.revision.number for point in history.points] == [0, 1, 2]
