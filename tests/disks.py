"""File systems of a test's own: small ones that fill up, and ones that become read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """Mount an empty file system of ``size`` bytes; where that is not allowed, skip the test."""
    folder.mkdir()
    options = f"size={size},mode=700"
    done = _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    if done is None or done.returncode != 0:
        said = "there is no mount" if done is None else done.stderr.strip()
        pytest.skip(f"only who may mount can have a full or a read-only disk: {said}")
    try:
        yield folder
    finally:
        _run("umount", "-l", str(folder))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a mounted file system read-only meanwhile."""
    assert _run("mount", "-o", "remount,ro", str(folder)).returncode == 0
    try:
        yield
    finally:
        _run("mount", "-o", "remount,rw", str(folder))


@contextmanager
def filled(folder: Path, left: int) -> Iterator[None]:
    """Fill the disk of a folder up to ``left`` bytes meanwhile."""
    stone = folder / ".stone"
    with stone.open("wb", buffering=0) as file:
        block = 1 << 20
        while block >= 512:
            try:
                whole = file.write(bytes(block)) == block
            except OSError:
                whole = False
            block = block if whole else block // 2
        file.truncate(max(0, file.tell() - left))
    try:
        yield
    finally:
        stone.unlink()


def _run(*words: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
