"""The gallery of a PostgreSQL database, with brute force over the rows as its oracle."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_server import Databases
from random_voices import DIM, OTHER_SPACE, SPACE, random_unit, sample

from voiceid.domain import Float32Array, SpeakerDetails
from voiceid.errors import IndexFault, SpeakerDetailInvalid
from voiceid.index import pgvector
from voiceid.index.pgvector import PgvectorGallery, losses
from voiceid.store import Store
from voiceid.store.reader import Reader


@pytest.fixture
def store(postgres: Databases) -> Iterator[Store]:
    url = postgres.migrated()
    store = Store.open(url)
    yield store
    store.close()
    postgres.drop(url)


@pytest.fixture
def index(store: Store) -> PgvectorGallery:
    return PgvectorGallery(SPACE.id, DIM, str(store.path), store.write)


def enroll(store: Store, names: list[str], vectors: Float32Array, group: str | None = None) -> None:
    with store.write() as writer:
        for name, vector in zip(names, vectors, strict=True):
            speaker = writer.speakers.find(name) or writer.speakers.add(name)
            writer.samples.add(speaker.id, SPACE, [sample(vector)])
            if group is not None:
                writer.speakers.edit(speaker.id, SpeakerDetails(groups=(group,)))


def remove(store: Store, name: str) -> None:
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get(name).id)


def brute_force(
    reader: Reader, query: Float32Array, k: int, group: str | None = None
) -> list[tuple[int, float]]:
    table = reader.centroids.table(SPACE.id)
    if not len(table.ids):
        return []
    chosen = set(table.ids.tolist() if group is None else reader.centroids.group(group, SPACE.id))
    scores = np.einsum("ij,j->i", table.vectors.astype(float), query.astype(float))
    cosines = np.clip(scores.astype(np.float32), -1, 1).tolist()
    every = zip(table.ids.tolist(), cosines, strict=True)
    return sorted((hit for hit in every if hit[0] in chosen), key=lambda hit: (-hit[1], hit[0]))[:k]


def answer(
    store: Store, index: PgvectorGallery, query: Float32Array, k: int = 3, group: str | None = None
) -> list[int]:
    with store.read() as reader:
        hits = index.search(reader, query, k, group)
        assert hits == brute_force(reader, query, k, group)
        assert index.size(reader, group) == len(brute_force(reader, query, 10**6, group))
        return [centroid_id for centroid_id, _ in hits]


@pytest.fixture(params=["vectors", "codes"])
def coded(
    request: pytest.FixtureRequest, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Search by vectors alone, as small galleries do, or through codes, as large ones do.

    All of these few rows are candidates, so that the answers must be those of brute force.
    """
    if request.param == "codes":
        monkeypatch.setattr(pgvector, "_EXACT_GROUP_UP_TO", 0)
        with store.write() as writer:
            writer.spaces.know(SPACE)
            mean, spread = random_unit(np.random.default_rng(0), 2)
            writer.search.code(SPACE.id, mean, abs(spread), 1.0, missed=0, queries=9999)
    return request.param


def test_a_search_follows_every_change_of_the_database(
    store: Store, index: PgvectorGallery, coded: str
) -> None:
    a, b, c = random_unit(np.random.default_rng(1), 3)
    assert answer(store, index, a) == []
    enroll(store, ["alice"], a[None])
    [alice] = answer(store, index, a)
    enroll(store, ["bob"], b[None])
    assert answer(store, index, b)[0] != alice
    enroll(store, ["alice"], c[None])
    answer(store, index, c)
    remove(store, "alice")
    assert alice not in answer(store, index, a)
    remove(store, "bob")
    assert answer(store, index, a) == []


@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["enroll", "remove", "search", "recode"]), st.integers(0, 4)),
        max_size=10,
    )
)
def test_any_history_is_answered_from_the_present(
    store: Store, index: PgvectorGallery, coded: str, steps: list[tuple[str, int]]
) -> None:
    rng = np.random.default_rng(2)
    with store.write() as writer:
        for speaker in writer.speakers.all():
            writer.speakers.remove(speaker.id)
    for what, who in steps:
        name = f"speaker {who}"
        with store.read() as reader:
            there = reader.speakers.find(name) is not None
        if what == "enroll":
            enroll(store, [name], random_unit(rng)[None], group=f"group {who % 2}")
        elif what == "remove" and there:
            remove(store, name)
        elif what == "recode" and coded == "codes":
            with store.write() as writer:
                mean, spread = random_unit(rng, 2)
                writer.search.code(SPACE.id, mean, abs(spread), 1.0, missed=0, queries=9999)
        else:
            answer(store, index, random_unit(rng), k=9)
            answer(store, index, random_unit(rng), k=2, group=f"group {who % 2}")


