"""A gallery moves between files and servers, and is the same there, or the target is empty."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from random_voices import OTHER_SPACE, SPACE, random_unit, sample
from sqlalchemy import text, update

from voiceid.decision.calibration import CalibratedPoint, Calibration, HeldOut
from voiceid.decision.transforms import fit
from voiceid.decision.word_matching import Tokens, Vocabulary
from voiceid.domain import ApiKey, DatabaseUrl, Scope, SpeakerDetails
from voiceid.errors import SchemaOutdated, StoreError
from voiceid.store import KeyRing, Store, copying, maintenance
from voiceid.store.copying import copy
from voiceid.store.tables import (
    attempts,
    backups,
    centroids,
    challenges,
    jobs,
    kept_answers,
    key_uses,
    metadata,
    retention_runs,
)

Where = Path | DatabaseUrl
HELD_OUT = HeldOut(10, 100, 1000, 0.01, 0.1, 0.1, {"0.01": 0.1}, {"0.01": 0.1})
OF_A_SERVICE = (*(key_uses, attempts, jobs, kept_answers, retention_runs, backups), challenges)
TOKENS = Tokens(np.ones((8, 2), np.float32), np.full(4, 2), np.arange(4))
POINT = CalibratedPoint(0.001, 2.0, (0.0, 0.01), 0.01, (0.0, 0.1))


def fill(where: Where) -> None:
    """Have something in every table, and something removed from the end of most."""
    rng, store = np.random.default_rng(5), Store.open(where)
    vectors = random_unit(rng, 60)
    with store.write() as writer:
        for name in ("Zoë", "alice", "bob"):
            speaker = writer.speakers.add(name)
            writer.samples.add(speaker.id, SPACE, [sample(v) for v in random_unit(rng, 3)])
            details = SpeakerDetails(groups=("lobby", "night shift"), metadata={"badge": "№ 1"})
            writer.speakers.edit(speaker.id, details)
        other = sample(vectors[0], space=OTHER_SPACE)
        writer.samples.add(writer.speakers.get("bob").id, OTHER_SPACE, [other])
        transform = fit(vectors, np.repeat(np.arange(20), 3), method="wccn", shrinkage=0.5)
        writer.adaptations.use(SPACE.id, writer.adaptations.add(SPACE, transform, {"a": 1}, "site"))
        fitted = Calibration(10.0, -4.0, (), (0.0, 1.0), 1.0, (POINT,), 3000)
        made = writer.calibrations.add(SPACE, fitted, HELD_OUT, "site", 0.01)
        writer.learned.put("calibration", made, (1, 2))
        writer.calibrations.use(SPACE.id, made)
        writer.switches.switch(writer.switches.begin(SPACE.id, OTHER_SPACE))
        writer.audit.append("enroll", {"speaker": "alice"})
        writer.fingerprints.accepted(writer.speakers.get("bob").id, b"\0\1\2\3", 90)
        writer.spoken.put(speaker.id, Vocabulary(("a", "b", "c", "d"), TOKENS))
        writer.switches.forget(writer.switches.begin(OTHER_SPACE.id, SPACE))
    with store.write() as writer:
        key = ApiKey("k", "door", (Scope.IDENTIFY,), ("staff",), (), None, writer.now, None)
        writer.keys.add(key, "k")
        for table in OF_A_SERVICE:
            row = {c.name: "k" if c.type.python_type is str else 1 for c in table.c}
            writer.connection.execute(table.insert().values(row))
        writer.speakers.remove(writer.speakers.add("gone").id)
        writer.speakers.remove(writer.speakers.get("alice").id)
    store.close()


def everything(where: Where) -> dict[str, list[object]]:
    store = Store.open(where)
    with store.read() as reader:
        found = {
            table.name: [
                tuple(row)
                for row in reader.connection.execute(table.select().order_by(*table.primary_key))
            ]
            for table in metadata.sorted_tables
        }
    store.close()
    return found


class Places:
    """Databases of either kind, empty."""

    def __init__(self, folder: Path, server: Callable[[], DatabaseUrl]) -> None:
        self._folder, self._server, self._numbers = folder, server, itertools.count()

    def new(self, kind: str) -> Where:
        if kind == "sqlite":
            return self._folder / f"{next(self._numbers)}.sqlite3"
        return self._server()


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    server = request.getfixturevalue("postgres")

    def empty() -> DatabaseUrl:
        url = server.empty()
        request.addfinalizer(lambda: server.drop(url))
        return url

    return Places(tmp_path, empty)


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
@pytest.mark.parametrize("source", ["sqlite", "postgresql"])
def test_everything_is_the_same_there_and_numbers_go_on(
    places: Places, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    monkeypatch.setattr(copying, "_BATCH", 2)
    here, there = places.new(source), places.new(target)
    fill(here)
    before = everything(here)
    assert {name for name, rows in before.items() if not rows} == {
        *("protection", "speaker_keys", "name_looks")
    }
    copied = copy(here, there, KeyRing(None))
    assert everything(there) == everything(here) == before
    assert copied.rows == {name: len(rows) for name, rows in before.items()}
    store = Store.open(there)
    assert maintenance.check(store) == []
    with store.write() as writer:
        carol = writer.speakers.add("carol")
        assert carol.id == 5, "the number of somebody who is gone was given again"
        writer.samples.add(carol.id, SPACE, [sample(random_unit(np.random.default_rng(6)))])
        assert writer.revision.number == max(row[0] for row in before["changes"]) + 2
    store.close()


def test_a_target_in_which_somebody_is_enrolled_is_left_as_it_is(places: Places) -> None:
    here, there = places.new("sqlite"), places.new("postgresql")
    fill(here)
    fill(there)
    before = everything(there)
    with pytest.raises(StoreError, match="not empty"):
        copy(here, there, KeyRing(None))
    with pytest.raises(StoreError, match="not empty"):
        copy(here, here, KeyRing(None))
    assert everything(there) == before


def test_an_empty_gallery_is_copied_too(places: Places) -> None:
    here, there = places.new("postgresql"), places.new("sqlite")
    Store.open(here).close()
    assert set(copy(here, there, KeyRing(None)).rows.values()) == {0}


def test_what_fails_in_the_middle_leaves_the_target_empty(places: Places) -> None:
    here, there = places.new("sqlite"), places.new("postgresql")
    fill(here)
    store = Store.open(here)
    with store.write() as writer:
        writer.connection.execute(
            update(centroids).where(centroids.c.id == 1).values(vector=b"\x00\x00\xc0\x7f" * 24)
        )
    store.close()
    with pytest.raises(StoreError, match="NaN") as failed:
        copy(here, there, KeyRing(None))
    assert failed.value.hint
    assert not any(everything(there).values())


def test_a_target_that_does_not_hold_what_was_read_is_found_out(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = places.new("sqlite"), places.new("postgresql")
    fill(here)
    Store.open(there).close()
    store = Store.open(there)
    with store.write() as writer:
        padded = "ALTER TABLE memberships ALTER COLUMN group_name TYPE char(12)"
        writer.connection.execute(text(padded))
    store.close()
    with pytest.raises(StoreError, match="memberships"):
        copy(here, there, KeyRing(None))
    assert not any(everything(there).values())


def test_a_source_that_is_missing_or_older_is_reported(places: Places, tmp_path: Path) -> None:
    there = places.new("sqlite")
    with pytest.raises(StoreError, match="no gallery"):
        copy(tmp_path / "missing.sqlite3", there, KeyRing(None))
    assert not (tmp_path / "missing.sqlite3").exists()
    here = places.new("postgresql")
    fill(here)
    store = Store.open(here)
    with store.write() as writer:
        writer.connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    store.close()
    with pytest.raises(SchemaOutdated, match="0002"):
        copy(here, there, KeyRing(None))
