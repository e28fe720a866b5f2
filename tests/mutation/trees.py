"""Copies of the checkout in which a file may be changed."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutation.mutants import Mutant

ROOT = Path(__file__).resolve().parents[2]
_LINKED = ("data", "models")
"""Large, and only read."""
_COPIED = ("voiceid", "tests", "migrations", "benchmarks", "docs", "examples")
_stamps = itertools.count(1)


def copied(folder: Path) -> Path:
    """Copy the checkout into a folder, which is made; return it."""
    folder.mkdir()
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    for name in _LINKED:
        (folder / name).symlink_to((ROOT / name).resolve())
    return folder


@contextmanager
def mistaken(tree: Path, mutant: Mutant) -> Iterator[None]:
    """Have a mistake in a tree."""
    path = tree / mutant.file
    sound = path.read_text(encoding="utf-8")
    try:
        _write(path, mutant.applied(sound))
        yield
    finally:
        _write(path, sound)


def _write(path: Path, text: str) -> None:
    """Write a file with a time of its own, by which Python knows its bytecode to be old."""
    path.write_text(text, encoding="utf-8")
    stamp = next(_stamps)
    os.utime(path, (stamp, stamp))