def test_a_group_is_filtered_before_the_best_are_taken(
    store: Store, index: PgvectorGallery, coded: str
) -> None:
    rng = np.random.default_rng(3)
    near = random_unit(rng)
    crowd = near + 0.1 * random_unit(rng, 60)
    crowd = (crowd / np.linalg.norm(crowd, axis=1, keepdims=True)).astype(np.float32)
    enroll(store, [f"crowd {n}" for n in range(60)], crowd)
    enroll(store, ["far 1", "far 2"], random_unit(rng, 2), group="Night")
    assert len(answer(store, index, near, 5, "night")) == 2
    assert answer(store, index, near, 5, "nobody") == []
    with store.read() as reader, pytest.raises(SpeakerDetailInvalid):
        index.search(reader, near, 1, "")


def test_equal_vectors_come_in_the_order_of_their_ids_with_one_score(
    store: Store, index: PgvectorGallery, coded: str
) -> None:
    a, b = random_unit(np.random.default_rng(4), 2)
    enroll(store, [f"s{n}" for n in range(60)], np.array([a, b] * 30))
    for k in (1, 5, 29, 60, 100):
        answer(store, index, a, k)
    with store.read() as reader:
        assert index.search(reader, a, 0) == []
        assert len({score for _, score in index.search(reader, a, 30)}) == 1


def test_each_snapshot_gets_its_own_answer(
    store: Store, index: PgvectorGallery, coded: str
) -> None:
    a, b = random_unit(np.random.default_rng(6), 2)
    enroll(store, ["alice"], a[None])
    with store.read() as before:
        [(alice, _)] = index.search(before, b, 5)
        enroll(store, ["bob"], b[None])
        assert len(answer(store, index, b)) == 2
        assert [i for i, _ in index.search(before, b, 5)] == [alice]
        assert index.size(before) == 1
    with pytest.raises(ZeroDivisionError):
        remove_and_fail(store, index, a)
    assert len(answer(store, index, a)) == 2


def remove_and_fail(store: Store, index: PgvectorGallery, query: Float32Array) -> None:
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get("alice").id)
        assert len(index.search(writer, query, 5)) == 1
        _ = 1 / 0


def test_other_spaces_are_not_searched(store: Store, index: PgvectorGallery, coded: str) -> None:
    a, b = random_unit(np.random.default_rng(7), 2)
    with store.write() as writer:
        speaker = writer.speakers.add("bob")
        writer.samples.add(speaker.id, OTHER_SPACE, [sample(b, space=OTHER_SPACE)])
    assert answer(store, index, b) == []
    enroll(store, ["alice"], a[None])
    assert len(answer(store, index, b)) == 1


@pytest.mark.parametrize(
    "query", [np.zeros(DIM + 1), np.zeros((1, DIM)), np.full(DIM, np.nan), np.full(DIM, np.inf)]
)
def test_a_query_that_is_no_vector_of_the_space_is_a_fault(
    store: Store, index: PgvectorGallery, query: np.ndarray
) -> None:
    with store.read() as reader, pytest.raises(IndexFault):
        index.search(reader, query.astype(np.float32), 1)


def test_a_small_gallery_is_not_coded_and_the_status_says_what_is_searched(
    store: Store, index: PgvectorGallery
) -> None:
    enroll(store, ["alice", "bob"], random_unit(np.random.default_rng(8), 2))
    with store.read() as reader:
        index.rebuild(reader)
    with store.read() as reader:
        assert reader.search.coding(SPACE.id) is None
        status = index.status(reader)
    assert (status.kind, status.state, status.path) == ("pgvector", "current", str(store.path))
    assert (status.vectors, status.enrolled) == (2, 2)
    assert status.revision == status.database_revision == 2


