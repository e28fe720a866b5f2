"""Lists in text: CSV with a header, or JSON Lines, line by line.  Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any] | str
"""A line by column, or what is wrong with it in a sentence."""

_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
_SHOWN = 10
"""Problems that are shown in full."""


def rows_of(path: PurePath, text: str) -> Iterator[tuple[int, Row]]:
    """Yield the number and the row of each line of a list that is not empty.

    Parameters
    ----------
    path : PurePath
        Whose suffix tells the form: ``.jsonl``, ``.ndjson`` and ``.json`` are JSON Lines, and
        anything else is CSV.
    text : str
    """
    return rows_in(path, io.StringIO(text, newline=""))


def rows_in(path: PurePath, lines: Iterable[str]) -> Iterator[tuple[int, Row]]:
    """Yield as :func:`rows_of` what stands in lines, such as those of a file, one at a time."""
    return _json_rows(lines) if path.suffix.lower() in _JSON_SUFFIXES else _csv_rows(lines)


def shortened(problems: Sequence[str]) -> str:
    """Return problems one a line, the first ten of them and how many more there are."""
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "\n  ".join([*problems[:_SHOWN], *more])


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"it is not a CSV file: {error}"
            return
        if not row:
            continue
        if header is None:
            header = [cell.strip() for cell in row]
        elif len(row) != len(header):
            yield reader.line_num, f"{len(row)} cells under {len(header)} columns"
        else:
            yield reader.line_num, dict(zip(header, row, strict=True))


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"it is not JSON: {error}"
            continue
        yield number, row if isinstance(row, dict) else "it is not an object"
