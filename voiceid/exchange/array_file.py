"""An array of embeddings in NumPy's format, and the list of the names of its rows.

The list is text in UTF-8: one name a line (``.txt``), CSV with a header (``.csv``), or JSON
Lines (``.jsonl``, ``.ndjson``).
"""

from __future__ import annotations

import io
import itertools
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from voiceid.errors import GalleryFileInvalid
from voiceid.exchange.rows import BATCH, Rows, Table, no_rows, require_columns
from voiceid.foreign_files import Unfit, opened
from voiceid.listing import lines_in, rows_in

_DIMENSIONS = 2
_HEADER_BYTES, _LENGTH_END = 10_000, 12
"""NumPy's limit on a header, and the end of the header's length."""
_UNREADABLE = (
    *(OSError, ValueError, TypeError, EOFError, OverflowError, MemoryError, RecursionError),
    *(SyntaxError, tokenize.TokenError),  # NumPy reads a header as a Python literal
)


def open_array(path: Path, ids: Path) -> Table:
    """Return the rows of a float array (n, dim), whose names are the lines of ``ids``."""
    _require_short_header(path)
    n, dim = _mapped(path).shape
    if n == 0:
        raise no_rows(path)
    return Table(path, dim, None, _batches(path, ids, n))


def _require_short_header(path: Path) -> None:
    """Raise GalleryFileInvalid for a long header, which NumPy would read before it refuses it."""
    with path.open("rb") as file:
        start = file.read(_LENGTH_END)
    # numpy.lib.format: two bytes of version, then the length in two bytes, later in four
    ends = {1: 2, 2: 4, 3: 4}
    length = int.from_bytes(start[8 : 8 + ends.get(int.from_bytes(start[6:7]), 4)], "little")
    if length > _HEADER_BYTES:
        raise GalleryFileInvalid(
            f"{path} has a header of {length:,} bytes, over the limit of {_HEADER_BYTES:,};"
            " nothing was imported",
            hint="`numpy.save` writes short headers.",
        )


def _mapped(path: Path) -> npt.NDArray[np.floating[Any]]:
    """Map the array into memory: again for each batch, so that read pages are freed."""
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except _UNREADABLE as error:
        raise GalleryFileInvalid(
            f"{path} is damaged, or is not a readable array: {error}",
            hint="Nothing was imported. `numpy.save` writes such files.",
        ) from error
    is_float = array.dtype.kind == "f" and np.can_cast(array.dtype, np.float64)
    if array.ndim != _DIMENSIONS or not is_float:
        raise GalleryFileInvalid(
            f"{path} holds {array.dtype} of shape {array.shape}",
            hint="The array must have one row per speaker: (n, dim) of floats of up to 64 bits.",
        )
    return array


def _batches(path: Path, ids: Path, n: int) -> Iterator[Rows]:
    try:
        with opened(ids) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            names = _named(ids, file)
            for start in range(0, n, BATCH):
                vectors = np.array(_mapped(path)[start : start + BATCH], order="C")
                lines = list(itertools.islice(names, len(vectors)))
                if len(lines) < len(vectors):
                    raise _uneven(path, ids, n, start + len(lines))
                yield Rows(path, start + 1, vectors, _columns(ids, lines))
            if next(names, None) is not None:
                raise _uneven(path, ids, n, None)
    except (OSError, UnicodeDecodeError, Unfit) as error:
        raise GalleryFileInvalid(
            f"the list {ids} cannot be read: {error}", hint="The list must be a text file in UTF-8."
        ) from error


def _named(ids: Path, file: TextIO) -> Iterator[Mapping[str, Any]]:
    if ids.suffix.lower() == ".txt":
        yield from ({"name": line.rstrip("\r\n")} for line in lines_in(file))
        return
    for number, row in rows_in(ids, file):
        if isinstance(row, str):
            raise GalleryFileInvalid(f"{ids}, line {number}: {row}; nothing was imported")
        yield row


def _columns(ids: Path, lines: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    first = lines[0].keys()
    require_columns(ids, list(first))
    for line in lines:
        if line.keys() != first:
            raise GalleryFileInvalid(
                f"{ids}: the line of {line.get('name')!r} has other fields than the lines before",
                hint="Nothing was imported. All lines need the same fields.",
            )
    return {column: [line[column] for line in lines] for column in first}


def _uneven(path: Path, ids: Path, n: int, n_names: int | None) -> GalleryFileInvalid:
    count = f"more than {n}" if n_names is None else str(n_names)
    return GalleryFileInvalid(
        f"{ids} has {count} names, but {path} has {n} rows; nothing was imported",
        hint="Each row needs one line of the list, in the same order.",
    )
