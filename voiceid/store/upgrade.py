"""The schema's revisions: the revision of a database, and its upgrade to this program's.

Alembic keeps the revisions (folder ``migrations``).  It is imported only when a migration
runs: one row and a constant show that a database is current, the usual case.
"""

from __future__ import annotations

import enum
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from voiceid.domain import DatabaseUrl
from voiceid.errors import SchemaTooNew, StoreBusy, StoreError
from voiceid.shipped import SCHEMA_HEAD, shipped
from voiceid.store import postgres, schema
from voiceid.store.connections import (
    OPENING,
    copy_pages,
    distrust,
    engine_over,
    make_private,
    opened,
    transaction,
    whole_database,
    wrapped,
    wrapped_files,
)
from voiceid.store.postgres import Begin
from voiceid.store.readonly_connection import resting_state

_DEFAULT_TIMEOUT_MS = 10_000
_LOOKS = 10
"""Tries to read a file at rest without locks: another process may begin to write to it."""
_MIGRATING = threading.Lock()
"""Alembic's ``op`` is global: without this lock, threads migrate each other's databases."""


class SchemaState(enum.StrEnum):
    """A database's schema against this program's."""

    CURRENT = "current"
    """As this program writes it."""
    OUTDATED = "outdated"
    """From an older voiceid: the next use upgrades it, and keeps a copy."""
    NEWER = "newer"
    """From a newer voiceid: refused, and not changed."""
    MISSING = "missing"
    """There is no database yet; the first enrolment creates it."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """A database's schema, and the one that this program writes.

    Parameters
    ----------
    current : str or None
        The database's revision; None when there is no database.
    head : str
        This program's revision.
    removed : tuple of str
        After an upgrade: what it removed of an operator's work, and what to do, in sentences.
    """

    current: str | None
    head: str
    state: SchemaState
    removed: tuple[str, ...] = ()


def migrations_folder() -> Path:
    """Return the folder of the revisions."""
    return shipped("migrations")


def status(path: Path | DatabaseUrl, busy_timeout_ms: int = _DEFAULT_TIMEOUT_MS) -> SchemaStatus:
    """Read the schema and its revision; the file is not changed, and none appears beside it.

    Raises StoreError when it holds objects that no revision of voiceid made.

    An empty file counts as missing: SQLite, or a process killed at its start, leaves an empty file
    for a database that was never written.
    """
    catalogue: schema.Objects = {}
    if isinstance(path, DatabaseUrl):
        with opened(path, busy_timeout_ms) as connection:
            current = postgres.revision(connection, path)
            if current == SCHEMA_HEAD:
                postgres.require_own(connection, path)
    else:
        current, catalogue = _read_file(path, busy_timeout_ms)
    if current in {None, SCHEMA_HEAD}:
        state = SchemaState.MISSING if current is None else SchemaState.CURRENT
    else:
        revisions = {script.revision for script in _scripts().walk_revisions()}
        state = SchemaState.OUTDATED if current in revisions else SchemaState.NEWER
    if isinstance(path, Path) and current is not None and state is not SchemaState.NEWER:
        require_schema(catalogue, current, path)
    return SchemaStatus(current, SCHEMA_HEAD, state)


def require_schema(catalogue: schema.Objects, revision: str, path: Path) -> None:
    """Raise StoreError unless a file's catalogue is that of a revision."""
    if revision == SCHEMA_HEAD and schema.fingerprint(catalogue) == schema.SCHEMA_SHA256:
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        with transaction(engine_over(fresh), path, Begin.WRITE) as connection:
            run_migrations(connection, revision)
        expected = schema.objects(fresh)
    schema.require_same(catalogue, expected, path)


def known_status(path: Path | DatabaseUrl, busy_timeout_ms: int) -> SchemaStatus:
    """Return the `status` of a database that this program can use; raises SchemaTooNew."""
    database = status(path, busy_timeout_ms)
    if database.state is SchemaState.NEWER:
        raise too_new(path, database)
    return database


def upgrade(path: Path | DatabaseUrl, busy_timeout_ms: int = _DEFAULT_TIMEOUT_MS) -> SchemaStatus:
    """Create the database, or upgrade it to this program's schema; return the new status.

    Everything happens in one transaction that waits for its turn and then checks again, so that
    several processes may start at once.  In it, an older file is first copied unchanged to
    ``<name>.before-<revision>``.  On any error the database is unchanged.
    """
    before = known_status(path, busy_timeout_ms)
    if before.state is SchemaState.CURRENT:
        return before
    if isinstance(path, Path):
        make_private(path)
    with opened(path, busy_timeout_ms, Begin.WRITE, foreign_keys=False) as connection:
        # Another process may have upgraded it while this one waited for its turn.
        if before.current and isinstance(path, Path) and _revision(connection) != SCHEMA_HEAD:
            saved = path.with_name(f"{path.name}.before-{SCHEMA_HEAD}")
            with whole_database(saved) as unfinished, closing(sqlite3.connect(path)) as old:
                copy_pages(old, unfinished)
        n_made = _made(connection)
        run_migrations(connection)
        removed = tuple(_removals(n_made, _made(connection)))
        if isinstance(path, Path):
            _require_whole(connection, path)
    return replace(status(path, busy_timeout_ms), removed=removed)


