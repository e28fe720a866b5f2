"""Many speakers at once: what is written is what one by one would have written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_voices import DIM, QUALITY, SPACE, random_unit, sample
from sqlalchemy import text

from voiceid.decision.transforms import Transform
from voiceid.domain import NewSpeakers, SpeakerDetails
from voiceid.errors import StoreError
from voiceid.store import Store, bulk_insert, maintenance

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
STAFF = SpeakerDetails(groups=("staff",), metadata={"badge": "4711"}, expires_at=NOON)
NOTHING = SpeakerDetails()


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(
    request: pytest.FixtureRequest, tmp_path: Path, new_database
) -> Iterator[tuple[Store, Store]]:
    places = [tmp_path / "bulk.sqlite3", tmp_path / "one.sqlite3"]
    if request.param == "postgresql":
        places = [new_database(request.param), new_database(request.param)]
    made = Store.open(places[0]), Store.open(places[1])
    yield made
    for store in made:
        store.close()


def people(counts: list[int], seed: int) -> NewSpeakers:
    """Speakers with so many samples each; every third is of the staff."""
    n, m = len(counts), sum(counts)
    rng = np.random.default_rng(seed)
    return NewSpeakers(
        names=[f"Person {seed} {i}" for i in range(n)],
        created_at=[NOON] * n,
        details=[NOTHING if i % 3 else STAFF for i in range(n)],
        owners=np.repeat(np.arange(n), counts),
        vectors=random_unit(rng, m),
        pcm_sha256=[rng.bytes(32).hex() for _ in range(m)],
        source_names=[f"clip {i}" for i in range(m)],
        qualities=[QUALITY] * m,
        overrides=[()] * m,
        labels=["phone" if i % 2 else "" for i in range(m)],
        sampled_at=[NOON] * m,
    )


def one_by_one(store: Store, new: NewSpeakers) -> None:
    with store.write() as writer:
        for i, name in enumerate(new.names):
            speaker = writer.speakers.add(name, new.created_at[i])
            mine = [sample_of(new, row) for row in np.flatnonzero(new.owners == i)]
            writer.samples.add(speaker.id, SPACE, mine)
            writer.speakers.edit(speaker.id, new.details[i])


def sample_of(new: NewSpeakers, row: int):
    made = sample(new.vectors[row])
    utterance = replace(made.utterance, name=new.source_names[row], pcm_sha256=new.pcm_sha256[row])
    return replace(made, utterance=utterance, label=new.labels[row], created_at=NOON)


def tables(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the tables, but for the times of now and the random tokens."""
    queries = {
        "speakers": "SELECT id, name, name_key, created_at, metadata, expires_at, disabled_at",
        "memberships": "SELECT group_name, speaker_id",
        "samples": "SELECT *",
        "centroids": "SELECT *",
    }
    with store.read() as reader:
        run = reader.connection.execute
        found = {
            table: sorted(map(tuple, run(text(f"{query} FROM {table}"))))
            for table, query in queries.items()
        }
        changed = [row[0] for row in run(text("SELECT DISTINCT centroid_id FROM changes"))]
        assert set(changed) >= {row[0] for row in found["centroids"]}
        tokens = [row[0] for row in run(text("SELECT token FROM changes"))]
        assert len(set(tokens)) == len(tokens)
        assert {len(token) for token in tokens} == {16}
        return found


@pytest.mark.parametrize("counts", [[1] * 70, [3, 2] * 30, [1, 3, 1, 2]])
def test_every_row_and_every_bit_is_as_one_by_one(
    stores: tuple[Store, Store], counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_insert, "_PARAMETERS", 100)
    bulk, single = stores
    new = people(counts, 1)
    with bulk.write() as writer, writer.bulk.at_scale():
        writer.bulk.add(SPACE, new)
    one_by_one(single, new)
    assert tables(bulk) == tables(single)
    assert maintenance.check(bulk) == []


