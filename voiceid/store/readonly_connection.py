"""Reading a database where nothing can be written: a read-only or full disk, a foreign folder.

SQLite creates two files beside a database even to read it.  If they do not exist and cannot be
created, no process writes: the file alone is the database, and is read ``immutable``.
If another host or container writes to it meanwhile, the end of the transaction raises StoreBusy.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from weakref import ref

from voiceid.errors import StoreBusy, StoreError
from voiceid.foreign_files import OPEN_DATABASES

_LOG_BYTES = 1 << 16
"""Initial size of SQLite's two files (32 KiB and a page), with some reserve."""
_KEPT: list[ReadOnlyConnection] = []
"""Connections that must stay open: see `ReadOnlyConnection.close`."""


class FileConnection(sqlite3.Connection):
    """A connection to a file that may be removed or replaced while it is open."""

    path: Path
    log: Path
    files: tuple[tuple[int, int] | None, ...] = ()

    def close(self) -> None:
        """Close the connection; the last one folds the log into the file, even an unlinked log."""
        OPEN_DATABASES.discard(ref(self))
        super().close()

    def settle(self, path: Path, file: tuple[int, int]) -> None:
        """Record which files are open, once the log is open too."""
        self.path, self.log = path, _log(path)
        self.files = file, _named(self.log), _named(path.with_name(f"{path.name}-shm"))
        OPEN_DATABASES.add(ref(self, OPEN_DATABASES.discard))

    def is_usable(self) -> bool:
        """Whether the open files still have their names: otherwise writes would be lost."""
        return (_named(self.path), _named(self.log)) == self.files[:2]

    def commit(self) -> None:
        """End a transaction; raises StoreError if reads may be stale or writes lost."""
        super().commit()
        if not self.is_usable():
            raise _removed(self.path)


def require_named_log(path: Path) -> tuple[int, int]:
    """Return a file's identity, unless connections of this process have an unlinked log open.

    SQLite would share that log with a new connection: the caller closes idle ones and retries.
    """
    file = file_of(path)
    for reference in tuple(OPEN_DATABASES):  # a copy: other threads close connections meanwhile
        if (conn := reference()) is not None and conn.files[0] == file and not conn.is_usable():
            raise _removed(path)
    return file


def _removed(path: Path) -> StoreError:
    return StoreError(
        f"the database {path}, or its log, was removed or replaced while it was in use",
        hint="See whether the change was made, and repeat it if not.",
    )


def file_of(path: Path) -> tuple[int, int]:
    """Return what distinguishes a file from another of the same name: device and inode."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _named(path: Path) -> tuple[int, int] | None:
    """Return the same; None if there is no such file, as on a file system without logs."""
    try:
        return file_of(path)
    except OSError:
        return None


class ReadOnlyConnection(sqlite3.Connection):
    """A connection to a database that no process writes to; see :func:`open_read_only`."""

    path: Path
    state: tuple[int, ...]
    opening: threading.Lock

    def close(self) -> None:
        """Close the connection unless that drops locks of this process: see `OPENING`."""
        with self.opening:
            if _has_log(self.path):
                _KEPT.append(self)
            else:
                super().close()

    def is_current(self) -> bool:
        """Whether the file is unchanged since it was opened, and no process writes."""
        return resting_state(self.path) == self.state

    def is_usable(self) -> bool:
        """Whether the file is current, and still nothing can be written."""
        return self.is_current() and not _has_space(self.path.parent)

    def commit(self) -> None:
        """End a transaction; raises StoreBusy if reads may be stale or mixed."""
        if not self.is_current():
            raise StoreBusy(f"the database {self.path} was written to while it was read")
        super().commit()


def open_read_only(path: Path, opening: threading.Lock) -> ReadOnlyConnection | None:
    """Open a database for reading only, or return None if it can be written.

    The caller holds ``opening``, which is `voiceid.store.connections.OPENING`.
    """
    if _has_log(path) or _has_space(path.parent):
        return None
    state = _state(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&immutable=1",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        factory=ReadOnlyConnection,
    )
    connection.execute("PRAGMA trusted_schema=OFF").close()
    connection.path, connection.state, connection.opening = path, state, opening
    return connection


def resting_state(path: Path) -> tuple[int, ...] | None:
    """Return a state that changes when a file is written; None while processes have it open."""
    return None if _has_log(path) else _state(path)


def _has_log(path: Path) -> bool:
    return _log(path).exists()


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_space(folder: Path) -> bool:
    if not os.access(folder, os.W_OK):
        return False
    if not hasattr(os, "statvfs"):  # Windows
        return True
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize >= _LOG_BYTES


def _state(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
