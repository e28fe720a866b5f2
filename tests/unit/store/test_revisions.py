"""Each revision of the schema, on a stored database of the one before with data in it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from random_voices import OTHER_SPACE, SPACE
from sqlalchemy import create_engine

from voiceid import VoiceID
from voiceid.decision.embeddings import centroid
from voiceid.decision.transforms import Transform
from voiceid.session import DATABASE_NAME
from voiceid.store import Store, maintenance, upgrade
from voiceid.store.upgrade import SCHEMA_HEAD, SchemaState

STORED = Path(__file__).parent / "databases"
"""``NNNN.sql``: a database that a program of that revision wrote, as a dump."""


KEPT_OF_CENTROIDS = "id, speaker_id, space_id, vector, n_samples, net_speech_s"


def restored(revision: str, folder: Path) -> Path:
    path = folder / f"{revision}.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((STORED / f"{revision}.sql").read_text(encoding="utf-8"))
    return path


def table(path: Path, name: str, columns: str = "") -> list[tuple[object, ...]]:
    """Return the rows of a table: all columns of it, or of centroids those that no revision took.

    0009 took one, and puts another in its place.
    """
    columns = columns or ("*" if name != "centroids" else KEPT_OF_CENTROIDS)
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {columns} FROM {name} ORDER BY 1").fetchall()  # noqa: S608


def run(path: Path, revisions: Callable[[object], object]) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"fn": lambda now, _: revisions(now)})
        with Operations.context(context):
            context.run_migrations()
        connection.commit()
    engine.dispose()


def upgrade_to(path: Path, revision: str) -> None:
    run(path, lambda now: upgrade._scripts()._upgrade_revs(revision, now))


def downgrade(path: Path, revision: str) -> None:
    run(path, lambda now: upgrade._scripts()._downgrade_revs(revision, now))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return restored("0001", tmp_path)


def test_0002_keeps_every_row_and_knows_nothing_more_of_any_speaker(old: Path) -> None:
    columns = {
        "speakers": "id, name, name_key, created_at, updated_at",
        "samples": "id, speaker_id, space_id, vector, pcm_sha256, source_name, net_speech_s,"
        " quality, overrides, created_at",
        "centroids": "",
        "changes": "*",
        "embedding_spaces": "*",
        "sqlite_sequence": "*",
    }
    before = {name: table(old, name, what) for name, what in columns.items()}
    assert len(before["samples"]) == 5
    assert upgrade.upgrade(old).current == SCHEMA_HEAD
    after = {name: table(old, name, what) for name, what in columns.items()}
    assert after == before
    store = Store.open(old)
    with store.read() as reader:
        assert [s.name for s in reader.speakers.all()] == ["alice", "carol", "dora"]
        for speaker in reader.speakers.all():
            assert (speaker.groups, speaker.metadata, speaker.expires_at) == ((), {}, None)
            assert speaker.standing().value == "active"
            assert all(sample.label == "" for sample in reader.samples.of(speaker.id))
        assert reader.centroids.count(SPACE.id) == 2
        assert reader.centroids.count(OTHER_SPACE.id) == 1
    assert maintenance.check(store) == []
    store.close()


def test_after_0002_samples_are_still_immutable(old: Path) -> None:
    upgrade.upgrade(old)
    with closing(sqlite3.connect(old)) as connection, pytest.raises(sqlite3.Error, match="immut"):
        connection.execute("UPDATE samples SET label = 'phone'")


def test_0002_can_be_taken_back(old: Path) -> None:
    before = {name: table(old, name) for name in ("speakers", "samples", "centroids", "changes")}
    upgrade.upgrade(old)
    downgrade(old, "0001")
    assert {name: table(old, name) for name in before} == before
    assert upgrade.status(old).current == "0001"
    assert upgrade.upgrade(old).state is SchemaState.CURRENT


def with_consents(
    tables: dict[str, list[tuple[object, ...]]],
) -> dict[str, list[tuple[object, ...]]]:
    """Return tables of before 0011 as it leaves them: no consent, and no use, is known."""
    return tables | {"speakers": [(*row, "[]", None, None) for row in tables["speakers"]]}


EVERY_TABLE = (
    *("speakers", "memberships", "samples", "centroids", "changes", "embedding_spaces"),
    "sqlite_sequence",
)


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    return restored("0002", tmp_path)


def test_0003_keeps_every_row_and_has_fitted_nothing(grouped: Path) -> None:
    before = {name: table(grouped, name) for name in EVERY_TABLE}
    assert len(before["samples"]) == 5
    assert len(before["memberships"]) == 2
    assert upgrade.upgrade(grouped).current == SCHEMA_HEAD
    assert {name: table(grouped, name) for name in EVERY_TABLE} == with_consents(before)
    store = Store.open(grouped)
    with store.read() as reader:
        assert reader.calibrations.list() == []
        assert reader.calibrations.in_use(SPACE.id) is None
        assert [speaker.groups for speaker in reader.speakers.all()] == [("night", "staff"), ()]
    assert maintenance.check(store) == []
    store.close()


def test_0003_can_be_taken_back_and_keeps_every_speaker(grouped: Path) -> None:
    before = {name: table(grouped, name) for name in EVERY_TABLE}
    upgrade.upgrade(grouped)
    downgrade(grouped, "0002")
    assert {name: table(grouped, name) for name in EVERY_TABLE} == before
    assert upgrade.status(grouped).current == "0002"
    assert upgrade.upgrade(grouped).state is SchemaState.CURRENT


def test_0003_weighs_both_bands_alike_and_tells_the_index(grouped: Path) -> None:
    """One of carol's two samples is made a telephone's, as an older program would have had it."""
    with closing(sqlite3.connect(grouped)) as connection, connection:
        query = "SELECT sql FROM sqlite_master WHERE name = 'samples_are_immutable'"
        trigger = connection.execute(query).fetchone()
        connection.execute("DROP TRIGGER samples_are_immutable")
        connection.execute(
            "UPDATE samples SET quality = replace(quality, 'noisy', 'narrowband') WHERE id ="
            " (SELECT min(id) FROM samples WHERE speaker_id = 3 AND space_id = ?)",
            (SPACE.id,),
        )
        connection.execute(
            "UPDATE centroids SET n_narrowband = 1 WHERE speaker_id = 3 AND space_id = ?",
            (SPACE.id,),
        )
        connection.execute(*trigger)
    before, fed = table(grouped, "centroids"), table(grouped, "changes")
    upgrade_to(grouped, "0003")
    after = table(grouped, "centroids")
    # Of one sample of each kind the mean is what it was; what is new is that it was made again.
    [mixed] = [row[0] for row in before if row[1:3] == (3, SPACE.id)]
    assert [row for row in after if row[0] != mixed] == [row for row in before if row[0] != mixed]
    assert [row[1] for row in table(grouped, "changes")[len(fed) :]] == [mixed]
    store = Store.open(grouped)
    assert maintenance.check(store) == []
    store.close()


@pytest.fixture
def fitted(tmp_path: Path) -> Path:
    return restored("0003", tmp_path)


FITTED_TABLES = (*EVERY_TABLE, "calibrations", "cohorts", "adaptations")


def test_0004_keeps_every_row_and_no_model_was_changed(fitted: Path) -> None:
    before = {name: table(fitted, name) for name in FITTED_TABLES}
    assert (len(before["samples"]), len(before["calibrations"])) == (4, 2)
    upgrade_to(fitted, "0004")
    assert {name: table(fitted, name) for name in FITTED_TABLES} == before
    store = Store.open(fitted)
    with store.read() as reader:
        assert reader.switches.list() == []
        assert reader.spaces.current(SPACE.id) == SPACE.id
        assert reader.adaptations.in_use(SPACE.id) is not None
        assert [(s.name, s.n_samples) for s in reader.speakers.all()] == [
            ("alice", 2),
            ("Carol", 2),
        ]
    assert maintenance.check(store) == []
    store.close()


def test_0004_can_be_taken_back_though_the_model_was_switched(fitted: Path) -> None:
    before = {name: table(fitted, name) for name in (*EVERY_TABLE, "adaptations")}
    upgrade.upgrade(fitted)
    store = Store.open(fitted)
    with store.write() as writer:
        writer.switches.switch(writer.switches.begin(SPACE.id, OTHER_SPACE))
    store.close()
    downgrade(fitted, "0003")
    after = {name: table(fitted, name) for name in before}
    assert {k: v for k, v in after.items() if k != "sqlite_sequence"} == {
        k: v for k, v in before.items() if k != "sqlite_sequence"
    }
    assert upgrade.status(fitted).current == "0003"
    assert upgrade.upgrade(fitted).state is SchemaState.CURRENT


@pytest.fixture
def switched(tmp_path: Path) -> Path:
    return restored("0004", tmp_path)


def test_0005_changes_nothing_in_a_file_and_can_be_taken_back(switched: Path) -> None:
    """It is about PostgreSQL's codes: see test_postgres.py."""
    tables = (*FITTED_TABLES, "model_changes", "sqlite_master")
    before = {name: table(switched, name) for name in tables}
    assert (len(before["samples"]), len(before["model_changes"])) == (6, 1)
    upgrade_to(switched, "0005")
    assert {name: table(switched, name) for name in tables} == before
    downgrade(switched, "0004")
    assert {name: table(switched, name) for name in tables} == before
    assert upgrade.status(switched).current == "0004"
    store = Store.open(switched)
    with store.read() as reader:
        assert reader.spaces.current(SPACE.id) == OTHER_SPACE.id
    assert maintenance.check(store) == []
    store.close()


