"""The gallery of a PostgreSQL database, with brute force over the rows as its oracle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_server import Databases
from random_voices import DIM, OTHER_SPACE, QUALITY, SPACE, random_unit, sample

from voiceid.domain import Float32Array, NewSpeakers, SpeakerDetails
from voiceid.errors import IndexFault, SpeakerDetailInvalid
from voiceid.index import server_gallery
from voiceid.index.base import IndexOptions
from voiceid.index.server_gallery import ServerGallery
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
def index(store: Store) -> ServerGallery:
    return ServerGallery(SPACE.id, DIM, str(store.path), store.write)


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
    store: Store, index: ServerGallery, query: Float32Array, k: int = 3, group: str | None = None
) -> list[int]:
    with store.read() as reader:
        hits = index.search(reader, query, k, group)
        assert hits == brute_force(reader, query, k, group)
        assert index.size(reader, group) == len(brute_force(reader, query, 10**6, group))
        return [centroid_id for centroid_id, _ in hits]


def test_a_search_follows_every_change_of_the_database(store: Store, index: ServerGallery) -> None:
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
        st.tuples(st.sampled_from(["enroll", "remove", "search"]), st.integers(0, 4)), max_size=10
    )
)
def test_any_history_is_answered_from_the_present(
    store: Store, index: ServerGallery, steps: list[tuple[str, int]]
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
        else:
            answer(store, index, random_unit(rng), k=9)
            answer(store, index, random_unit(rng), k=2, group=f"group {who % 2}")


def test_a_group_is_filtered_before_the_best_are_taken(store: Store, index: ServerGallery) -> None:
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
    store: Store, index: ServerGallery
) -> None:
    a, b = random_unit(np.random.default_rng(4), 2)
    enroll(store, [f"s{n}" for n in range(60)], np.array([a, b] * 30))
    for k in (1, 5, 29, 60, 100):
        answer(store, index, a, k)
    with store.read() as reader:
        assert index.search(reader, a, 0) == []
        assert len({score for _, score in index.search(reader, a, 30)}) == 1


def test_each_snapshot_gets_its_own_answer(store: Store, index: ServerGallery) -> None:
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


def remove_and_fail(store: Store, index: ServerGallery, query: Float32Array) -> None:
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get("alice").id)
        assert len(index.search(writer, query, 5)) == 1
        _ = 1 / 0


def test_other_spaces_are_not_searched(store: Store, index: ServerGallery) -> None:
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
    store: Store, index: ServerGallery, query: np.ndarray
) -> None:
    with store.read() as reader, pytest.raises(IndexFault):
        index.search(reader, query.astype(np.float32), 1)


def test_a_rebuild_makes_nothing_and_the_status_says_what_is_searched(
    store: Store, index: ServerGallery
) -> None:
    enroll(store, ["alice", "bob"], random_unit(np.random.default_rng(8), 2))
    with store.read() as reader:
        index.rebuild(reader)
    with store.read() as reader:
        assert reader.search.hnsw(SPACE.id) is None
        status = index.status(reader)
    assert (status.kind, status.state, status.path) == ("pgvector", "current", str(store.path))
    assert (status.vectors, status.enrolled) == (2, 2)
    assert status.revision == status.database_revision == 2
    assert status.miss_rate is None


@pytest.fixture
def crowd(store: Store, monkeypatch: pytest.MonkeyPatch) -> Float32Array:
    """A hundred enrolled voices, on a server that uses an HNSW index where it can."""
    monkeypatch.setattr(server_gallery, "_QUERIES", 100)
    vectors = random_unit(np.random.default_rng(9), 120)
    n, now = len(vectors), datetime.now(UTC)
    new = NewSpeakers(
        names=[f"s{i}" for i in range(n)],
        created_at=[now] * n,
        details=[SpeakerDetails()] * n,
        owners=np.arange(n),
        vectors=vectors,
        pcm_sha256=[f"{i:064x}" for i in range(n)],
        source_names=["clip.wav"] * n,
        qualities=[QUALITY] * n,
        overrides=[()] * n,
        labels=[""] * n,
        sampled_at=[now] * n,
    )
    with store.write() as writer:  # one by one it takes seconds
        writer.bulk.add(SPACE, new)
        run = writer.connection.exec_driver_sql
        database = run("SELECT current_database()").scalar_one()
        run(f"ALTER DATABASE {database} SET enable_sort = off")
    store.close()  # the next connection has the setting
    return vectors


def hnsw_gallery(store: Store, max_miss_rate: float) -> ServerGallery:
    options = IndexOptions("hnsw", max_miss_rate)
    return ServerGallery(SPACE.id, DIM, str(store.path), store.write, options)


def scans(store: Store) -> int:
    """Return how often HNSW indexes were scanned."""
    for _ in range(3):  # each connection of the pool may have searched
        with store.read() as reader:
            reader.connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    with store.read() as reader:
        counted = "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes"
        where = " WHERE indexrelname LIKE 'hnsw%%'"
        return int(reader.connection.exec_driver_sql(counted + where).scalar_one())


def test_an_hnsw_index_is_used_where_it_is_wanted_and_loses_little(
    store: Store, crowd: Float32Array
) -> None:
    index = hnsw_gallery(store, 0.2)
    with store.read() as reader:
        index.rebuild(reader)
    assert scans(store) >= 100, "what was measured was no search by HNSW"
    with store.read() as reader:
        status, noted = index.status(reader), reader.search.hnsw(SPACE.id)
        assert noted is not None
        assert noted[0] in server_gallery.EF_SEARCH
        assert status.kind == "hnsw"
        assert status.miss_rate == noted[1] / noted[2]
        assert status.miss_rate is not None
        assert status.miss_rate_upper is not None
        assert status.miss_rate < status.miss_rate_upper <= 0.2
    before = scans(store)
    with store.read() as reader:
        found = [index.search(reader, vector, 1)[0][0] for vector in crowd[:20]]
        wanted = [brute_force(reader, vector, 1)[0][0] for vector in crowd[:20]]
    assert np.mean(np.array(found) == wanted) > 0.9
    assert scans(store) >= before + 20

    # What follows compares all rows: a group, many wanted, other settings, a smaller budget.
    enroll(store, ["s1", "s2"], random_unit(np.random.default_rng(13), 2), group="night")
    before = scans(store)
    answer(store, index, crowd[0], 3, "night")
    answer(store, index, crowd[0], 110)
    exact = ServerGallery(SPACE.id, DIM, str(store.path), store.write)
    strict = hnsw_gallery(store, 0.0)
    for other in (exact, strict):
        answer(store, other, crowd[0], 3)
        with store.read() as reader:
            assert other.status(reader).miss_rate is None
    assert scans(store) == before
    with store.read() as reader:
        exact.rebuild(reader)
    with store.read() as reader:
        assert reader.search.hnsw(SPACE.id) is None
    answer(store, index, crowd[0], 3)


def test_an_hnsw_index_that_loses_too_many_is_not_kept(
    store: Store, crowd: Float32Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_gallery, "GENUINE_COSINE", 2.0)  # of no answer
    index = hnsw_gallery(store, 0.2)
    with store.read() as reader:
        index.rebuild(reader)
    with store.read() as reader:
        assert reader.search.hnsw(SPACE.id) is None
        assert index.status(reader).kind == "pgvector"
    answer(store, index, crowd[0], 3)


def test_an_hnsw_index_follows_every_change(store: Store, crowd: Float32Array) -> None:
    index = hnsw_gallery(store, 0.2)
    with store.read() as reader:
        index.rebuild(reader)
    new = random_unit(np.random.default_rng(10))
    enroll(store, ["new"], new[None])
    with store.read() as before:
        [(found, score)] = index.search(before, new, 1)
        assert before.centroids.owners([found])[found].speaker.name == "new"
        assert score == pytest.approx(1.0)
        remove(store, "new")
        assert index.search(before, new, 1)[0][0] == found
    with store.read() as reader:
        assert index.search(reader, new, 1)[0][0] != found


def test_searches_of_many_threads_agree(store: Store, index: ServerGallery) -> None:
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
