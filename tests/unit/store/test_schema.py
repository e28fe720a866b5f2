"""A database of another hand is refused before anything in it runs or answers."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from random_voices import SPACE, random_unit, sample

from voiceid.domain import DatabaseUrl
from voiceid.errors import StoreError
from voiceid.store import KeyRing, Store, maintenance, schema, upgrade
from voiceid.store.restore import restore

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i)"
PLANTING = """
INSERT INTO calibrations (space_id, created_at, source, facts, used_since)
SELECT id, '2026-01-01', '', '{"calibration": {"slope": 1, "intercept": 1e300}}', '2026-01-01'
FROM embedding_spaces
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with one speaker in it."""
    path = tmp_path_factory.mktemp("sound") / "voices.sqlite3"
    with closing(Store.open(path)) as store, store.write() as writer:
        vector = random_unit(np.random.default_rng(1))
        writer.samples.add(writer.speakers.add("alice").id, SPACE, [sample(vector)])
    return path.read_bytes()


@pytest.fixture
def path(sound: bytes, tmp_path: Path) -> Path:
    file = tmp_path / "voices.sqlite3"
    file.write_bytes(sound)
    return file


def alter(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA journal_mode=DELETE; {script}")


def rewritten(name: str, old: str, new: str) -> str:
    """Change the text of an object in the catalogue, as SQLite lets its owner do."""
    change = f"SET sql = replace(sql, '{old}', '{new}') WHERE name = '{name}'"
    return f"PRAGMA writable_schema=ON; UPDATE sqlite_master {change}"


WAYS = {
    "trigger": (
        "CREATE TRIGGER late AFTER INSERT ON speakers BEGIN DELETE FROM changes; END",
        "trigger late is not voiceid's",
    ),
    "trigger of one's own name": (
        (
            "DROP TRIGGER samples_are_immutable; CREATE TRIGGER samples_are_immutable"
            " BEFORE UPDATE ON samples BEGIN SELECT 1; END"
        ),
        "trigger samples_are_immutable is not as",
    ),
    "no trigger": ("DROP TRIGGER samples_are_immutable", "samples_are_immutable is missing"),
    "view": (f"CREATE VIEW spare AS {ENDLESS} FROM n", "view spare is not voiceid's"),
    "view for a table": (
        f"DROP TABLE erasures; CREATE VIEW erasures AS {ENDLESS} AS id, '' AS created_at FROM n",
        "view erasures is not voiceid's",
    ),
    "view for the revision": (
        f"DROP TABLE alembic_version; CREATE VIEW alembic_version AS {ENDLESS} AS v FROM n",
        "database of another program",
    ),
    "table": ("CREATE TABLE spare (id INTEGER)", "table spare is not voiceid's"),
    "generated column": (
        "ALTER TABLE speakers ADD COLUMN spare AS (length(hex(zeroblob(100000000))))",
        "table speakers is not as",
    ),
    "index of an expression": (
        "CREATE INDEX spare ON speakers (length(name))",
        "index spare is not voiceid's",
    ),
    "partial index": (
        (
            "DROP INDEX uq_calibrations_in_use; CREATE UNIQUE INDEX uq_calibrations_in_use ON"
            " calibrations (space_id) WHERE id > 9"
        ),
        "index uq_calibrations_in_use is not as",
    ),
    "no check": (
        rewritten("centroids", "CHECK (n_samples > 0)", "CHECK (1)"),
        "table centroids is not as",
    ),
    "default": (
        rewritten("speakers", "expires_at VARCHAR", "expires_at VARCHAR DEFAULT 1"),
        "table speakers is not as",
    ),
    "no reference": (
        rewritten("samples", "REFERENCES speakers (id)", "REFERENCES changes (id)"),
        "table samples is not as",
    ),
    "virtual table": ("CREATE VIRTUAL TABLE spare USING fts5(x)", "table spare is not voiceid's"),
}


@pytest.mark.parametrize(("script", "said"), WAYS.values(), ids=WAYS)
def test_what_another_hand_added_or_dropped_is_named_and_nothing_of_it_runs(
    path: Path, tmp_path: Path, script: str, said: str
) -> None:
    alter(path, script)
    before, started = path.read_bytes(), time.monotonic()
    with pytest.raises(StoreError, match=said):
        Store.open(path)
    target = tmp_path / "data" / "voices.sqlite3"
    with pytest.raises(StoreError, match=said):
        restore(target, path, KeyRing(None))
    assert not target.exists()
    assert path.read_bytes() == before
    assert time.monotonic() - started < 20


def test_a_backup_that_is_changed_after_it_was_looked_at_is_not_put_back(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = upgrade.known_status

    def looked_at(file: Path, busy_timeout_ms: int) -> upgrade.SchemaStatus:
        found = known(file, busy_timeout_ms)
        alter(path, "CREATE TRIGGER late AFTER INSERT ON speakers BEGIN DELETE FROM changes; END")
        return found

    monkeypatch.setattr(upgrade, "known_status", looked_at)
    target = tmp_path / "data" / "voices.sqlite3"
    with pytest.raises(StoreError, match="trigger late is not voiceid's"):
        restore(target, path, KeyRing(None))
    assert not target.exists()


def test_an_older_database_of_another_hand_is_not_upgraded(path: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parent / "databases" / "0003.sql").read_text()
    older = tmp_path / "older.sqlite3"
    alter(older, f"{text}; CREATE TRIGGER late AFTER DELETE ON calibrations BEGIN SELECT 1; END")
    before = older.read_bytes()
    for act in (Store.open, upgrade.upgrade, lambda file: restore(path, file, KeyRing(None))):
        with pytest.raises(StoreError, match="trigger late is not voiceid's"):
            act(older)
    assert older.read_bytes() == before


def test_the_fingerprint_is_that_of_the_newest_revision(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert schema.fingerprint(schema.objects(connection)) == schema.SCHEMA_SHA256


def test_what_analyze_adds_does_no_harm(path: Path) -> None:
    alter(path, "ANALYZE")
    with closing(Store.open(path)) as store:
        assert maintenance.check(store) == []


def test_tables_of_statistics_are_those_of_sqlite_itself(path: Path) -> None:
    alter(path, f"ANALYZE; {rewritten('sqlite_stat1', 'stat)', 'stat DEFAULT 1)')}")
    with pytest.raises(StoreError, match="table sqlite_stat1 is not voiceid's"):
        Store.open(path)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE centroids SET telephone = 0", "totals of alice in "),
        ("UPDATE centroids SET telephone = 0.99", "totals of alice in "),
        ("UPDATE centroids SET telephone = 2", "totals of alice in "),
        ("UPDATE centroids SET n_samples = 2", "totals of alice in "),
        ("UPDATE centroids SET net_speech_s = 9e999", "speaker 1 in the database is damaged"),
        (PLANTING, "calibration 1"),
    ],
)
def test_planted_rows_are_not_put_back(
    path: Path, tmp_path: Path, statement: str, said: str
) -> None:
    alter(path, statement)
    with pytest.raises(StoreError, match=said):
        restore(tmp_path / "data" / "voices.sqlite3", path, KeyRing(None))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            (
                "CREATE TRIGGER late BEFORE UPDATE ON centroids FOR EACH ROW EXECUTE FUNCTION"
                " suppress_redundant_updates_trigger()"
            ),
            "trigger late on centroids",
        ),
        ("ALTER TABLE speakers ENABLE ROW LEVEL SECURITY", "row security of speakers"),
        ("CREATE RULE late AS ON DELETE TO samples DO INSTEAD NOTHING", "rule late on samples"),
        (
            "ALTER TABLE erasures RENAME TO kept; CREATE VIEW erasures AS SELECT * FROM kept",
            "table erasures",
        ),
    ],
)
def test_a_server_s_tables_have_nothing_of_another_hand(
    new_database: Callable[[str], DatabaseUrl], statement: str, said: str
) -> None:
    url = new_database("postgresql")
    with closing(Store.open(url)) as store, store.write() as writer:
        writer.connection.exec_driver_sql(statement)
    with pytest.raises(StoreError, match=said):
        Store.open(url)
