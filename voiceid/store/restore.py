"""Putting a backup back while other processes may have the database open.

Files are not swapped beneath open connections: SQLite's backup API writes the pages of the
backup as one transaction.  Only a database that SQLite cannot use is replaced, and only when no
process has it open.  The numbers of rows and revisions go on from where they were, on the other
side of a new token in the change feed: an index of the lost future sees that it is behind, and no
id is given twice.  (Of a database that cannot be read, the tokens alone keep indexes right.)
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from voiceid.domain.audit_chain import AuditOptions
from voiceid.errors import StoreBusy, StoreError
from voiceid.foreign_files import STORED_VALUE
from voiceid.store import KeyRing, Reader, Store, backup_signature, upgrade
from voiceid.store.connections import (
    OPENING,
    copy_pages,
    distrust,
    engine_over,
    is_damage,
    make_private,
    open_file,
    require_turn,
    transaction,
    whole_database,
    wrapped,
    wrapped_files,
)
from voiceid.store.maintenance import check
from voiceid.store.postgres import Begin
from voiceid.store.schema import objects
from voiceid.store.upgrade import SchemaState

_BUSY_TIMEOUT_MS = 10_000
_LOGS = ("-wal", "-shm")
_SHARED_BYTES = (510, 0x40000002)
"""Length and start of what each connection with a log keeps locked (sqlite.org/fileformat2.html,
1.3.1, and SQLite's os.h)."""
_BLOCK_BYTES, _SMALL_BYTES, _MOST_HOLES = 512, 1 << 26, 100
"""Of what a file has on the disk (POSIX), and how much more it may claim."""
_NO_CENTROID = 0
"""No centroid has this id: AUTOINCREMENT starts at 1."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and where what it replaced is; ``saved`` is None if there was nothing."""

    database: Path
    n_speakers: int
    saved: Path | None


Accept: TypeAlias = Callable[[Reader, Mapping[str, object], str], None]
"""Receives a backup, its signature and the SHA-256 that it is of; raises to refuse it."""


def restore(
    path: Path,
    file: Path,
    keys: KeyRing | None = None,
    audit: AuditOptions | None = None,
    accept: Accept = lambda *_: None,
) -> Restored:
    """Put a backup in the place of a database, in one step: it is the old one or the new one.

    The database may be in use, at rest, damaged, or missing; on an error it is as it was.  The
    backup is of this schema or an older one; it is only read.  That it was restored is in its audit
    chain when it is in place.  StoreBusy: another process held the database for too long, or has
    a damaged one open.
    """
    now, keys = datetime.now(UTC), keys or KeyRing(None)
    saved = path.with_name(f"{path.name}.before-restore-{now:%Y%m%dT%H%M%S.%fZ}")
    if path.exists() and file.exists() and path.samefile(file):
        raise StoreError(f"{file} is the database itself", hint="Name a copy of it.")
    with _sound_copy(file, keys, audit, accept) as (copy, n_speakers):
        try:
            upgrade.known_status(path, _BUSY_TIMEOUT_MS)
            was_there = _write_into(path, copy, saved)
        except StoreError as error:
            if not is_damage(error):
                raise
            _put_in_place(path, copy, saved)
            was_there = True
    return Restored(path, n_speakers, saved if was_there else None)


@contextmanager
def _sound_copy(
    file: Path, keys: KeyRing, audit: AuditOptions | None, accept: Accept
) -> Iterator[tuple[sqlite3.Connection, int]]:
    """Yield a checked copy of a backup, of this program's schema, and how many are enrolled.

    It is a temporary database of SQLite's, which has no name and is gone with its connection.
    """
    _require_written(file)
    schema = upgrade.known_status(file, _BUSY_TIMEOUT_MS)
    if schema.current is None:
        raise StoreError(f"there is no database in {file}", hint="Name a copy that has one.")
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as copy:
        with (
            wrapped(file),
            OPENING,
            closing(upgrade.open_untouched(file, _BUSY_TIMEOUT_MS)) as source,
        ):
            source.backup(copy, progress=lambda status, *_: require_turn(status, file))
            distrust(copy, file)
            upgrade.require_schema(objects(copy), schema.current, file)
        copy.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, STORED_VALUE.size)
        with wrapped(file):
            signed, sha256 = backup_signature.taken(copy)
        store = Store(engine_over(copy), file, keys=keys, audit=audit)
        if schema.state is SchemaState.OUTDATED:
            with transaction(engine_over(copy), file, Begin.WRITE) as connection:
                upgrade.run_migrations(connection)
        with store.read() as reader:
            accept(reader, signed, sha256)
        if problems := check(store):
            raise StoreError(
                f"{file} is damaged and was not put back:\n  {chr(10).join(problems)}",
                hint="Nothing was changed; take another backup.",
            )
        with store.read() as reader:
            _ = reader.revision  # there is a feed
            n_speakers = reader.speakers.count()
        with store.write() as writer:
            writer.audit.append("restore", {"speakers": n_speakers})
        yield copy, n_speakers