_MADE = {
    "calibrations": (
        "calibration",
        "Until `voiceid calibrate` has measured again, the thresholds of the model's card decide.",
    ),
    "adaptations": ("adaptation", "`voiceid adapt` learns a new one."),
    "cohorts": ("cohort", "Scores are no longer normalised; there is nothing to do."),
}
"""Tables that an operator fills by a command and a migration may empty."""


def _made(connection: Connection) -> dict[str, int]:
    """Return the number of rows in each of those tables."""
    tables = set(inspect(connection).get_table_names()) & _MADE.keys()
    return {
        name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()  # noqa: S608
        for name in tables
    }


def _removals(before: dict[str, int], after: dict[str, int]) -> Iterator[str]:
    for name, (word, advice) in _MADE.items():
        n_removed = before.get(name, 0) - after.get(name, 0)
        if n_removed > 0:
            counted = f"1 {word}" if n_removed == 1 else f"{n_removed} {word}s"
            yield f"the upgrade of the database removed {counted}, which no longer fit. {advice}"


def run_migrations(connection: Connection, target: str = "head") -> None:
    """Run the missing migrations up to a revision, in the transaction of a connection."""
    from alembic.operations import Operations  # noqa: PLC0415 - 0.2 s, once per schema
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above

    scripts = _scripts()

    def steps(revision: Any, _context: object) -> Any:
        return scripts._upgrade_revs(target, revision)  # noqa: SLF001 - as Alembic's command does

    context = MigrationContext.configure(connection, opts={"fn": steps})
    with _MIGRATING, Operations.context(context):
        context.run_migrations()


def too_new(path: Path | DatabaseUrl, database: SchemaStatus) -> SchemaTooNew:
    """Return the error for a database from a newer program."""
    return SchemaTooNew(
        f"{path} has schema {database.current}, which this voiceid (schema {database.head})"
        " does not know; it was not touched"
    )


def _scripts() -> Any:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    return ScriptDirectory(str(migrations_folder()))


def open_untouched(path: Path, busy_timeout_ms: int) -> sqlite3.Connection:
    """Open a database for reading without leaving a trace.

    A write-ahead log means that a process is writing, or was killed while it wrote: its pages
    count, and read-only mode leaves it in place.  Without a log the file alone is the database,
    and ``immutable`` keeps SQLite from creating the log's files.  That takes no locks, so only a
    thread that holds `OPENING` may do it.
    """
    log = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_ms / 1000)
    distrust(connection, path)
    return connection


def _read_file(path: Path, busy_timeout_ms: int) -> tuple[str | None, schema.Objects]:
    """Return the revision, or None for an empty file, and the catalogue."""
    with wrapped(path), wrapped_files(path):
        if not path.exists() or (path.is_file() and path.stat().st_size == 0):
            return None, {}
        if not path.is_file():
            raise StoreError(
                f"{path} is a folder, a device or a pipe, not a database", hint="Name a file."
            )
        for _ in range(_LOOKS):
            before = resting_state(path)
            try:
                with OPENING, closing(open_untouched(path, busy_timeout_ms)) as connection:
                    read = _catalogue(connection, path)
            except (sqlite3.Error, StoreError):
                if before is None or resting_state(path) == before:
                    raise
                continue  # the read mixed the old and the new content
            if before is None or resting_state(path) == before:
                return read
        raise StoreBusy(f"other processes keep writing to the database {path} while it is opened")


def _catalogue(connection: sqlite3.Connection, path: Path) -> tuple[str | None, schema.Objects]:
    """Return the revision and the catalogue of an open file, as `_read_file` does."""
    catalogue = schema.objects(connection)
    if not catalogue:
        return None, {}
    if "table alembic_version" not in catalogue:
        raise StoreError(
            f"{path} is a database of another program",
            hint="Point --data (or `data:` in config.yaml) at another folder.",
        )
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0]), catalogue


def _revision(connection: Connection) -> object:
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _require_whole(connection: Connection, path: Path) -> None:
    """Check that every reference has its row, which was not enforced during migrations."""
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise StoreError(
            f"{path} was not upgraded: some of its rows refer to missing rows",
            hint="The file was not changed; restore a backup.",
        )
