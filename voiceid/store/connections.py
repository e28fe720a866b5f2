"""Connections and transactions, with settings for SQLite that lose no committed change.

Write-ahead logging lets readers go on while one writer writes; ``synchronous=FULL`` puts a commit,
with all before it, on the disk before it is reported; ``secure_delete`` overwrites removed content.
This module begins transactions, because Python's driver begins them too late (see SQLAlchemy's
notes on pysqlite): a read is one snapshot, a write takes the lock at its start.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    Pool,
    QueuePool,
    RootTransaction,
    StaticPool,
    create_engine,
    event,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError

from voiceid.domain import DatabaseUrl
from voiceid.errors import GalleryKeyMissing, StoreBusy, StoreError, StoreReadOnly
from voiceid.foreign_files import STORED_VALUE
from voiceid.store import postgres
from voiceid.store.postgres import BEGIN_OPTION, Begin
from voiceid.store.readonly_connection import (
    FileConnection,
    ReadOnlyConnection,
    open_read_only,
    require_named_log,
)
from voiceid.whole_files import whole_file

T = TypeVar("T")

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL}
_NOT_WRITABLE = {errno.EROFS, errno.ENOSPC, errno.EDQUOT}
_REFUSED = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
_PAGE_BYTES = 8192
"""Page size of a new database: holds seven samples of 192 dimensions, the default 4096 three."""
_RETRY_S = 0.005
_READERS_MS = 50
"""How long one try waits for readers and blocks writers: most readers are done by then."""
_READING_S, _LEAST_BYTES_PER_S = 30.0, 1e6
"""How long reading a file of unknown origin may take: far more than a sound file needs."""
_LOOK_AFTER = 100_000
"""Steps of SQLite's virtual machine between two looks at the clock: about a millisecond."""
_PRIMARY_CODE = 0xFF
"""SQLite keeps the kind of an error in the low byte of its extended code."""
OPENING = threading.Lock()
"""Held while a connection is made, and while a database file is opened in any other way.

Closing any descriptor of a file releases all POSIX locks that the process has on it, also those
of SQLite's connections: another process could then remove the log under them, with everything
they commit from then on (sqlite.org/howtocorrupt.html, 2.2).  So a file is opened without
SQLite's locks only while no connection of this process has it open.  The log shows that: it
exists from the opening of the first connection to the closing of the last.
"""


def make_engine(
    path: Path | DatabaseUrl, busy_timeout_ms: int, *, foreign_keys: bool = True
) -> Engine:
    """Return an engine for an existing database file, or for a server; nothing is opened yet.

    ``foreign_keys`` is off for migrations only: SQLite rebuilds a table to alter it, and
    dropping the old one would remove every row that refers to it.
    """
    if isinstance(path, DatabaseUrl):
        return postgres.make_engine(path, busy_timeout_ms)

    def connect() -> sqlite3.Connection:
        try:
            return open_file(path, busy_timeout_ms, foreign_keys=foreign_keys)
        except StoreError:
            engine.pool.dispose()  # idle connections may have a removed log open
            raise

    engine = _engine(connect, QueuePool, max_overflow=-1)  # a thread never waits for the pool
    return engine


def engine_over(connection: sqlite3.Connection) -> Engine:
    """Return an engine over the only connection to a database; the driver sends no BEGIN."""
    return _engine(lambda: connection, StaticPool)


def open_file(path: Path, busy_timeout_ms: int, *, foreign_keys: bool = True) -> sqlite3.Connection:
    """Connect to a database file that exists; see :func:`make_engine`."""
    with wrapped_files(path), OPENING:
        if (connected := open_read_only(path, OPENING)) is not None:
            connected.text_factory = _stored_text
            return connected
        file = require_named_log(path)
        # mode=rw: a removed database is an error, not an empty gallery.
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=busy_timeout_ms / 1000,
            factory=FileConnection,
            isolation_level=None,  # no BEGIN of the driver's own
            check_same_thread=False,  # the pool lends a connection to one thread at a time
        )
        connection.text_factory = _stored_text
        try:
            connection.execute("PRAGMA trusted_schema=OFF").close()
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, STORED_VALUE.size)
            if path.stat().st_size == 0:
                connection.execute(f"PRAGMA page_size={_PAGE_BYTES}").close()
            # SQLite does not retry this step, and its effect is permanent: only for new files.
            _retried(connection, "PRAGMA journal_mode=WAL", busy_timeout_ms)
            for pragma in (
                f"foreign_keys={int(foreign_keys)}",
                "synchronous=FULL",
                "secure_delete=ON",
                "schema_version",  # a first read, so that there is a log from here on
            ):
                connection.execute(f"PRAGMA {pragma}").close()
            connection.settle(path.absolute(), file)
        except BaseException:
            connection.close()
            raise
        return connection