def _require_written(file: Path) -> None:
    """Raise StoreError for a file that is mostly holes: its pages would fill the disk."""
    if not file.is_file():
        return
    status = file.stat()
    on_disk = getattr(status, "st_blocks", status.st_size) * _BLOCK_BYTES  # not on Windows
    if status.st_size > max(_SMALL_BYTES, _MOST_HOLES * on_disk):
        raise StoreError(
            f"{file} has more than {_MOST_HOLES} times the bytes that are on the disk, the limit",
            hint="It is no backup: those have no holes.",
        )


def _write_into(path: Path, backup: sqlite3.Connection, saved: Path) -> bool:
    """Write a backup into a database as one transaction; return whether it had something in it."""
    kept: bool | None = None

    def with_the_lock(status: int, *_: int) -> None:
        # From its first step to its last the backup holds the lock on writing: what is saved
        # here is what is overwritten.
        nonlocal kept
        require_turn(status, path)
        if kept is None:
            kept = _keep(reader, copy, saved)

    if not path.exists() or path.stat().st_size == 0:
        _move_logs(path, saved)  # they are not of the file that comes
    make_private(path)
    with (
        wrapped(path),
        closing(open_file(path, _BUSY_TIMEOUT_MS)) as reader,
        closing(open_file(path, _BUSY_TIMEOUT_MS)) as live,
        _in_pages_of(live, backup, path) as copy,
    ):
        half = copy.execute("PRAGMA page_count").fetchone()[0] // 2
        try:
            copy.backup(live, pages=half, progress=with_the_lock)
        except (sqlite3.Error, StoreError):  # after Ctrl-C it may be done: then what is saved stays
            saved.unlink(missing_ok=True)
            raise
        with contextlib.suppress(sqlite3.Error):  # old pages linger in the log
            reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return bool(kept)


@contextmanager
def _in_pages_of(
    live: sqlite3.Connection, copy: sqlite3.Connection, path: Path
) -> Iterator[sqlite3.Connection]:
    """Yield the copy in pages as large as the database's, which cannot change with a log.

    Only a database with a name can be laid out again.
    """
    [bytes_] = live.execute("PRAGMA page_size").fetchone()
    if copy.execute("PRAGMA page_size").fetchone() == (bytes_,):
        yield copy
        return
    with wrapped_files(path), TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as name:
        copy_pages(copy, Path(name, "copy"))
        with closing(sqlite3.connect(Path(name, "copy"), isolation_level=None)) as same:
            same.executescript(f"PRAGMA page_size={bytes_}; VACUUM")
            yield same


def _keep(live: sqlite3.Connection, copy: sqlite3.Connection, saved: Path) -> bool:
    """Save what is there, and have the copy count on from its numbers; False if nothing is.

    A backup takes in what its own connection changes in the source meanwhile
    (sqlite.org/c3ref/backup_finish.html).
    """
    if not live.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return False
    with whole_database(saved) as unfinished:
        copy_pages(live, unfinished)
    numbers = dict(copy.execute("SELECT name, seq FROM sqlite_sequence"))
    for name, number in live.execute("SELECT name, seq FROM sqlite_sequence"):
        numbers[name] = max(number, numbers.get(name, 0))
    copy.execute("BEGIN")
    copy.execute("DELETE FROM sqlite_sequence")
    copy.executemany("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", numbers.items())
    token = secrets.token_hex(8)
    copy.execute("INSERT INTO changes (centroid_id, token) VALUES (?, ?)", (_NO_CENTROID, token))
    copy.execute("COMMIT")
    return True


def _put_in_place(path: Path, copy: sqlite3.Connection, saved: Path) -> None:
    """Put the copy where a database is that SQLite cannot use, and move that one aside."""
    with whole_database(path) as unfinished:
        with wrapped(path):
            copy_pages(copy, unfinished)
        with _held_alone(path):
            _move_logs(path, saved)
            try:
                saved.hardlink_to(path)  # there is one or the other at every moment
            except OSError:  # a file system without links
                path.rename(saved)
            saved.chmod(0o600)


@contextmanager
def _held_alone(path: Path) -> Iterator[None]:
    """Make sure that no process has a database open, or opens it meanwhile; raises StoreBusy.

    Such a process would go on with the file that was moved away.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:  # Windows does not move a file that is open
        yield
        return
    with OPENING, wrapped_files(path), path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *_SHARED_BYTES)
        except (BlockingIOError, PermissionError) as error:
            raise StoreBusy(
                f"{path} is damaged, and another process has it open",
                hint="End that process, and restore again.",
            ) from error
        yield


def _move_logs(path: Path, saved: Path) -> None:
    for suffix in _LOGS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{saved}{suffix}")
