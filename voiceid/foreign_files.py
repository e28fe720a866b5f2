"""Files that other people may have written: the limits of reading them; only regular files.

Every reader of such a file is in this list, with its limits; limits that only one reader needs
are defined in its module.

- settings (`config.yaml`): `SETTINGS_FILE`, no aliases;
- receipts of erasures: `ERASURE_RECEIPT`, signed JSON;
- cards and receipts of models: `CARD`, a key of at most 64 parts; `COMPENSATION`; `RECEIPT`;
- checkpoints and networks: `WEIGHTS`; tensors of at most four times the file; operators from a
  list (`models.operators`); an added network runs first in a separate process
  (`limited_process`);
- lists of recordings, trials, names, `scores.txt`: `LIST`, `ROWS`, `ROW`;
- `report.json`: `REPORT`; the cache of an evaluation: `CACHE_LINE`;
- transcripts: `TRANSCRIPT`, `TRANSCRIPT_LINES`, `TRANSCRIPT_WORDS`, `SEGMENT`;
- exported speakers: `EXPORT_LINE`, `EXPORT_VALUES` of a line; sealed ones: 256 MiB and eight times
  the scrypt work of our files (`protection.passphrase`), read MiB by MiB; arrays: a header of
  10,000 bytes, and no more than is in the file; Parquet tables: read in a separate process;
- exported audit chains: `AUDIT_LINE`;
- recordings: `audio.max_bytes`, `audio.max_duration_s`, and values per second (`audio.arrays`);
  only they may come through a pipe; kept audio: `audio.kept`;
- databases and backups: `STORED_VALUE`.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO, RawIOBase
from pathlib import Path
from typing import Any
from weakref import ref

_KIB, _MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Limit:
    """The maximum size of an input, and what to do if it is larger."""

    size: int
    unit: str
    of: str
    remedy: str

    def exceeded(self) -> Unfit:
        """Return the error for an input above the limit."""
        return Unfit(
            f"it has more than {self.size:,} {self.unit}, the limit of {self.of}: {self.remedy}"
        )


class Unfit(ValueError):
    """An input is not a regular file, or exceeds a limit; the message says what to do."""


SETTINGS_FILE = Limit(64 * _KIB, "bytes", "a settings file", "remove what is not a setting")
"""The file of the program has 3 KiB; PyYAML needs seconds for 100 KiB."""
CARD = Limit(256 * _KIB, "bytes", "a model's card", "use a model's card, with known keys only")
"""The largest card of the program has 19 KB."""
COMPENSATION = Limit(16 * _MIB, "bytes", "a compensation", "restore the file of the card")
"""With 192 components it has 160 KB, with 1024 4.3 MB."""
OVERLAP = Limit(_MIB, "bytes", "weights", "restore the file of the card")
RECEIPT = Limit(64 * _KIB, "bytes", "a receipt", "pull the model again")
WEIGHTS = Limit(1 << 30, "bytes", "a network", "use a smaller one")
LIST = Limit(256 * _MIB, "bytes", "a list", "split it")
"""The trials of SRE19 have 135 MB, VoxCeleb1-H has 35."""
ROWS = Limit(10_000_000, "rows", "a list", "split it")
ROW = Limit(256 * _KIB, "characters", "a row of a list", "check its line ends and quotes")
REPORT = Limit(8 * _MIB, "bytes", "a report", "name a report.json of voiceid evaluate")
"""Python's objects need up to 25 times the size of their JSON."""
CACHE_LINE = Limit(_MIB, "bytes", "a line of a cache", "remove the file")
TRANSCRIPT = Limit(8 * _MIB, "bytes", "a transcript", "cut it, and the recording")
"""The full output of whisper.cpp for an hour has 4 MB.  A character may need 4 bytes."""
TRANSCRIPT_LINES = Limit(1_000_000, "lines or values", "a transcript", "cut it, and the recording")
TRANSCRIPT_WORDS = Limit(200_000, "words or tags", "a transcript", "cut it, and the recording")
"""Each needs up to 1 KB of memory; people say about 10,000 words in an hour."""
SEGMENT = Limit(256 * _KIB, "characters", "a segment of a transcript", "split it")
ERASURE_RECEIPT = Limit(8 * _MIB, "bytes", "a receipt of an erasure", "name another file")
"""It names every sample of one speaker."""
EXPORT_LINE = Limit(16 * _MIB, "bytes", "a line of exported speakers", "split the speaker")
"""About 10,000 samples of 192 dimensions."""
EXPORT_VALUES = Limit(500_000, "values", "a line of exported speakers", "split the speaker")
AUDIT_LINE = Limit(_MIB, "bytes", "a line of an audit chain", "export the chain again")
STORED_VALUE = Limit(16 * _MIB, "bytes", "a row of a database", "restore a backup")
OPEN_DATABASES: set[ref[Any]] = set()
"""The connections of this process to database files: the `files` of each are open."""


class _Present(FileIO):
    """A file that fails where its bytes would have to be waited for, as in ``/proc/kmsg``."""

    def readall(self) -> bytes:
        return b"".join(iter(lambda: RawIOBase.read(self, _MIB), b""))  # by `readinto`

    def readinto(self, buffer: Any) -> int:
        n_bytes = super().readinto(buffer)
        if n_bytes is None:
            raise OSError(errno.EAGAIN, "its bytes are not there yet: save its content to a file")
        return n_bytes


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file to read its bytes; raises OSError, or `Unfit` for a device, a pipe, a socket.

    A pipe without a writer is not waited for.
    """
    status = path.stat()
    _require_file(status.st_mode)  # checked first: opening a device may have effects
    require_closed(status)
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    raw: Any = _Present(number)
    with BufferedReader(raw) as file:
        _require_file(os.fstat(number).st_mode)
        yield file


def content(path: Path, limit: Limit) -> bytes:
    """Return the bytes of a file; raises OSError, or `Unfit` for more than the limit."""
    with opened(path) as file:
        require_size(file, limit)
        data = file.read(limit.size + 1)
    if len(data) > limit.size:  # the file grew, or its file system gives no size
        raise limit.exceeded()
    return data


def mapped(path: Path, limit: Limit) -> memoryview:
    """Return the bytes of a file, mapped; they are released with the returned view."""
    with opened(path) as file:
        require_size(file, limit)
        if os.fstat(file.fileno()).st_size == 0:  # nothing can be mapped
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def require_size(file: BufferedReader, limit: Limit) -> None:
    """Raise `Unfit` for a file with more bytes than the limit."""
    if os.fstat(file.fileno()).st_size > limit.size:
        raise limit.exceeded()


def require_closed(status: os.stat_result) -> None:
    """Raise `Unfit` for a file of a database that this process has open.

    To open and close it once more would drop SQLite's locks: see `store.connections.OPENING`.
    """
    connections = [reference() for reference in tuple(OPEN_DATABASES)]
    if any(conn and (status.st_dev, status.st_ino) in conn.files for conn in connections):
        raise Unfit("it is the database that is in use: name another file")


def _require_file(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise Unfit("it is a folder, and only a file is read here: name a file in it")
    if not stat.S_ISREG(mode):
        raise Unfit(
            "it is a device, a pipe or a socket, and only a file is read here:"
            " save its content to a file"
        )