def _stored_text(stored: bytes) -> str | bytes:
    """Return a text; bytes that are not UTF-8 unchanged, so that reading their row refuses them."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _engine(connect: Callable[[], sqlite3.Connection], pool: type[Pool], **settings: int) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=pool, **settings)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        kind = connection.get_execution_options()[BEGIN_OPTION]
        if kind is Begin.READ:
            connection.exec_driver_sql("BEGIN")
            return
        driver: Any = connection.connection.driver_connection
        level = "NORMAL" if kind is Begin.WRITE_UNSYNCED else "FULL"
        driver.execute(f"PRAGMA synchronous={level}").close()
        with _looking_evenly(driver) as timeout_ms:
            _retried(driver, "BEGIN IMMEDIATE", timeout_ms)

    @event.listens_for(engine, "checkout")
    def _checkout(driver_connection: Any, *_: object) -> None:
        is_file = isinstance(driver_connection, FileConnection | ReadOnlyConnection)
        if is_file and not driver_connection.is_usable():
            raise DisconnectionError  # the pool opens it again

    return engine


def transaction(
    engine: Engine, path: Path | DatabaseUrl, begin: Begin
) -> AbstractContextManager[Connection]:
    """Run one transaction; commit at the end, roll back on any exception."""
    return transaction_as(engine, path, begin, lambda connection: connection)


@contextmanager
def transaction_as(
    engine: Engine, path: Path | DatabaseUrl, begin: Begin, make: Callable[[Connection], T]
) -> Iterator[T]:
    """Run one transaction, and yield the object that ``make`` builds on its connection."""
    with wrapped(path), (begun := _begun(engine, begin)).connection as connection, begun:
        try:
            yield make(connection)
        except DBAPIError:  # a statement may be left half read, and hold an old snapshot
            if isinstance(engine.pool, QueuePool):
                connection.invalidate()
            raise
        try:
            begun.commit()
        except DBAPIError as error:
            if isinstance(path, DatabaseUrl) and begin.writes and postgres.is_cut(error):
                raise postgres.unknown_outcome(error, path) from error
            raise


def _begun(engine: Engine, begin: Begin, *, may_be_cut: bool = True) -> RootTransaction:
    """Begin a transaction, on a new connection if an idle one to a server was cut."""
    connection = engine.connect()
    try:
        connection.execution_options(**{BEGIN_OPTION: begin})
        return connection.begin()
    except BaseException as error:
        connection.close()
        if not (may_be_cut and getattr(error, "connection_invalidated", False)):
            raise
    return _begun(engine, begin, may_be_cut=False)


@contextmanager
def opened(
    path: Path | DatabaseUrl,
    busy_timeout_ms: int,
    begin: Begin = Begin.READ,
    *,
    foreign_keys: bool = True,
) -> Iterator[Connection]:
    """Open a database for one transaction only, and run it; see :func:`transaction`."""
    engine = make_engine(path, busy_timeout_ms, foreign_keys=foreign_keys)
    try:
        with transaction(engine, path, begin) as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def wrapped(path: Path | DatabaseUrl) -> Iterator[None]:
    """Turn errors of the database driver into errors that say what to do."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        if isinstance(path, DatabaseUrl) and isinstance(error, DBAPIError):
            raise postgres.typed(error, path) from error
        raise _typed(error, path) from error
    except UnicodeDecodeError as error:  # from a message that quotes damaged text
        raise _damaged(path, "text in it is not UTF-8") from error


@contextmanager
def wrapped_files(path: Path) -> Iterator[None]:
    """Turn file system errors about the database into errors that say what to do."""
    try:
        yield
    except OSError as error:
        kind = StoreReadOnly if error.errno in _NOT_WRITABLE else StoreError
        raise kind(
            f"the database {path} cannot be opened: {error.strerror or error}",
            hint="Point --data (or `data:` in config.yaml) at a folder that you may write to.",
        ) from error


def is_damage(error: StoreError) -> bool:
    """Whether SQLite, or Python's reading of it, found bytes that are not a sound database."""
    return _code(error.__cause__) in _DAMAGE or isinstance(error.__cause__, UnicodeDecodeError)


