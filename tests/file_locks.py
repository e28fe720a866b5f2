"""The POSIX locks of this process, as Linux lists them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_LOCKS = Path("/proc/locks")
listed = pytest.mark.skipif(not _LOCKS.exists(), reason="the system does not list locks")


def locks_of(folder: Path) -> int:
    """Return how many POSIX locks this process has on files of a folder."""
    inodes = {path.stat().st_ino for path in folder.iterdir()}
    rows = [line.split() for line in _LOCKS.read_text(encoding="ascii").splitlines()]
    return sum(
        row[1] == "POSIX" and int(row[4]) == os.getpid() and int(row[5].split(":")[2]) in inodes
        for row in rows
        if row[1] != "->"
    )