def test_more_than_a_statement_takes_are_added(stores: tuple[Store, Store]) -> None:
    add_in_bulk(stores[0], people([1, 2] * 2000, 1))
    with stores[0].read() as reader:
        assert reader.speakers.count() == 4000
        assert reader.samples.counts() == {SPACE.id: 6000}


def test_a_sqlite_that_takes_few_parameters_is_given_few(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "bulk.sqlite3")
    with closing(store):
        with store.write() as writer:
            driver = writer.connection.connection.driver_connection
            driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
            writer.bulk.add(SPACE, people([1] * 300, 1))
        assert maintenance.check(store) == []


def test_ids_of_who_was_removed_are_not_given_again_and_later_batches_join_earlier_ones(
    stores: tuple[Store, Store],
) -> None:
    bulk, single = stores
    first, second = people([1, 2], 2), people([2, 1, 1], 3)
    for store, add in ((bulk, add_in_bulk), (single, one_by_one)):
        add(store, first)
        with store.write() as writer:
            writer.speakers.remove(writer.speakers.get(first.names[1]).id)
        add(store, second)
    assert tables(bulk) == tables(single)


def add_in_bulk(store: Store, new: NewSpeakers) -> None:
    with store.write() as writer:
        writer.bulk.add(SPACE, new)


def test_an_adapted_space_gets_its_centroids_too(stores: tuple[Store, Store]) -> None:
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(DIM, DIM)).astype(np.float32)
    mean = rng.normal(size=DIM).astype(np.float32)
    turned = Transform("wccn", 0.5, 3, 9, mean, matrix + matrix.T)
    new = people([1, 1, 3], 4)
    for store, add in zip(stores, (add_in_bulk, one_by_one), strict=True):
        one_by_one(store, people([1], 9))
        with store.write() as writer:
            writer.adaptations.add(SPACE, turned, {}, "test")
        add(store, new)
        assert maintenance.check(store) == []
    found = [tables(store)["centroids"] for store in stores]
    # The ids come space by space, not speaker by speaker.
    assert sorted(row[1:] for row in found[0]) == sorted(row[1:] for row in found[1])


def test_a_name_that_is_taken_and_a_vector_that_is_none_undo_all(
    stores: tuple[Store, Store],
) -> None:
    bulk, _ = stores
    new = people([1, 1], 6)
    add_in_bulk(bulk, new)
    before = tables(bulk)
    with pytest.raises(StoreError, match="breaks its rules"):
        add_in_bulk(bulk, new)
    longer = people([1, 1], 7)
    longer.vectors[1] *= 2
    with pytest.raises(ValueError, match="unit"):
        add_in_bulk(bulk, longer)
    wider = replace(people([1], 8), vectors=np.eye(1, DIM + 1, dtype=np.float32))
    with pytest.raises(ValueError, match="unit"):
        add_in_bulk(bulk, wider)
    assert tables(bulk) == before


def test_the_memory_for_a_bulk_is_given_back(tmp_path: Path) -> None:
    def size() -> int:
        return writer.connection.exec_driver_sql("PRAGMA cache_size").scalar_one()

    store = Store.open(tmp_path / "bulk.sqlite3")
    with closing(store), store.write() as writer:
        before = size()
        with writer.bulk.at_scale():
            assert size() != before
        assert size() == before


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(n=st.integers(1, 40), limit=st.integers(1, 50), seed=st.integers(100, 10**9))
def test_pages_have_every_speaker_once_by_name(
    stores: tuple[Store, Store], n: int, limit: int, seed: int
) -> None:
    bulk, _ = stores
    try:
        add_in_bulk(bulk, people([1] * n, seed))
    except StoreError:  # hypothesis may draw a seed again
        return
    with bulk.read() as reader:
        everybody = reader.speakers.all()
        assert len(everybody) == reader.speakers.count()
        names, page = [], reader.speakers.page(limit=limit)
        while page:
            assert len(page) <= limit
            names += [one.name for one in page]
            page = reader.speakers.page(page[-1].name, limit)
        assert names == [one.name for one in everybody]
        assert len(set(names)) == len(names)