def test_0006_drops_cohorts_and_the_calibrations_of_scores_that_they_normalised(
    switched: Path,
) -> None:
    before = {name: table(switched, name) for name in (*EVERY_TABLE, "adaptations")}
    [(_, normalised), plain] = table(switched, "calibrations", "id, facts")
    assert '"normalization": {"cohort": 1' in str(normalised)
    [(voices,)] = table(switched, "cohorts", "vectors")
    upgrade_to(switched, "0006")
    after = {name: table(switched, name) for name in before}
    del before["sqlite_sequence"], after["sqlite_sequence"]
    assert after == before
    assert table(switched, "calibrations", "id, facts") == [plain]
    assert table(switched, "sqlite_master", "name").count(("cohorts",)) == 0
    assert isinstance(voices, bytes)
    assert voices[:64] not in switched.read_bytes()
    store = Store.open(switched)
    with store.read() as reader:
        assert reader.calibrations.in_use(SPACE.id) is None, "the card decides"
    assert maintenance.check(store) == []
    store.close()


def test_0006_can_be_taken_back_and_0005_can_read_every_calibration(switched: Path) -> None:
    upgrade_to(switched, "0006")
    with closing(sqlite3.connect(switched)) as connection, connection:  # as 0006 writes one
        connection.execute(
            "INSERT INTO calibrations (space_id, created_at, source, facts)"
            " SELECT space_id, created_at, source, replace(facts, ', \"normalization\": null', '')"
            " FROM calibrations"
        )
    [_, added] = table(switched, "calibrations", "id, facts")
    assert "normalization" not in str(added)
    downgrade(switched, "0005")
    found = [json.loads(str(facts)) for (facts,) in table(switched, "calibrations", "facts")]
    assert [one["calibration"]["normalization"] for one in found] == [None, None]
    assert table(switched, "cohorts") == []
    assert upgrade.upgrade(switched).state is SchemaState.CURRENT


