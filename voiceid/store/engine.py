"""Connections to SQLite, set up so that nothing committed is ever lost.

Write-ahead logging lets readers go on while one writer writes; ``synchronous=FULL`` puts
every commit on the disk before it is reported (a power cut loses nothing that was
answered); ``secure_delete`` overwrites what is removed.  Transactions are begun by this
module and not by Python's driver, which would begin them too late (see SQLAlchemy's notes
on pysqlite): a read is one snapshot, a write takes the lock at its start.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from voiceid.errors import StoreBusy, StoreError

_BEGIN_OPTION = "voiceid_begin"


def make_engine(path: Path, busy_timeout_ms: int) -> Engine:
    """Return an engine for the database file; nothing is opened yet."""
    url = URL.create("sqlite", database=str(path))  # a path may hold any character
    engine = create_engine(url, connect_args={"timeout": busy_timeout_ms / 1000})

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # no BEGIN of the driver's own
        for pragma in (
            "foreign_keys=ON",
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            f"busy_timeout={busy_timeout_ms}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        kind = connection.get_execution_options()[_BEGIN_OPTION]
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


@contextmanager
def transaction(engine: Engine, path: Path, *, immediate: bool) -> Iterator[Connection]:
    """Run one transaction; commit at the end, roll back on any exception.

    Raises
    ------
    StoreBusy, StoreError
    """
    kind = "IMMEDIATE" if immediate else "DEFERRED"
    with wrapped(path), engine.connect() as connection:
        connection.execution_options(**{_BEGIN_OPTION: kind})
        with connection.begin():
            yield connection


@contextmanager
def wrapped(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into errors that say what to do."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, OSError) as error:
        raise _typed(error, path) from error


def make_private(path: Path) -> None:
    """Make the data folder, and the database file, for their owner only: 0700 and 0600.

    Raises
    ------
    StoreError
    """
    with wrapped(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _typed(error: Exception, path: Path) -> StoreError:
    cause: Any = error.orig if isinstance(error, DBAPIError) and error.orig else error
    said = " ".join(str(cause).split())
    if isinstance(error, OperationalError | sqlite3.OperationalError) and "locked" in said:
        return StoreBusy(f"the database {path} is being written to by another process")
    if isinstance(error, OSError) and not isinstance(error, DBAPIError):
        return StoreError(
            f"the database {path} cannot be opened: {error.strerror}",
            hint="Point --data (or `data:` in config.yaml) at a folder that you may write to.",
        )
    if isinstance(error, DatabaseError | sqlite3.DatabaseError) and _is_damage(said):
        return StoreError(
            f"{path} is damaged, or is not a database of voiceid: {said}",
            hint="Put back a backup; what is there was left as it is.",
        )
    return StoreError(
        f"the database {path} failed: {said}",
        hint="Check that the disk is not full and that the folder may be written to.",
    )


def _is_damage(said: str) -> bool:
    return any(sign in said for sign in ("not a database", "malformed", "no such table"))