def is_refusal(error: StoreError) -> bool:
    """Whether the file could not be opened, which says nothing about its content."""
    cause = error.__cause__
    return (
        isinstance(error, StoreBusy | GalleryKeyMissing)
        or isinstance(cause, OSError)
        or _code(cause) in _REFUSED
    )


def distrust(connection: sqlite3.Connection, path: Path) -> None:
    """Keep a connection to a file of unknown origin from running its code or running too long."""
    connection.execute("PRAGMA trusted_schema=OFF").close()
    size = path.stat().st_size if path.exists() else 0
    deadline = time.monotonic() + _READING_S + size / _LEAST_BYTES_PER_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _LOOK_AFTER)


def copy_pages(source: sqlite3.Connection, target: Path) -> None:
    """Copy every page by SQLite's backup API, also damaged pages."""
    with closing(sqlite3.connect(target)) as connection:
        source.backup(connection, progress=lambda status, *_: require_turn(status, target))


def require_turn(status: int, path: Path) -> None:
    """Raise StoreBusy when SQLite's backup says that others hold the database."""
    if status & _PRIMARY_CODE in _BUSY:
        raise _busy(path)


def make_private(path: Path) -> None:
    """Make the data folder, and the database file, for their owner only: 0700 and 0600.

    An existing folder keeps its permissions: it may hold other files.  An existing file is not
    opened: see `OPENING`.
    """
    with wrapped_files(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with OPENING, contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        path.chmod(0o600)


@contextmanager
def whole_database(target: Path) -> Iterator[Path]:
    """Yield an empty file that replaces a database at the end; see `whole_file`."""
    with wrapped_files(target):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(target) as file:
            yield Path(file.name)


def empty_log(connection: Any) -> bool:
    """Fold the log into the file and cut it; False if others used the log all the time."""
    with _looking_evenly(connection, _READERS_MS) as timeout_ms:
        deadline = time.monotonic() + timeout_ms / 1000
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(_RETRY_S)
    return True


@contextmanager
def _looking_evenly(connection: Any, at_once_ms: int = 0) -> Iterator[int]:
    """Let SQLite hardly wait, and yield how long the caller must wait instead.

    SQLite retries less and less often, at last ten times a second: new processes overtake the one
    that has waited longest.  When all retry equally often, all have the same chance.
    """
    [(timeout_ms,)] = connection.execute("PRAGMA busy_timeout").fetchall()
    connection.execute(f"PRAGMA busy_timeout={at_once_ms}").close()
    try:
        yield timeout_ms
    finally:
        connection.execute(f"PRAGMA busy_timeout={timeout_ms}").close()


def _retried(connection: sqlite3.Connection, statement: str, timeout_ms: int) -> None:
    """Execute a statement as soon as no other connection blocks it."""
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            connection.execute(statement).close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY_CODE not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def _typed(error: DBAPIError | sqlite3.Error, path: Path | DatabaseUrl) -> StoreError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    message = " ".join(str(cause).split())
    code = _code(cause)
    if code in _BUSY:
        return _busy(path)
    if code in _DAMAGE or "no such table" in message:
        return _damaged(path, message)
    if code == sqlite3.SQLITE_INTERRUPT:
        return StoreError(
            f"{path} takes longer to read than any database of voiceid of its size",
            hint="Nothing was changed; take another backup.",
        )
    if code == sqlite3.SQLITE_TOOBIG:
        return StoreError(f"{path} cannot be read: {STORED_VALUE.exceeded()}")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return StoreError(
            f"the database {path} refused a change that breaks its rules: {message}",
            hint="Nothing was changed.",
        )
    kind = StoreReadOnly if code in _READ_ONLY else StoreError
    return kind(
        f"the database {path} failed: {message}",
        hint="Check that the disk is not full, and that you may write to the file and its folder.",
    )


def _code(error: BaseException | None) -> int:
    """Return the kind of a SQLite error, wrapped or not; 0 for any other."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(cause, "sqlite_errorcode", 0)) & _PRIMARY_CODE


def _busy(path: Path | DatabaseUrl) -> StoreBusy:
    return StoreBusy(f"the database {path} is being written to by another process")


def _damaged(path: Path | DatabaseUrl, problem: str) -> StoreError:
    return StoreError(
        f"{path} is damaged, or is not a database of voiceid: {problem}",
        hint="Restore a backup (`voiceid database restore FILE`); this file was not changed.",
    )
