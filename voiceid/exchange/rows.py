"""Rows of embeddings as read from a file, not yet checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from voiceid.errors import GalleryFileInvalid, VoiceIDError

T = TypeVar("T")

BATCH = 5_000
"""Rows that are read at once: 4 MB for 192 dimensions."""
COLUMNS = ("name", "net_speech_s", "label", "groups", "created_at", "pcm_sha256")
"""The columns of a row; all except ``name`` are optional."""
_SHOWN, _SHOWN_CHARS = 10, 60
"""The most unknown columns in an error, and the most characters of each."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows of a file: the number of the first, from 1, vectors (n, dim), values by column."""

    path: Path
    first: int
    vectors: npt.NDArray[np.floating[Any]]
    columns: Mapping[str, Sequence[Any]]

    def parsed(self, column: str, parse: Callable[[Any], T]) -> list[T]:
        """Return the values of a column; raises GalleryFileInvalid for the first wrong value."""
        values = []
        for number, value in enumerate(self.columns[column], start=self.first):
            try:
                values.append(parse(value))
            except (ValueError, TypeError, OverflowError, VoiceIDError) as error:
                raise refused(self.path, number, f"{column}: {error}") from error
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """An open file; its batches raise GalleryFileInvalid.  ``space`` is the id in the file."""

    path: Path
    dim: int
    space: str | None
    batches: Iterator[Rows]


def refused(path: Path, number: int, fault: str) -> GalleryFileInvalid:
    """Return the error for a row."""
    return GalleryFileInvalid(
        f"{path}, row {number}: {fault}", hint="Nothing was imported. Rows are counted from 1."
    )


def no_rows(path: Path) -> GalleryFileInvalid:
    """Return the error for a file without rows."""
    return GalleryFileInvalid(f"{path} has no rows; nothing was imported", hint="Use another file.")


def require_columns(path: Path, columns: Sequence[str]) -> None:
    """Raise GalleryFileInvalid unless all columns are known, and ``name`` is among them."""
    unknown = [repr(c[:_SHOWN_CHARS]) for c in sorted(set(columns) - set(COLUMNS))[:_SHOWN]]
    if unknown or "name" not in columns:
        fault = f"unknown column {', '.join(unknown)}" if unknown else "no column 'name'"
        raise GalleryFileInvalid(
            f"{path}: {fault}; nothing was imported",
            hint=f"The file needs the column name, and may have {', '.join(COLUMNS[1:])}.",
        )
