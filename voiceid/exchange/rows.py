"""Rows of embeddings as a file has them, before anything is believed of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid.errors import GalleryFileInvalid

BATCH = 5_000
"""Rows that are read at once: 4 MB of 192 dimensions."""
COLUMNS = ("name", "net_speech_s", "narrowband", "label", "groups", "created_at", "pcm_sha256")
"""What can be said of a row; all but ``name`` may be left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The number of the first row, from 1, vectors (n, dim), and (n,) values by column."""

    first: int
    vectors: npt.NDArray[np.floating[Any]]
    columns: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """An open file; its batches raise GalleryFileInvalid.  ``space`` is the id that it names."""

    path: Path
    dim: int
    space: str | None
    batches: Iterator[Rows]

    def refused(self, number: int, what: str) -> GalleryFileInvalid:
        """Return the error for a row."""
        return GalleryFileInvalid(
            f"{self.path}, row {number}: {what}",
            hint="Nothing was imported. Rows are counted from 1.",
        )


def no_rows(path: Path) -> GalleryFileInvalid:
    """Return the error for a file without rows."""
    return GalleryFileInvalid(f"{path} has no rows; nothing was imported", hint="Name another.")


def require_columns(path: Path, found: Sequence[str]) -> None:
    """Raise GalleryFileInvalid unless these are columns that are known, with a name."""
    unknown = sorted(set(found) - set(COLUMNS))
    if unknown or "name" not in found:
        told = f"unknown column {', '.join(map(repr, unknown))}" if unknown else "no column 'name'"
        raise GalleryFileInvalid(
            f"{path}: {told}; nothing was imported",
            hint=f"It has name, and may have {', '.join(COLUMNS[1:])}.",
        )