def test_0008_keeps_every_row_and_can_be_taken_back_with_an_erasure_pending(tmp_path: Path) -> None:
    path = restored("0005", tmp_path)
    tables = ("speakers", "samples", "centroids", "memberships", "adaptations", "model_changes")
    before = {name: table(path, name) for name in tables}
    assert upgrade.upgrade(path).current == SCHEMA_HEAD
    assert {name: table(path, name) for name in tables} == with_consents(before)
    store = Store.open(path)
    with store.read() as reader:
        assert reader.erasures.pending() is None
        first = reader.speakers.all()[0]
    with store.write() as writer:
        writer.speakers.remove(first.id)
    assert maintenance.check(store) == []
    store.close()
    downgrade(path, "0005")
    with closing(sqlite3.connect(path)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "erasures" not in names
    assert upgrade.upgrade(path).state is SchemaState.CURRENT


def test_an_upgrade_says_once_what_it_removed_that_an_operator_had_made(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for revision, removed in (
        ("0005", ["2 calibrations", "1 cohort"]),
        ("0008", ["1 calibration"]),
    ):
        data.mkdir()
        restored(revision, data).rename(data / DATABASE_NAME)
        said: list[str] = []
        for _ in range(2):  # the second finds it current
            with VoiceID.open(data, home=tmp_path, notify=said.append) as vid:
                assert vid.speakers.count()
                assert vid.database.upgrade().removed == ()
        assert len(said) == len(removed)
        assert all(what in sentence for what, sentence in zip(removed, said, strict=True))
        assert "`voiceid calibrate`" in said[0]
        restored(revision, data).rename(data / DATABASE_NAME)
        with VoiceID.open(data, home=tmp_path) as vid:
            assert vid.database.upgrade().removed == tuple(said)
        shutil.rmtree(data)


@pytest.fixture
def banded(tmp_path: Path) -> Path:
    """Alice and dora have samples of both bands, each also in an adapted space."""
    return restored("0008", tmp_path)


def counted(path: Path) -> list[tuple[object, ...]]:
    return table(path, "centroids", "id, n_narrowband, n_samples")


def centroids_of(path: Path) -> dict[object, np.ndarray]:
    rows = table(path, "centroids", "id, vector")
    return {id_: np.frombuffer(vector, "<f4") for id_, vector in rows}


def plain_means(path: Path) -> dict[object, np.ndarray]:
    [(of_space, adapted, stored)] = table(path, "adaptations", "space_id, adapted_id, transform")
    transform = Transform.from_bytes(stored)
    samples = table(path, "samples", "id, speaker_id, space_id, vector")
    expected = {}
    for id_, speaker, space, *_ in table(path, "centroids"):
        base = of_space if space == adapted else space
        vectors = np.array(
            [np.frombuffer(row[3], "<f4") for row in samples if row[1:3] == (speaker, base)]
        )
        expected[id_] = centroid(transform.apply(vectors) if space == adapted else vectors)
    return expected


def test_0009_weighs_all_samples_alike_and_tells_the_index(banded: Path) -> None:
    kept = ("speakers", "samples", "memberships", "adaptations", "embedding_spaces")
    before, rows = centroids_of(banded), {name: table(banded, name) for name in kept}
    fed = table(banded, "changes")
    mixed = [id_ for id_, n_narrowband, n in counted(banded) if 0 < n_narrowband < n]
    spaces = [space for (space,) in table(banded, "embedding_spaces", "id")]
    places = [row[1:3] for row in table(banded, "centroids") if row[0] in mixed]
    [(adapted,)] = table(banded, "adaptations", "adapted_id")
    assert sorted(places) == sorted((who, s) for who in (1, 4) for s in (SPACE.id, adapted))
    assert len(spaces) == 3
    expected = plain_means(banded)
    assert upgrade.upgrade(banded).current == SCHEMA_HEAD
    after = centroids_of(banded)
    assert after.keys() == before.keys()
    for id_, vector in after.items():
        if id_ in mixed:
            np.testing.assert_allclose(vector, expected[id_], atol=1e-6)
            assert np.abs(vector - before[id_]).max() > 0.01, "it was weighed by bands"
        else:
            np.testing.assert_array_equal(vector, before[id_])
    assert {name: table(banded, name) for name in kept} == with_consents(rows)
    assert [row[1] for row in table(banded, "changes")[len(fed) :]] == mixed
    assert {row[0] for row in table(banded, "centroids", "telephone")} == {1.0}
    store = Store.open(banded)
    with store.read() as reader:
        owners = reader.centroids.owners(reader.centroids.table(SPACE.id).ids.tolist())
        assert {one.telephone for one in owners.values()} == {1.0}, "the higher threshold holds"
    assert maintenance.check(store) == []
    store.close()


def test_0009_deletes_calibrations_for_bands_and_the_card_decides(banded: Path) -> None:
    [(space, facts)] = table(banded, "calibrations", "space_id, facts")
    assert space == SPACE.id
    assert '"bands": ["wideband"]' in str(facts)
    store = Store.open(banded)  # upgrades
    with store.read() as reader:
        assert reader.calibrations.list() == []
        assert reader.calibrations.in_use(SPACE.id) is None
        assert [one.source for one in reader.adaptations.list()] == ["site.csv"]
    assert maintenance.check(store) == []
    store.close()


def test_0009_can_be_taken_back_with_counts_and_weights_of_bands(banded: Path) -> None:
    counts, before = counted(banded), centroids_of(banded)
    tables = ("speakers", "samples", "memberships", "adaptations", "sqlite_sequence")
    rows = {name: table(banded, name) for name in tables}
    upgrade.upgrade(banded)
    plain, fed = centroids_of(banded), table(banded, "changes")
    downgrade(banded, "0008")
    assert upgrade.status(banded).current == "0008"
    assert counted(banded) == counts
    back = centroids_of(banded)
    assert back.keys() == before.keys()
    for id_, vector in back.items():
        np.testing.assert_allclose(vector, before[id_], atol=1e-6)
    told = [row[1] for row in table(banded, "changes")[len(fed) :]]
    assert told == [id_ for id_, n_narrowband, n in counts if 0 < n_narrowband < n]
    after = {name: table(banded, name) for name in tables}
    for found in (rows, after):
        found["sqlite_sequence"] = [row for row in found["sqlite_sequence"] if row[0] != "changes"]
    assert after == rows
    assert upgrade.upgrade(banded).state is SchemaState.CURRENT
    for id_, vector in centroids_of(banded).items():
        np.testing.assert_allclose(vector, plain[id_], atol=1e-6)
    store = Store.open(banded)
    assert maintenance.check(store) == []
    store.close()


def test_0010_keeps_every_row_and_can_be_taken_back(tmp_path: Path) -> None:
    path = restored("0008", tmp_path)
    upgrade_to(path, "0009")
    before = table(path, "samples"), table(path, "centroids")
    assert upgrade.upgrade(path).current == SCHEMA_HEAD
    assert (table(path, "samples"), table(path, "centroids")) == before
    downgrade(path, "0009")
    assert (table(path, "samples"), table(path, "centroids")) == before
    assert upgrade.upgrade(path).state is SchemaState.CURRENT
