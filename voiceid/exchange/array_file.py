"""An array of embeddings in NumPy's format, and the list that names its rows.

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
    *(SyntaxError, tokenize.TokenError),  # a header is read as Python's literals are
)


def open_array(path: Path, ids: Path) -> Table:
    """Return the rows of an array (n, dim) of float, which the lines of ``ids`` name."""
    _require_short_header(path)
    n, dim = _mapped(path).shape
    if n == 0:
        raise no_rows(path)
    return Table(path, dim, None, _batches(path, ids, n))


def _require_short_header(path: Path) -> None:
    """Raise GalleryFileInvalid for a header that NumPy would read, and then refuse."""
    with path.open("rb") as file:
        start = file.read(_LENGTH_END)
    # numpy.lib.format: two bytes of version, then the length in two bytes, later in four
    ends = {1: 2, 2: 4, 3: 4}
    length = int.from_bytes(start[8 : 8 + ends.get(int.from_bytes(start[6:7]), 4)], "little")
    if length > _HEADER_BYTES:
        raise GalleryFileInvalid(
            f"{path} has a header of {length:,} bytes, over the limit of {_HEADER_BYTES:,};"
            " nothing was imported",
            hint="`numpy.save` writes short ones.",
        )


def _mapped(path: Path) -> npt.NDArray[np.floating[Any]]:
    """Map the array into memory: again for each batch, so that what was read is let go."""
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except _UNREADABLE as error:
        raise GalleryFileInvalid(
            f"{path} is damaged, or not an array that can be read: {error}",
            hint="Nothing was imported. `numpy.save` writes such files.",
        ) from error
    if array.ndim != _DIMENSIONS or array.dtype.kind != "f":
        raise GalleryFileInvalid(
            f"{path} holds {array.dtype} of shape {array.shape}",
            hint="It takes one row a speaker: (n, dim) of floating-point numbers.",
        )
    return array


def _batches(path: Path, ids: Path, n: int) -> Iterator[Rows]:
    try:
        with opened(ids) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            named = _named(ids, file)
            for start in range(0, n, BATCH):
                vectors = np.array(_mapped(path)[start : start + BATCH], order="C")
                lines = list(itertools.islice(named, len(vectors)))
                if len(lines) < len(vectors):
                    raise _uneven(path, ids, n, start + len(lines))
                yield Rows(path, start + 1, vectors, _columns(ids, lines))
            if next(named, None) is not None:
                raise _uneven(path, ids, n, None)
    except (OSError, UnicodeDecodeError, Unfit) as error:
        raise GalleryFileInvalid(
            f"the list {ids} cannot be read: {error}", hint="It must be a text file in UTF-8."
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
                f"{ids}: the line of {line.get('name')!r} has other fields than those before",
                hint="Nothing was imported. All lines need the same.",
            )
    return {column: [line[column] for line in lines] for column in first}


def _uneven(path: Path, ids: Path, n: int, named: int | None) -> GalleryFileInvalid:
    many = f"more than {n}" if named is None else str(named)
    return GalleryFileInvalid(
        f"{ids} names {many}, and {path} has {n} rows; nothing was imported",
        hint="Each row needs one line of the list, in the same order.",
    )
