"""Files that are put in place whole or not at all."""

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
    """Yield an empty file, of its owner (0600), that takes the place of ``path`` when it is whole.

    On any error it is removed, and ``path`` is as it was.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.unlink(missing_ok=True)  # of a process of that number which was killed
        with open(unfinished, "xb", opener=partial(os.open, mode=0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        with contextlib.suppress(OSError):  # where there is no such folder, there is no such file
            unfinished.unlink(missing_ok=True)
