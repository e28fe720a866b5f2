"""Restoring a backup while other processes may have the database open.

Files are not swapped beneath open connections: SQLite's backup API writes the pages of the
backup as one transaction.  Only a database that SQLite cannot use is replaced, and only when no
process has it open.  The numbers of rows and revisions continue from the replaced database, after a
new token in the change feed: an index of the replaced state is seen to be stale, and no id is used
twice.  (If the replaced database cannot be read, only the tokens keep indexes right.)
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
"""Length and start of the bytes that each connection with a log locks (sqlite.org/fileformat2.html,
1.3.1, and SQLite's os.h)."""
_BLOCK_BYTES, _SMALL_BYTES, _MOST_HOLES = 512, 1 << 26, 100
"""POSIX blocks, and the limit of a file's size over its bytes on the disk."""
_NO_CENTROID = 0
"""No centroid has this id: AUTOINCREMENT starts at 1."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The restored database, and the saved copy of the replaced one (None: there was none)."""

    database: Path
    n_speakers: int
    saved: Path | None


Accept: TypeAlias = Callable[[Reader, Mapping[str, object], str], None]
"""Receives a backup, its signature and the signed SHA-256; raises to refuse the backup."""


def restore(
    path: Path,
    file: Path,
    keys: KeyRing | None = None,
    audit: AuditOptions | None = None,
    accept: Accept = lambda *_: None,
) -> Restored:
    """Replace a database by a backup, in one step: readers see the old one or the new one.

    The database may be in use, at rest, damaged, or missing; on an error it is unchanged.  The
    backup has this schema or an older one; it is only read.  The restored audit chain records the
    restore.  StoreBusy: another process held the database for too long, or has a damaged one open.
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
    """Yield a checked copy of a backup with this program's schema, and its number of speakers.

    It is a temporary database of SQLite, which has no name and ends with its connection.
    """
    _require_written(file)
    schema = upgrade.known_status(file, _BUSY_TIMEOUT_MS)
    if schema.current is None:
        raise StoreError(f"there is no database in {file}", hint="Name a backup file.")
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
                f"{file} is damaged and was not restored:\n  {chr(10).join(problems)}",
                hint="Nothing was changed; use another backup.",
            )
        with store.read() as reader:
            _ = reader.revision  # raises without a feed
            n_speakers = reader.speakers.count()
        with store.write() as writer:
            writer.audit.append("restore", {"speakers": n_speakers})
        yield copy, n_speakers


def _require_written(file: Path) -> None:
    """Raise StoreError for a file of mostly holes: its pages would fill the disk."""
    if not file.is_file():
        return
    status = file.stat()
    on_disk = getattr(status, "st_blocks", status.st_size) * _BLOCK_BYTES  # not on Windows
    if status.st_size > max(_SMALL_BYTES, _MOST_HOLES * on_disk):
        raise StoreError(
            f"the size of {file} is more than {_MOST_HOLES} times its bytes on the disk, the limit",
            hint="A backup has no holes: use another file.",
        )


def _write_into(path: Path, backup: sqlite3.Connection, saved: Path) -> bool:
    """Write a backup into a database as one transaction; return whether that had content."""
    kept: bool | None = None

    def with_the_lock(status: int, *_: int) -> None:
        # From its first step to its last the backup holds the write lock: exactly the
        # overwritten content is saved here.
        nonlocal kept
        require_turn(status, path)
        if kept is None:
            kept = _keep(reader, copy, saved)

    if not path.exists() or path.stat().st_size == 0:
        _move_logs(path, saved)  # they do not belong to the new file
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
        except (sqlite3.Error, StoreError):  # a Ctrl-C after the end: the saved copy stays
            saved.unlink(missing_ok=True)
            raise
        with contextlib.suppress(sqlite3.Error):  # old pages linger in the log
            reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return bool(kept)


@contextmanager
def _in_pages_of(
    live: sqlite3.Connection, copy: sqlite3.Connection, path: Path
) -> Iterator[sqlite3.Connection]:
    """Yield the copy with the database's page size, which cannot change with a log.

    Only a named database can change its page size.
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
    """Save the present database, and let the copy continue its numbers; False if it is empty.

    A running backup includes changes that its own connection makes in the source
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
    """Replace a database that SQLite cannot use by the copy, and move the old file aside."""
    with whole_database(path) as unfinished:
        with wrapped(path):
            copy_pages(copy, unfinished)
        with _held_alone(path):
            _move_logs(path, saved)
            try:
                saved.hardlink_to(path)  # so one of the two always exists
            except OSError:  # a file system without links
                path.rename(saved)
            saved.chmod(0o600)


@contextmanager
def _held_alone(path: Path) -> Iterator[None]:
    """Make sure that no process has a database open or opens it meanwhile; raises StoreBusy.

    A process that has it open would continue on the moved file.
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
