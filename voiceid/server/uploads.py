"""The recordings of jobs: each job's own in a folder of its owner alone, until the job is over."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from voiceid.server.problems import Problem

_BLOCK = 1 << 20
_UNKNOWN_S = 3600.0
"""After which a folder of no job is that of a request that was killed."""


class Uploads:
    """The folder of the recordings: a folder for each job, called by its id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ids(self) -> list[str]:
        """Return the jobs whose recordings are here."""
        try:
            return sorted(entry.name for entry in self._folder.iterdir() if entry.is_dir())
        except OSError:
            return []

    def of(self, job_id: str) -> Path:
        """Return the folder of a job."""
        return self._folder / job_id

    def keep(self, job_id: str, clips: Sequence[BinaryIO]) -> list[str]:
        """Write recordings to a job's folder, and return the name of each file there.

        A file is called by its number, and ends as the caller's did.  Raises Problem: there is no
        space, or the folder cannot be written to.
        """
        folder = self.of(job_id)
        try:
            folder.mkdir(mode=0o700, parents=True)
            self._folder.chmod(0o700)
            return [_write(folder, i, clip) for i, clip in enumerate(clips, start=1)]
        except OSError as error:
            self.remove(job_id)
            raise Problem(
                HTTPStatus.INSUFFICIENT_STORAGE,
                "UploadNotKept",
                f"the recordings cannot be kept until they are heard: {error.strerror}",
                hint="Free some space in the data folder of the service.",
            ) from error

    def remove(self, job_id: str) -> None:
        """Remove the recordings of a job."""
        shutil.rmtree(self.of(job_id), ignore_errors=True)

    def sweep(self, standing: Mapping[str, bool]) -> None:
        """Remove the folders of jobs that no process works on, by id, and old ones of no job."""
        for job_id in self.ids():
            if not standing.get(job_id, self._age_s(job_id) < _UNKNOWN_S):
                self.remove(job_id)

    def _age_s(self, job_id: str) -> float:
        try:
            return time.time() - self.of(job_id).stat().st_mtime
        except OSError:
            return 0.0


def upload(path: Path, name: str) -> BinaryIO:
    """Return a recording of a job under the caller's name."""
    return cast("BinaryIO", _Upload(path, name))


def _write(folder: Path, number: int, clip: BinaryIO) -> str:
    suffix = PurePosixPath(clip.name).suffix
    name = f"{number:06}{suffix if suffix[1:].isalnum() and suffix.isascii() else ''}"
    with os.fdopen(
        os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
    ) as file:
        shutil.copyfileobj(clip, file, _BLOCK)
    return name


class _Upload(io.BufferedIOBase):
    """A file that is open only while it is read: of many, none is left open."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__()
        self.name, self._path, self._at = name, path, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to so many bytes."""
        with self._path.open("rb", buffering=0) as file:
            file.seek(self._at)
            data = file.read(-1 if size is None else size) or b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a byte, and return its position."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        if origin is None:
            origin = self._path.stat().st_size
        if origin + offset < 0:
            raise ValueError("before the start")
        self._at = origin + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at
