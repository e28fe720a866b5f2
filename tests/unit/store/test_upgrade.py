"""The schema's revisions: made from nothing, upgraded with a copy kept, refused when newer.

What an upgrade does when it fails is shown on a project of the future: the real migrations
with two more after them, in a folder of the test's own.  For what each real revision does to
a database with data in it see `test_revisions`.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import process_memory
import pytest
from alembic.script import ScriptDirectory
from random_voices import SPACE, random_unit, sample
from sqlalchemy import create_engine

from voiceid.errors import SchemaOutdated, SchemaTooNew, StoreBusy, StoreError
from voiceid.store import Store, StoreOptions, schema, upgrade
from voiceid.store.tables import metadata
from voiceid.store.upgrade import SCHEMA_HEAD, SchemaState, SchemaStatus

ROOT = Path(__file__).resolve().parents[3]

ALTER_SPEAKERS = """
import sqlalchemy as sa
from alembic import op

revision = "0901"
down_revision = "{head}"
branch_labels = depends_on = None


def upgrade():
    with op.batch_alter_table("speakers") as table:  # SQLite makes the table again and drops it
        table.add_column(sa.Column("note", sa.String(), nullable=False, server_default=""))
        table.alter_column("name", existing_type=sa.String(), type_=sa.String(128))
"""

FAIL = """
from alembic import op

revision = "0902"
down_revision = "0901"
branch_labels = depends_on = None


def upgrade():
    op.execute("CREATE TABLE half_done (id INTEGER)")
    op.execute("{statement}")
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of this revision with three speakers in it."""
    path, rng = tmp_path / "data" / "voices.sqlite3", np.random.default_rng(1)
    store = Store.open(path)
    with store.write() as writer:
        for name in ("alice", "bob", "carol"):
            vectors = random_unit(rng, 2)
            writer.samples.add(writer.speakers.add(name).id, SPACE, [sample(v) for v in vectors])
    store.close()
    return path


@pytest.fixture
def future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this program the one of the future; return the folder of its migrations."""
    folder = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", folder)
    (folder / "versions" / "0901_note.py").write_text(ALTER_SPEAKERS.format(head=SCHEMA_HEAD))
    monkeypatch.setattr(upgrade, "migrations_folder", lambda: folder)
    monkeypatch.setattr(upgrade, "SCHEMA_HEAD", "0901")
    return folder


def rows(path: Path) -> dict[str, list[object]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = ("speakers", "samples", "centroids", "changes")
        return {t: connection.execute(f"SELECT * FROM {t}").fetchall() for t in tables}  # noqa: S608


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_the_head_constant_is_alembics_head() -> None:
    assert ScriptDirectory(str(ROOT / "migrations")).get_heads() == [SCHEMA_HEAD]


@pytest.mark.usefixtures("from_scratch")
def test_the_migrated_schema_has_every_constraint_that_the_tables_declare(tmp_path: Path) -> None:
    upgrade.upgrade(tmp_path / "migrated.sqlite3")
    declared = create_engine(f"sqlite:///{tmp_path / 'declared.sqlite3'}")
    metadata.create_all(declared)
    declared.dispose()
    assert _parts(tmp_path / "migrated.sqlite3") == _parts(tmp_path / "declared.sqlite3")


def test_the_databases_of_other_tests_are_as_the_migrations_make_them(tmp_path: Path) -> None:
    dumps = []
    for way in (contextlib.nullcontext, process_memory.from_scratch):
        path = tmp_path / f"{way.__name__}.sqlite3"
        with way():
            upgrade.upgrade(path)
        with closing(sqlite3.connect(path)) as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1]


def _parts(path: Path) -> dict[str, list[str]]:
    """Return the clauses of each table and index, in an order that does not matter.

    A column that was added later stands at the end of its table, with its text as it came.
    """
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index')"
            " AND sql IS NOT NULL AND name NOT IN ('alembic_version', 'sqlite_sequence')"
        ).fetchall()
    return {name: schema._clauses(name, sql) for name, sql in found}


def test_the_status_says_where_a_database_is_and_leaves_no_trace(
    database: Path, tmp_path: Path
) -> None:
    before = contents(database.parent)
    assert upgrade.status(database) == SchemaStatus(SCHEMA_HEAD, SCHEMA_HEAD, SchemaState.CURRENT)
    assert contents(database.parent) == before
    missing = tmp_path / "nowhere" / "voices.sqlite3"
    assert upgrade.status(missing) == SchemaStatus(None, SCHEMA_HEAD, SchemaState.MISSING)
    assert not missing.parent.exists()


