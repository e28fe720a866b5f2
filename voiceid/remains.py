"""The search for erased bytes in files, in a separate process.

A process that closes any descriptor of a file loses all its POSIX locks on it, also those of
SQLite's connections: see `voiceid.store.connections.OPENING`.  So this process does not open files
of the data folder to search them: one of them is the database.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from voiceid.errors import StoreError
from voiceid.limited_process import Allowance, Exhausted, results

_PIECE = 1 << 23
_ALLOWANCE = Allowance(memory_bytes=256 << 20, cpu_s=3600)


def holding(files: Sequence[Path], needles: Sequence[bytes]) -> list[Path]:
    """Return the files that contain any of the needles; a file that cannot be read does not.

    Raises StoreError if the search did not end.
    """
    if not files or not needles:
        return []
    task = [str(file) for file in files], list(needles)
    try:
        found = list(results(f"{__name__}:search", task, _ALLOWANCE))
    except Exhausted as error:
        raise StoreError(
            f"{len(files)} files were not searched for what was erased: {error}",
            hint="Free some memory, and erase again.",
        ) from error
    return [file for file, is_found in zip(files, found, strict=True) if is_found]


def search(files: Sequence[str], needles: Sequence[bytes]) -> Iterator[bool]:
    """Yield for each file whether it contains any of the needles."""
    overlap = max(map(len, needles), default=1) - 1
    for file in files:
        yield _holds(Path(file), needles, overlap)


def _holds(file: Path, needles: Sequence[bytes], overlap: int) -> bool:
    kept = b""
    with contextlib.suppress(OSError), file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            content = kept + piece
            if any(needle in content for needle in needles):
                return True
            kept = content[max(0, len(content) - overlap) :]
    return False
