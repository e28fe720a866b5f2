"""The schema's revisions: where a database is, and how it gets to this program's.

Alembic keeps the revisions (folder ``migrations``).  It is imported only when a migration
runs: one row and a constant show that a database is current, the case of every day.
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
"""At a file at rest, which is read without locks: another process may begin to write to it."""
_MIGRATING = threading.Lock()
"""Alembic's ``op`` is one per process: without it, threads migrate each other's databases."""


class SchemaState(enum.StrEnum):
    """A database's schema against this program's."""

    CURRENT = "current"
    """As this program writes it."""
    OUTDATED = "outdated"
    """Of an older voiceid: the next use upgrades it, and keeps a copy."""
    NEWER = "newer"
    """Of a newer voiceid: refused, and left as it is."""
    MISSING = "missing"
    """There is no database yet; the first enrolment makes it."""


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
        Of an upgrade: what it removed that an operator had made, and what is to be done, in
        sentences.
    """

    current: str | None
    head: str
    state: SchemaState
    removed: tuple[str, ...] = ()


def migrations_folder() -> Path:
    """Return where the revisions are."""
    return shipped("migrations")


def status(path: Path | DatabaseUrl, busy_timeout_ms: int = _DEFAULT_TIMEOUT_MS) -> SchemaStatus:
    """Read the schema and its revision; the file is not changed, and none appears beside it.

    Raises StoreError when there is anything in it that no revision of voiceid has made.

    An empty file counts as missing: SQLite, or a process killed at its start, leaves one of a
    database that was never written.
    """
    found: schema.Objects = {}
    if isinstance(path, DatabaseUrl):
        with opened(path, busy_timeout_ms) as connection:
            current = postgres.revision(connection, path)
            if current == SCHEMA_HEAD:
                postgres.require_own(connection, path)
    else:
        current, found = _read_file(path, busy_timeout_ms)
    if current in {None, SCHEMA_HEAD}:
        state = SchemaState.MISSING if current is None else SchemaState.CURRENT
    else:
        known = {script.revision for script in _scripts().walk_revisions()}
        state = SchemaState.OUTDATED if current in known else SchemaState.NEWER
    if isinstance(path, Path) and current is not None and state is not SchemaState.NEWER:
        require_schema(found, current, path)
    return SchemaStatus(current, SCHEMA_HEAD, state)


def require_schema(found: schema.Objects, revision: str, path: Path) -> None:
    """Raise StoreError unless a file's catalogue is that of a revision."""
    if revision == SCHEMA_HEAD and schema.fingerprint(found) == schema.SCHEMA_SHA256:
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        with transaction(engine_over(fresh), path, Begin.WRITE) as connection:
            run_migrations(connection, revision)
        expected = schema.objects(fresh)
    schema.require_same(found, expected, path)


def known_status(path: Path | DatabaseUrl, busy_timeout_ms: int) -> SchemaStatus:
    """Return the `status` of a database that this program can use; raises SchemaTooNew."""
    known = status(path, busy_timeout_ms)
    if known.state is SchemaState.NEWER:
        raise too_new(path, known)
    return known


