"""The schema's revisions: where a database is, and how it gets to this program's.

Alembic keeps the revisions (folder ``migrations``).  It is imported only when a migration
runs: a database that is current, the case of every day, is told by one row and a constant.
"""

from __future__ import annotations

import enum
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from voiceid.errors import SchemaTooNew, StoreError
from voiceid.store.engine import make_engine, make_private, transaction, wrapped

SCHEMA_HEAD = "0001"
"""The newest revision in ``migrations``; a test keeps the two together."""

_DEFAULT_TIMEOUT_MS = 10_000


class SchemaState(enum.StrEnum):
    """A database's schema against this program's."""

    CURRENT = "current"
    OUTDATED = "outdated"
    NEWER = "newer"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """``current`` is the database's revision (None: there is no database), ``head`` this one's."""

    current: str | None
    head: str
    state: SchemaState


def migrations_folder() -> Path:
    """Return where the revisions are: inside the package when installed, else in the project."""
    package = Path(__file__).parents[1]
    shipped = package / "_shipped" / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def status(path: Path, busy_timeout_ms: int = _DEFAULT_TIMEOUT_MS) -> SchemaStatus:
    """Read the schema's revision; the file is not changed.

    Raises
    ------
    StoreError
        It is not a database, or not one of voiceid.
    """
    with wrapped(path):
        if not path.exists() or (path.is_file() and path.stat().st_size == 0):
            return SchemaStatus(None, SCHEMA_HEAD, SchemaState.MISSING)
        uri = f"{path.absolute().as_uri()}?mode=rw"
        timeout_s = busy_timeout_ms / 1000
        with closing(sqlite3.connect(uri, uri=True, timeout=timeout_s)) as connection:
            connection.execute("PRAGMA query_only=ON").close()
            current = _revision(connection, path)
    if current is None:
        return SchemaStatus(None, SCHEMA_HEAD, SchemaState.MISSING)
    if current == SCHEMA_HEAD:
        return SchemaStatus(current, SCHEMA_HEAD, SchemaState.CURRENT)
    known = _known_revisions()
    state = SchemaState.OUTDATED if current in known else SchemaState.NEWER
    return SchemaStatus(current, SCHEMA_HEAD, state)


def upgrade(path: Path, busy_timeout_ms: int = _DEFAULT_TIMEOUT_MS) -> SchemaStatus:
    """Make the database, or bring it to this program's schema; return where it is then.

    An older database is copied to ``<name>.before-<revision>`` first.  Everything happens in
    one transaction that waits for its turn, so that processes may start at once.

    Raises
    ------
    SchemaTooNew, StoreBusy, StoreError
    """
    before = status(path, busy_timeout_ms)
    if before.state is SchemaState.NEWER:
        raise too_new(path, before)
    if before.state is SchemaState.CURRENT:
        return before
    make_private(path)
    if before.state is SchemaState.OUTDATED:
        _copy(path, path.with_name(f"{path.name}.before-{SCHEMA_HEAD}"))
    engine = make_engine(path, busy_timeout_ms)
    try:
        with transaction(engine, path, immediate=True) as connection:
            run_migrations(connection)
    finally:
        engine.dispose()
    return status(path, busy_timeout_ms)


def run_migrations(connection: Connection) -> None:
    """Run what is missing up to the head on an open connection, in its transaction."""
    from alembic.operations import Operations  # noqa: PLC0415 - 0.2 s, once per schema
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above

    scripts = _scripts()

    def steps(revision: Any, _context: object) -> Any:
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 - as Alembic's command does

    context = MigrationContext.configure(connection, opts={"fn": steps})
    with Operations.context(context):
        context.run_migrations()


def too_new(path: Path, found: SchemaStatus) -> SchemaTooNew:
    """Return the error for a database of a newer program."""
    return SchemaTooNew(
        f"{path} has schema {found.current}, which this voiceid (schema {found.head})"
        " does not know; it was not touched"
    )


def _scripts() -> Any:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    return ScriptDirectory(str(migrations_folder()))


def _known_revisions() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _revision(connection: sqlite3.Connection, path: Path) -> str | None:
    """Return the revision, or None for a database with nothing in it."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise StoreError(
            f"{path} is a database of another program",
            hint="Point --data (or `data:` in config.yaml) at another folder.",
        )
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _copy(path: Path, target: Path) -> None:
    """Copy a database while others may be using it (SQLite's backup API)."""
    with wrapped(path):
        make_private(target)
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
