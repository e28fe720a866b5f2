"""The process in the background that seals large galleries, so that no command waits for it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.index.file import SEALING
from voiceid.index.gallery import GalleryIndex
from voiceid.whole_files import alone_in

if TYPE_CHECKING:
    from voiceid.index.sealed import Read

_PAUSE_S = 60.0
"""Least time between two starts: after a failure the next one would fail too."""


def start(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> bool:
    """Start a process of its own that calls :func:`seal_due`; return whether it was started.

    It is not started while another is at work, or for a minute after the last start.
    """
    lock = folder / SEALING
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a gallery has none at first
        if lock.exists() and abs(time.time() - lock.stat().st_mtime) < _PAUSE_S:
            return False
        with alone_in(folder, SEALING, wait=False):
            lock.touch()
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(  # noqa: S603 - the caller's command
            command,
            cwd=folder,  # the current folder may belong to another user
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
            env={**os.environ, **environment},
        )
    except OSError:  # another is at work, or the folder is closed: the next change tries
        return False
    threading.Thread(target=process.wait, name="voiceid-sealer", daemon=True).start()
    return True


def seal_due(
    folder: Path, galleries: Iterable[GalleryIndex], read: Read, *, wait: bool = False
) -> bool:
    """Seal the galleries that are due, one process at a time; return whether that worked.

    If another process is at work, this one does nothing, or waits.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone_in(folder, SEALING, wait=wait):
            written = [gallery.seal(read) for gallery in galleries]
            return all(written)
    except OSError:
        return False