def upgrade(path: Path | DatabaseUrl, busy_timeout_ms: int = _DEFAULT_TIMEOUT_MS) -> SchemaStatus:
    """Make the database, or bring it to this program's schema; return where it is then.

    Everything happens in one transaction that waits for its turn and looks again when it
    has it, so that processes may start at once.  In it, an older file is first copied to
    ``<name>.before-<revision>``, as it was.  On any error the database is as it was.
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
        made = _made(connection)
        run_migrations(connection)
        removed = tuple(_removals(made, _made(connection)))
        if isinstance(path, Path):
            _require_whole(connection, path)
    return replace(status(path, busy_timeout_ms), removed=removed)


_MADE = {
    "calibrations": (
        "calibration",
        "Until `voiceid calibrate` has measured again, the thresholds of the model's card decide.",
    ),
    "adaptations": ("adaptation", "`voiceid adapt` learns one again."),
    "cohorts": ("cohort", "Scores are not normalised any more; nothing is to be done."),
}
"""Tables of what an operator makes by a command and a migration may delete."""


def _made(connection: Connection) -> dict[str, int]:
    """Return how many rows each of those tables has."""
    there = set(inspect(connection).get_table_names()) & _MADE.keys()
    return {
        name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()  # noqa: S608
        for name in there
    }


def _removals(before: dict[str, int], after: dict[str, int]) -> Iterator[str]:
    for name, (word, advice) in _MADE.items():
        n_removed = before.get(name, 0) - after.get(name, 0)
        if n_removed > 0:
            what = f"1 {word}" if n_removed == 1 else f"{n_removed} {word}s"
            yield f"the upgrade of the database removed {what}, which no longer fit. {advice}"


def run_migrations(connection: Connection, target: str = "head") -> None:
    """Run what is missing up to a revision on an open connection, in its transaction."""
    from alembic.operations import Operations  # noqa: PLC0415 - 0.2 s, once per schema
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above

    scripts = _scripts()

    def steps(revision: Any, _context: object) -> Any:
        return scripts._upgrade_revs(target, revision)  # noqa: SLF001 - as Alembic's command does

    context = MigrationContext.configure(connection, opts={"fn": steps})
    with _MIGRATING, Operations.context(context):
        context.run_migrations()


def too_new(path: Path | DatabaseUrl, known: SchemaStatus) -> SchemaTooNew:
    """Return the error for a database of a newer program."""
    return SchemaTooNew(
        f"{path} has schema {known.current}, which this voiceid (schema {known.head})"
        " does not know; it was not touched"
    )


def _scripts() -> Any:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    return ScriptDirectory(str(migrations_folder()))


def open_untouched(path: Path, busy_timeout_ms: int) -> sqlite3.Connection:
    """Open for reading without leaving a trace.

    A write-ahead log means that a process is writing, or was killed at it: its pages count,
    and read-only mode leaves it where it is.  Without one the file alone is the database,
    and ``immutable`` keeps SQLite from making the log's files only to look.  That takes no
    locks, and so is for a thread that holds `OPENING`.
    """
    log = path.with_name(f"{path.name}-wal")
    how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{how}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_ms / 1000)
    distrust(connection, path)
    return connection


def _read_file(path: Path, busy_timeout_ms: int) -> tuple[str | None, schema.Objects]:
    """Return the revision, or None for a file with nothing in it, and what the catalogue says."""
    with wrapped(path), wrapped_files(path):
        if not path.exists() or (path.is_file() and path.stat().st_size == 0):
            return None, {}
        if not path.is_file():
            raise StoreError(
                f"{path} is a folder, a device or a pipe, and no database", hint="Name a file."
            )
        for _ in range(_LOOKS):
            before = resting_state(path)
            try:
                with OPENING, closing(open_untouched(path, busy_timeout_ms)) as connection:
                    read = _catalogue(connection, path)
            except (sqlite3.Error, StoreError):
                if before is None or resting_state(path) == before:
                    raise
                continue  # half of it was the file as it had been
            if before is None or resting_state(path) == before:
                return read
        raise StoreBusy(f"the database {path} is written to again and again while it is opened")


def _catalogue(connection: sqlite3.Connection, path: Path) -> tuple[str | None, schema.Objects]:
    """Return what `_read_file` does, of an open file."""
    found = schema.objects(connection)
    if not found:
        return None, {}
    if "table alembic_version" not in found:
        raise StoreError(
            f"{path} is a database of another program",
            hint="Point --data (or `data:` in config.yaml) at another folder.",
        )
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0]), found


def _revision(connection: Connection) -> object:
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _require_whole(connection: Connection, path: Path) -> None:
    """Check what was not enforced while the migrations ran: that every reference has its row."""
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise StoreError(
            f"{path} was not upgraded: rows in it refer to rows that are not there",
            hint="It was left as it was; put back a backup.",
        )
