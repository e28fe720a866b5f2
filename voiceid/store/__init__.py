"""The database (SQLAlchemy over SQLite or PostgreSQL) and the only access to it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from voiceid.domain import DatabaseUrl
from voiceid.domain.audit_chain import AuditOptions
from voiceid.errors import SchemaOutdated, StoreError, StoreReadOnly, VoiceIDError
from voiceid.protection import KeyRing, Vault
from voiceid.store import postgres, upgrade
from voiceid.store.connections import empty_log, make_engine, transaction_as, wrapped
from voiceid.store.postgres import Begin
from voiceid.store.reader import Reader
from voiceid.store.writer import Writer

__all__ = ["KeyRing", "Reader", "Store", "StoreOptions", "Writer"]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How long to wait for another writer, and whether to upgrade an older database."""

    busy_timeout_ms: int = 10_000
    auto_upgrade: bool = True


class Store:
    """An open database, safe to share among threads.

    SQLite connections do not survive a fork: a process that forks opens its store in the child.
    """

    def __init__(
        self,
        engine: Engine,
        path: Path | DatabaseUrl,
        removed: tuple[str, ...] = (),
        keys: KeyRing | None = None,
        audit: AuditOptions | None = None,
    ) -> None:
        self._engine, self._audit = engine, audit
        self.keys = keys or KeyRing(None)
        """The keys that a protected gallery is opened with."""
        self.path = path
        self.removed = removed
        """What the schema upgrade at opening removed of an operator's work, in sentences."""

    @classmethod
    def open(
        cls,
        path: Path | DatabaseUrl,
        options: StoreOptions | None = None,
        keys: KeyRing | None = None,
        audit: AuditOptions | None = None,
    ) -> Store:
        """Open a database: a file, or one on a server.

        Missing tables are created, and an older schema is upgraded.  Raises SchemaTooNew,
        SchemaOutdated (``auto_upgrade`` is off) or StoreError; the database is then unchanged.
        """
        options = options or StoreOptions()
        schema = upgrade.known_status(path, options.busy_timeout_ms)
        if schema.state is upgrade.SchemaState.OUTDATED and not options.auto_upgrade:
            raise SchemaOutdated(
                f"{path} has schema {schema.current}, and this voiceid needs {schema.head}"
            )
        if schema.state is not upgrade.SchemaState.CURRENT:
            schema = upgrade.upgrade(path, options.busy_timeout_ms)
        engine = make_engine(path, options.busy_timeout_ms)
        return cls(engine, path, schema.removed, keys, audit)

    def close(self) -> None:
        """Close all connections; the last process to do so folds the log into the file."""
        self._engine.dispose()

    def read(self) -> AbstractContextManager[Reader]:
        """Begin a read: one snapshot, which other writers do not change."""
        read = partial(Reader, key_ring=self.keys)
        return transaction_as(self._engine, self.path, Begin.READ, read)

    def write(self, *, synced: bool = True) -> AbstractContextManager[Writer]:
        """Begin a write: it waits for its turn, and ends on the disk completely or not at all.

        A write that is not ``synced`` does not wait for the disk: all processes see it, it survives
        the end of this process, and a power cut may undo it until a later write is on the disk.

        What it erased (`Effects.erased`) may still be in the log, in index files and in kept
        audio: the caller clears those, then `Writer.erasures`.
        """
        begin = Begin.WRITE if synced else Begin.WRITE_UNSYNCED
        write = partial(Writer, key_ring=self.keys, audit=self._audit)
        return transaction_as(self._engine, self.path, begin, write)

    def append_event(self, kind: str, facts: Mapping[str, object]) -> Sequence[str]:
        """Append an audit event without a change; return a sentence if it cannot be written."""
        try:
            with self.write() as writer:
                writer.audit.append(kind, facts)
        except StoreReadOnly as error:
            return [f"{kind} is not in the audit chain: {error.message}"]
        return []

    def record_settings(self) -> Sequence[str]:
        """Append the settings to the audit chain if ``audit.record`` has changed.

        Return a sentence if they cannot be written.
        """
        if self._audit is None or not self._audit.settings:
            return []
        try:
            with self.read() as reader:
                if reader.audit.recorded() in {None, self._audit.record}:
                    return []
            with self.write() as writer:
                writer.audit.configure()
        except VoiceIDError as error:
            record = f"audit.record: {self._audit.record}"
            return [f"the setting {record} is not in the audit chain: {error.message}"]
        return []

    def sealing(self) -> Vault | None:
        """Return the vault that seals the files beside the database; None: they are plain."""
        with self.read() as reader:
            return reader.protection.sealing

    def rewrite(self) -> None:
        """Make a server rewrite its tables without the rows that no transaction sees."""
        if isinstance(self.path, DatabaseUrl):
            with wrapped(self.path):
                postgres.rewrite_tables(self._engine)

    def erase_remains(self) -> bool:
        """Empty the write-ahead log, which keeps removed rows; False when a reader holds it."""
        if isinstance(self.path, DatabaseUrl):
            return True  # a server keeps its own log
        with wrapped(self.path), contextlib.closing(self._engine.raw_connection()) as connection:
            return empty_log(connection.driver_connection)

    def copy_into(self, file: Path) -> None:
        """Write one consistent state to an empty or new file, while others may write.

        Only present rows are copied: the copy holds no traces of removed ones.
        """
        if isinstance(self.path, DatabaseUrl):
            raise StoreError(
                f"{self.path} is a database server, and cannot be copied as a file",
                hint="Use the server's own pg_dump, or `voiceid database copy` to a file.",
            )
        with (
            wrapped(self.path),
            contextlib.closing(self._engine.raw_connection()) as connection,
            contextlib.closing(connection.cursor()) as cursor,
        ):
            cursor.execute("VACUUM INTO ?", (str(file),))  # outside of transactions only
            connection.commit()  # raises if the file changed during the copy
