"""The database: SQLAlchemy over SQLite or PostgreSQL, and the only way to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from voiceid.domain import DatabaseUrl
from voiceid.errors import SchemaOutdated, StoreError
from voiceid.store import upgrade
from voiceid.store.connections import empty_log, make_engine, require_current, transaction, wrapped
from voiceid.store.reader import Reader
from voiceid.store.writer import Writer

__all__ = ["Reader", "Store", "StoreOptions", "Writer"]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How to open the database.

    Parameters
    ----------
    busy_timeout_ms : int
        How long to wait for another process's write.
    auto_upgrade : bool
        Bring an older database to this program's schema, after a copy of it was made.
    """

    busy_timeout_ms: int = 10_000
    auto_upgrade: bool = True


class Store:
    """An open database.

    Safe to share among threads.  Not to be carried across a fork (SQLite forbids it): a
    process that forks opens its store in the child.
    """

    def __init__(self, engine: Engine, path: Path | DatabaseUrl) -> None:
        self._engine = engine
        self.path = path

    @classmethod
    def open(cls, path: Path | DatabaseUrl, options: StoreOptions | None = None) -> Store:
        """Open a database: a file, or of a server.

        Its tables are made when there are none, and upgraded when they are older.

        Raises
        ------
        SchemaTooNew
            A newer voiceid wrote it; it was not touched.
        SchemaOutdated
            It is older, and ``auto_upgrade`` is off.
        StoreError
            It is not a database of voiceid, is damaged, or cannot be written to.
        """
        options = options or StoreOptions()
        found = upgrade.status(path, options.busy_timeout_ms)
        if found.state is upgrade.SchemaState.NEWER:
            raise upgrade.too_new(path, found)
        if found.state is upgrade.SchemaState.OUTDATED and not options.auto_upgrade:
            raise SchemaOutdated(
                f"{path} has schema {found.current}, and this voiceid needs {found.head}"
            )
        if found.state is not upgrade.SchemaState.CURRENT:
            upgrade.upgrade(path, options.busy_timeout_ms)
        return cls(make_engine(path, options.busy_timeout_ms), path)

    def close(self) -> None:
        """Close all connections; the last process to do so folds the log into the file."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """One snapshot: whatever others write meanwhile, its answers agree.

        Raises
        ------
        StoreBusy, StoreError
        """
        with transaction(self._engine, self.path, immediate=False) as connection:
            yield Reader(connection)

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """One change: it waits for its turn, and is on the disk at the end, or not at all.

        What it erased (`Writer.erased`) may still be in the log, in index files and in kept
        audio: the caller sees to those, then to `Writer.erasures`.

        Raises
        ------
        StoreBusy, StoreError
        """
        with transaction(self._engine, self.path, immediate=True) as connection:
            yield Writer(connection)

    def erase_remains(self) -> bool:
        """Empty the write-ahead log, which keeps removed rows.

        Returns
        -------
        bool
            False when another reader held on to the log for longer than the busy timeout.
        """
        if isinstance(self.path, DatabaseUrl):
            return True  # a server keeps its own log
        with (
            wrapped(self.path),
            contextlib.closing(self._engine.raw_connection()) as connection,
        ):
            return empty_log(connection.driver_connection)

    def copy_into(self, file: Path) -> None:
        """Write one consistent state, whatever others do meanwhile, to an empty or new file.

        Only what is there is copied: nothing that was removed lingers in the copy.

        Raises
        ------
        StoreBusy, StoreError
        """
        self._alone("VACUUM INTO ?", str(file))

    def _alone(self, statement: str, *values: str) -> Any:
        """Run a statement that SQLite takes outside of transactions only; return its row."""
        if isinstance(self.path, DatabaseUrl):
            raise StoreError(
                f"{self.path} is not a file, and is not copied as one",
                hint="Use the server's own pg_dump, or `voiceid database copy` to a file.",
            )
        with (
            wrapped(self.path),
            contextlib.closing(self._engine.raw_connection()) as connection,
            contextlib.closing(connection.cursor()) as cursor,
        ):
            row = cursor.execute(statement, values).fetchone()
            require_current(connection)
            return row