def test_a_database_that_is_written_to_while_it_is_opened_is_no_damaged_one(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At rest it is read without locks: here another process lays it out again meanwhile."""
    really, n_times = schema.objects, 1

    def looked_at(connection: sqlite3.Connection) -> schema.Objects:
        nonlocal n_times
        found = really(connection)
        n_times -= 1
        if n_times >= 0:
            size = 4096 if n_times % 2 == 0 else 8192
            with closing(sqlite3.connect(database)) as other:
                other.executescript(f"PRAGMA journal_mode=DELETE; PRAGMA page_size={size}; VACUUM")
        return found

    monkeypatch.setattr(schema, "objects", looked_at)
    assert upgrade.status(database).state is SchemaState.CURRENT
    assert n_times == -1, "it was not looked at again"
    n_times = 1000
    with pytest.raises(StoreBusy, match="keep writing"):
        upgrade.status(database)


def test_an_older_database_is_upgraded_on_opening_and_a_copy_kept(
    database: Path, future: Path
) -> None:
    before = rows(database)
    old = upgrade.status(database)
    assert (old.current, old.head, old.state) == (SCHEMA_HEAD, "0901", SchemaState.OUTDATED)
    store = Store.open(database)
    with store.read() as reader:
        assert [s.n_samples for s in reader.speakers.all()] == [2, 2, 2]
    store.close()
    assert upgrade.status(database).state is SchemaState.CURRENT
    after = rows(database)
    n_columns = len(before["speakers"][0])
    assert [row[:n_columns] for row in after.pop("speakers")] == before["speakers"]
    assert after == {k: v for k, v in before.items() if k != "speakers"}, "rows were lost"
    copy = database.with_name(f"{database.name}.before-0901")
    assert rows(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert {p.name for p in database.parent.iterdir()} == {database.name, copy.name}


def test_after_an_upgrade_the_store_enforces_its_references_again(
    database: Path, future: Path
) -> None:
    store = Store.open(database)
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get("alice").id)
    with pytest.raises(StoreError, match="FOREIGN KEY"), store.write() as writer:
        writer.samples.add(99, SPACE, [sample(random_unit(np.random.default_rng(2)))])
    store.close()
    assert [len(rows(database)[t]) for t in ("speakers", "samples", "centroids")] == [2, 4, 2]


def test_without_auto_upgrade_an_older_database_is_refused_untouched(
    database: Path, future: Path
) -> None:
    before = contents(database.parent)
    with pytest.raises(SchemaOutdated, match="0901") as refused:
        Store.open(database, StoreOptions(auto_upgrade=False))
    assert "database upgrade" in refused.value.hint
    assert contents(database.parent) == before
    assert upgrade.upgrade(database).state is SchemaState.CURRENT
    assert upgrade.upgrade(database).state is SchemaState.CURRENT


@pytest.mark.parametrize("statement", ["DROP TABLE nothing", "DELETE FROM embedding_spaces"])
def test_an_upgrade_that_fails_leaves_the_database_as_it_was(
    database: Path, future: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    failing = future / "versions" / "0902_fail.py"
    failing.write_text(FAIL.format(statement=statement))
    before = rows(database)
    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "SCHEMA_HEAD", "0902")
        with pytest.raises(StoreError) as failed:
            Store.open(database)
    assert failed.value.hint
    failing.unlink()
    assert upgrade.status(database).current == SCHEMA_HEAD
    assert rows(database) == before
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert ("half_done",) not in found
    Store.open(database).close()


@pytest.mark.parametrize("ask", [Store.open, upgrade.upgrade])
def test_a_newer_database_is_refused_byte_for_byte_untouched(
    database: Path, ask: Callable[[Path], object]
) -> None:
    set_revision(database, "9999")
    before = contents(database.parent)
    with pytest.raises(SchemaTooNew, match="9999") as refused:
        ask(database)
    assert refused.value.hint
    assert upgrade.status(database).state is SchemaState.NEWER
    assert contents(database.parent) == before


def test_a_newer_database_that_is_in_use_is_refused_and_its_log_stays(database: Path) -> None:
    with closing(sqlite3.connect(database)) as theirs:
        theirs.execute("UPDATE alembic_version SET version_num = '9999'")
        theirs.commit()
        before = contents(database.parent)
        assert f"{database.name}-wal" in before
        with pytest.raises(SchemaTooNew, match="9999"):  # which stands in the log only
            Store.open(database)
        after = contents(database.parent)
        for name in (database.name, f"{database.name}-wal"):
            assert after[name] == before[name]


@pytest.mark.usefixtures("from_scratch")
def test_many_threads_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    path, barrier, failures = tmp_path / "data" / "voices.sqlite3", threading.Barrier(8), []

    def start() -> None:
        barrier.wait()
        try:
            Store.open(path).close()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert upgrade.status(path).state is SchemaState.CURRENT


OPEN = """
import os, sys
from pathlib import Path
from voiceid.store import Store, upgrade
folder, path = Path(sys.argv[1]), Path(sys.argv[2])
if folder.name == "migrations":
    upgrade.migrations_folder = lambda: folder
    upgrade.SCHEMA_HEAD = "0901"
import alembic.runtime.migration, alembic.script  # so that all start at one moment
gate, start = os.pipe()
for name in sys.argv[3:]:
    if os.fork() == 0:
        os.close(start)
        os.read(gate, 1)
        store = Store.open(path)
        with store.write() as writer:
            writer.speakers.add(name)
        store.close()
        sys.exit()
os.close(start)
sys.exit(sum(os.wait()[1] for _ in sys.argv[3:]) != 0)
"""


@pytest.mark.parametrize("old", [False, True])
def test_many_processes_may_open_a_new_or_an_old_database_at_once(
    database: Path, future: Path, tmp_path: Path, old: bool
) -> None:
    path = database if old else tmp_path / "new" / "voices.sqlite3"
    folder = future if old else tmp_path
    before = rows(database)
    command = [sys.executable, "-c", OPEN, folder, path, *(f"s{n}" for n in range(5))]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    with closing(sqlite3.connect(path)) as connection:
        (n,) = connection.execute("SELECT count(*) FROM speakers").fetchone()
    assert n == 5 + (3 if old else 0)
    if old:
        assert rows(path.with_name(f"{path.name}.before-0901")) == before
