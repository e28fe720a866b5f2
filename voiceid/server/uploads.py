"""The recordings of jobs: each job has a private folder until it ends.

With a key they are sealed as they arrive, and opened piece by piece as they are heard.
"""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from voiceid.protection import Key, opening, sealing
from voiceid.protection.sealed_stream import Writable
from voiceid.server.problems import Problem, keeping

_BLOCK = 1 << 20
_UNKNOWN_S = 3600.0
"""After this time a folder without a job belongs to a request that was killed."""


class Uploads:
    """The folder of the recordings, with a folder for each job, named by its id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ids(self) -> list[str]:
        """Return the ids of the jobs whose recordings are here."""
        try:
            return sorted(entry.name for entry in self._folder.iterdir() if entry.is_dir())
        except OSError:
            return []

    def of(self, job_id: str) -> Path:
        """Return the folder of a job."""
        return self._folder / job_id

    def keep(self, job_id: str, clips: Sequence[BinaryIO], key: Key | None = None) -> list[str]:
        """Write recordings to a job's folder, and return the name of each file there.

        A file is named by its number, with the suffix of the caller's file; a key seals it.
        Raises Problem if there is no space, or the folder cannot be written.
        """
        folder = self.of(job_id)
        try:
            with keeping():
                folder.mkdir(mode=0o700, parents=True)
                self._folder.chmod(0o700)
                return [_write(folder, i, clip, key) for i, clip in enumerate(clips, start=1)]
        except Problem:
            self.remove(job_id)
            raise

    def remove(self, job_id: str) -> None:
        """Remove the recordings of a job."""
        shutil.rmtree(self.of(job_id), ignore_errors=True)

    def sweep(self, standing: Mapping[str, bool]) -> None:
        """Remove the folders of jobs that no process may work on, and old ones without a job."""
        for job_id in self.ids():
            if not standing.get(job_id, self._age_s(job_id) < _UNKNOWN_S):
                self.remove(job_id)

    def _age_s(self, job_id: str) -> float:
        try:
            return time.time() - self.of(job_id).stat().st_mtime
        except OSError:
            return 0.0


def upload(path: Path, name: str, key: Key | None = None) -> BinaryIO:
    """Return a recording of a job under the caller's name; the key is that of `Uploads.keep`."""
    return cast("BinaryIO", _Upload(path, name, key))


def _write(folder: Path, number: int, clip: BinaryIO, key: Key | None) -> str:
    suffix = PurePosixPath(clip.name).suffix
    name = f"{number:06}{suffix if suffix[1:].isalnum() and suffix.isascii() else ''}"
    number = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "wb") as file, _sealed(file, key, name) as into:
        while block := clip.read(_BLOCK):
            into.write(block)
    return name


def _sealed(file: BinaryIO, key: Key | None, name: str) -> AbstractContextManager[Writable]:
    return nullcontext(file) if key is None else sealing(file, key, name)


class _Upload(io.BufferedIOBase):
    """A file that is open only while it is read, so that many do not stay open."""

    def __init__(self, path: Path, name: str, key: Key | None) -> None:
        super().__init__()
        self.name, self._path, self._key = name, path, key
        self._file: BinaryIO | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to ``size`` bytes."""
        return self._opened().read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it; a move to the start, as after use, closes the file."""
        if (offset, whence) == (0, io.SEEK_SET):
            self.close()
            return 0
        return self._opened().seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return 0 if self._file is None else self._file.tell()

    def close(self) -> None:
        """Close the file until it is read again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            file = self._path.open("rb")
            self._file = file if self._key is None else opening(file, self._key, self._path.name)
        return self._file
