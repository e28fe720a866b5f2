"""Large galleries: codes that lose no speaker, or as few as they say, in all sizes and groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.crowds import DIM, KINDS, Crowd, queries
from voiceid.errors import ConfigError
from voiceid.index import sections
from voiceid.index.base import IndexOptions, MissRate, Tier
from voiceid.index.codes import Bytes, Products
from voiceid.index.gallery import GalleryIndex

N = 20_000


@pytest.fixture(scope="module", params=KINDS)
def people(request: pytest.FixtureRequest) -> Crowd:
    return Crowd(request.param, N)


def asked(people: Crowd, count: int) -> np.ndarray:
    rows = np.random.default_rng(3).integers(0, N, count)
    return queries(people.kind, people.vectors[rows].astype(np.float32))


def by_hand(people: Crowd, query: np.ndarray, k: int, step: int = 1) -> list[tuple[int, float]]:
    scores = people.vectors[::step].astype(np.float64) @ query.astype(np.float64)
    best = np.lexsort((np.arange(len(scores)), -scores.astype(np.float32)))[:k]
    return [(int(i) * step, float(np.float32(scores[i]))) for i in best]


@pytest.fixture(scope="module")
def compact(people: Crowd, tmp_path_factory: pytest.TempPathFactory) -> GalleryIndex:
    path = tmp_path_factory.mktemp("compact") / "x.index"
    gallery = GalleryIndex("crowd", DIM, path, IndexOptions("compact"))
    gallery.rebuild(people)
    return gallery


@pytest.mark.parametrize("kind", ["compact", "two-stage"])
def test_codes_find_what_brute_force_finds_to_the_last_bit(
    people: Crowd, compact: GalleryIndex, tmp_path: Path, kind: str
) -> None:
    gallery = compact
    if kind == "two-stage":
        gallery = GalleryIndex("crowd", DIM, tmp_path / "x.index", IndexOptions(kind))
        gallery.rebuild(people)
    status = gallery.status(people)
    assert (status.kind, status.state, status.vectors) == (kind, "current", N)
    if kind == "two-stage":
        assert status.miss_rate == 0.0
        assert 0.0009 < status.miss_rate_upper <= 0.001
    else:
        assert status.miss_rate is None
    for query in asked(people, 40):
        for group, step in ((None, 1), ("one in a hundred", 100)):
            # A first pass is measured by whom it puts first.
            k = 1 if kind == "two-stage" and group is None else 3
            found = gallery.search(people, query, k, group)
            expected = by_hand(people, query, k, step)
            assert found == expected
    assert gallery.size(people) == N
    assert gallery.size(people, "one in a hundred") == N // 100


@pytest.mark.parametrize("k", [1, 7, 600, N, N + 5])
def test_as_many_are_found_as_are_asked_for(people: Crowd, compact: GalleryIndex, k: int) -> None:
    query = asked(people, 1)[0]
    assert [i for i, _ in compact.search(people, query, k)] == [
        i for i, _ in by_hand(people, query, k)
    ]


def test_a_first_pass_that_loses_too_many_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceid.index.sealed._FIRST_PASS", ((1,),))
    people = Crowd("speaker-like", 5000)
    gallery = GalleryIndex("crowd", DIM, tmp_path / "x.index", IndexOptions("two-stage"))
    gallery.rebuild(people)
    facts, _ = sections.read(tmp_path / "x.index", {})
    assert (facts["tier"], facts["queries"]) == ("compact", 12_000)
    assert facts["missed"] > 3
    query = people.vectors[7].astype(np.float32)
    found, expected = gallery.search(people, query, 3), by_hand(people, query, 3)
    assert [i for i, _ in found] == [i for i, _ in expected]


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 60), seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1.0))
def test_a_code_is_off_by_no_more_than_what_it_leaves(n: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.standard_normal((n, 24)) * scale).astype(np.float32)
    bytes_ = Bytes.trained(vectors[: max(1, n // 2)])
    codes = bytes_.encode(vectors)
    left = np.linalg.norm(bytes_.decode(codes) - vectors, axis=1)
    query = rng.standard_normal(24)
    query = (query / np.linalg.norm(query)).astype(np.float32)
    off = np.abs(bytes_.cosines(codes, query) - vectors @ query)
    assert np.all(off <= left + 1e-5)


def test_codes_are_the_same_whichever_process_makes_them() -> None:
    rows = Crowd("speaker-like", 3000).table("").vectors
    one, other = Products.trained(rows), Products.trained(rows)
    assert np.array_equal(one.encode(rows), other.encode(rows))
    np.testing.assert_allclose(one.turn.T @ one.turn, np.eye(DIM), atol=1e-5)


def test_the_last_code_lets_fewer_strangers_before_the_mate() -> None:
    n = 20_000
    people = Crowd("speaker-like", n)
    rows, mates = people.vectors, np.arange(0, n, 40)
    products = Products.trained(rows[:8000])
    codes = products.encode(rows)
    nibbles = np.stack([codes & 15, codes >> 4], axis=2).reshape(n, -1)
    decoded = products.centroids[np.arange(nibbles.shape[1]), nibbles].reshape(n, -1)

    kept = np.einsum("nd,nd->n", decoded[:, :DIM], rows @ products.turn)
    levels = products.centroids[-2, :, 0]
    nearest = np.abs(0.6 * (1 - kept)[:, None] - levels).argmin(axis=1)
    np.testing.assert_array_equal(nibbles[:, -2], nearest)
    assert not np.any(decoded[:, DIM + 1 :])

    asked_for = queries("speaker-like", rows[mates])
    plain = asked_for @ products.turn @ decoded[:, :DIM].T
    told = plain + decoded[:, DIM]

    def strangers_first(scores: np.ndarray) -> int:
        return int((scores > scores[np.arange(len(mates)), mates][:, None]).sum())

    assert strangers_first(told) < 0.7 * strangers_first(plain)
    _, first = products.scan(codes)(asked_for, 200)
    exact = np.argsort(-told, axis=1, kind="stable")[:, :100]
    shared = [np.isin(e, f).mean() for e, f in zip(exact, first, strict=True)]
    assert np.mean(shared) > 0.99


@pytest.mark.parametrize(
    ("kind", "size", "dim", "budget", "tier"),
    [
        ("auto", 0, 192, 0.001, Tier.EXACT),
        ("auto", 49_999, 192, 0.001, Tier.EXACT),
        ("auto", 50_000, 192, 0.001, Tier.COMPACT),
        ("auto", 200_000, 192, 0.001, Tier.TWO_STAGE),
        ("auto", 200_000, 190, 0.001, Tier.COMPACT),
        ("auto", 200_000, 192, 0.0, Tier.COMPACT),
        ("exact", 10**6, 192, 0.001, Tier.EXACT),
        ("two-stage", 5, 192, 0.001, Tier.TWO_STAGE),
        ("compact", 0, 192, 0.001, Tier.EXACT),
    ],
)
def test_the_tier_follows_size_and_budget(
    kind: str, size: int, dim: int, budget: float, tier: Tier
) -> None:
    assert IndexOptions(kind, budget).tier(size, dim) is tier


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="flat"):
        IndexOptions("flat")


def test_an_index_of_a_server_is_refused_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PostgreSQL"):
        GalleryIndex("crowd", DIM, tmp_path / "x.index", IndexOptions("hnsw"))


def test_three_thousand_without_a_loss_show_one_in_a_thousand() -> None:
    assert MissRate(0, 3000).rate == 0.0
    assert MissRate(0, 3000).upper == pytest.approx(1 - 0.05 ** (1 / 3000))
    assert MissRate(1, 3000).upper > 0.001
