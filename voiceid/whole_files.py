"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield an empty private file (0600) that replaces ``path`` when it is complete.

    On an error it is removed, and ``path`` is not changed.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.unlink(missing_ok=True)  # left by a killed process with this id
        with open(unfinished, "xb", opener=partial(os.open, mode=0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        with contextlib.suppress(OSError):  # without the folder there is no file
            unfinished.unlink(missing_ok=True)


@contextmanager
def alone_in(folder: Path, name: str = ".", *, wait: bool = True) -> Iterator[None]:
    """Lock a folder, or a file in it, against other processes and threads; a kill ends it too.

    Without ``wait``, BlockingIOError says that another process has the lock.  Without ``flock``
    (Windows) nothing is locked.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield
        return
    flags = os.O_DIRECTORY if name == "." else os.O_RDWR | os.O_CREAT  # a pipe: no waiting
    number = os.open(folder / name, flags, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(number)