def test_a_large_gallery_is_coded_when_little_is_lost_by_it_and_only_then(
    store: Store, index: PgvectorGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    enroll(store, [f"s{n}" for n in range(150)], random_unit(np.random.default_rng(9), 150))
    monkeypatch.setattr(pgvector, "_QUERIES", 500)
    monkeypatch.setattr(pgvector, "EXACT_UP_TO", 100)
    monkeypatch.setattr(pgvector, "_EXACT_GROUP_UP_TO", 100)
    index._max_miss_rate = 0.95
    with store.read() as reader:
        index.rebuild(reader)
    with store.read() as reader:
        made = reader.search.coding(SPACE.id)
        assert made is not None
        assert index.status(reader).miss_rate == made.missed / made.queries < 0.95
    index._max_miss_rate = 0.0
    with store.read() as reader:
        assert index.status(reader).miss_rate is None, "codes that lose too many are not used"
        everybody = range(150)
        queries = reader.centroids.table(SPACE.id).vectors[everybody]
        assert [index.search(reader, one, 1)[0][0] for one in queries] == [
            one + 1 for one in everybody
        ]
    with store.read() as reader:
        index.rebuild(reader)
    with store.read() as reader:
        assert reader.search.coding(SPACE.id) is None
        assert index.status(reader).miss_rate is None


def test_the_miss_rate_is_that_of_a_search_by_codes(
    store: Store, index: PgvectorGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """72 bits for 24 components miss some; how many is foretold within its own error."""
    rng, n = np.random.default_rng(10), 200
    vectors = random_unit(rng, n)
    enroll(store, [f"s{number}" for number in range(n)], vectors)
    monkeypatch.setattr(pgvector, "EXACT_UP_TO", 100)
    monkeypatch.setattr(pgvector, "_EXACT_GROUP_UP_TO", 100)
    monkeypatch.setattr(pgvector, "_QUERIES", 1000)
    monkeypatch.setattr(pgvector, "_LEAST", 1)
    monkeypatch.setattr(pgvector, "_SPARE", 0)
    share = 0.01
    with store.write() as writer:
        mean, drawn = writer.search.mean_and_sample(SPACE.id, n)
        np.testing.assert_allclose(mean, vectors.mean(axis=0), atol=1e-6)
        assert sorted(map(bytes, drawn)) == sorted(map(bytes, vectors.astype("<f4")))
        spread = drawn.std(axis=0)
        foretold = [loss.rate for loss in losses(drawn, mean, spread)]
        writer.search.code(SPACE.id, mean, spread, share, missed=0, queries=9999)
    missed = []
    with store.read() as reader:
        table = reader.centroids.table(SPACE.id)
        for own, other in rng.integers(0, n, (200, 2)):
            away = (
                table.vectors[other]
                - (table.vectors[other] @ table.vectors[own]) * (table.vectors[own])
            )
            if own == other:
                continue
            query = 0.6 * table.vectors[own] + 0.8 * away / np.linalg.norm(away)
            found = index.search(reader, query.astype(np.float32), 1)
            wanted = table.vectors[own] @ query
            missed.append(found[0][1] < wanted - 1e-4)
    assert 0.02 < np.mean(missed) < foretold[pgvector.SHARES.index(share)] + 0.05
    assert foretold == sorted(foretold, reverse=True)


def test_a_code_is_what_numpy_makes_of_the_vector(store: Store) -> None:
    vectors = random_unit(np.random.default_rng(12), 50)
    enroll(store, [f"s{number}" for number in range(40)], vectors[:40])
    mean, spread = vectors.mean(axis=0), vectors.std(axis=0)
    with store.write() as writer:
        writer.search.code(SPACE.id, mean, spread, 0.01, missed=0, queries=9999)
    enroll(store, [f"s{number}" for number in range(40, 50)], vectors[40:])  # by the trigger
    with store.read() as reader:
        ids, stored = reader.centroids.table(SPACE.id).ids, reader.centroids.table(SPACE.id).vectors
        texts = reader._connection.exec_driver_sql("SELECT centroid_id, code::text FROM codes")
        codes = dict(map(tuple, texts.all()))
    for id_, vector in zip(ids.tolist(), stored, strict=True):
        middle = vector - mean
        bits = [middle > spread, middle > 0, middle > -spread]
        assert codes[id_] == "".join(str(int(bit)) for bit in np.concatenate(bits))
        packed = pgvector.codes_of(vector[None], mean, spread).view(np.uint8)[0]
        assert codes[id_] == "".join(map(str, np.unpackbits(packed)[: 3 * DIM]))


def test_searches_of_many_threads_agree(store: Store, index: PgvectorGallery) -> None:
    vectors = random_unit(np.random.default_rng(11), 20)
    enroll(store, [f"s{n}" for n in range(20)], vectors)
    wrong = []

    def find(number: int) -> None:
        for _ in range(10):
            with store.read() as reader:
                [(found, _)] = index.search(reader, vectors[number], 1)
                owner = reader.centroids.owners([found])[found].speaker.name
            if owner != f"s{number}":
                wrong.append(owner)

    threads = [threading.Thread(target=find, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
