"""Lists in text: CSV with a header, or JSON Lines, line by line.

A list of recordings whose speakers are known has one form, whichever command reads it: ``name``
(or ``speaker``) and ``path``, and where known ``label``, ``group``, ``metadata`` or ``meta.KEY``,
``expires``, ``session``, ``condition``.  A reader takes the columns that it needs.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any] | str
"""A line by column, or what is wrong with it in a sentence."""

META = "meta."
"""``meta.KEY`` is the column of one key of metadata; the key keeps its letters' case."""

_REQUIRED = ("name", "path")
_COLUMNS = {*_REQUIRED, "label", "group", "metadata", "expires", "session", "condition"}
FORM = (
    "Each line needs name (or speaker) and path, and may have label, group, metadata, meta.KEY,"
    " expires, session, condition."
)
_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
_DELIMITERS = ",;\t"
_SHOWN = 10
"""Problems that are said in full."""


def labelled_rows(path: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the row of each line that has a ``name`` and a ``path``.

    What is wrong is appended to ``problems``; what holds for every line is said once.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is not text.
    """
    said: set[str] = set()
    for number, row in rows_of(path, read_text(path)):
        if isinstance(row, str):
            problems.append(f"line {number}: {row}")
            continue
        named = {"name": row["speaker"], **row} if "speaker" in row else dict(row)
        wrong = [f"unknown column {_way_out(c)}" for c in row if not _is_known(c)]
        wrong += [f"no column {c}" for c in _REQUIRED if c not in named]
        if {"name", "speaker"} <= row.keys():
            wrong.append("both name and speaker: leave one out")
        problems += [f"line {number}: {text}" for text in wrong if text not in said]
        said.update(wrong)
        empty = [c for c in _REQUIRED if _is_empty(named.get(c, "-"))]
        if empty:
            problems.append(f"line {number}: no {' and no '.join(empty)}")
        elif all(c in named for c in _REQUIRED):
            yield number, named


def read_text(path: Path) -> str:
    """Return the text of a file: UTF-8, UTF-16 with its mark, or else Windows' cp1252.

    Raises
    ------
    OSError
    ValueError
        It is none of these.
    """
    data = path.read_bytes()
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if utf_16 else ("utf-8-sig", "cp1252"):
        with contextlib.suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if "\0" not in text:
                return text
    raise ValueError("it is not text in UTF-8, UTF-16 or Windows-1252")


def rows_of(path: PurePath, text: str) -> Iterator[tuple[int, Row]]:
    """Yield the number and the row of each line of a list that is not empty.

    Parameters
    ----------
    path : PurePath
        Whose suffix tells the form: ``.jsonl``, ``.ndjson`` and ``.json`` are JSON Lines, and
        anything else is CSV, with commas, semicolons or tabs; a header in any case.
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


def text_in(row: Mapping[str, Any], column: str) -> str:
    """Return the text of a cell, a number as text, nothing as "".

    Outer white space is left out, except of a path, whose it may be.

    Raises
    ------
    ValueError
        It is something else.
    """
    value = row.get(column)
    may_be = str | None if column == "path" else str | int | None
    if isinstance(value, bool) or not isinstance(value, may_be):
        raise ValueError(f"{column} is not a text")  # noqa: TRY004 - the line is wrong, not a type
    text = "" if value is None else str(value)
    return text if column == "path" else text.strip()


def _is_empty(value: object) -> bool:
    return value is None or not str(value).strip()


def _is_known(column: str) -> bool:
    return column in _COLUMNS or column == "speaker" or column.startswith(META)


def _way_out(column: str) -> str:
    return f"{column!r}: call it '{META}{column}' to keep it as metadata, or leave it out"


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, Row]]:
    lines, ahead = itertools.tee(lines)
    first = next(filter(str.strip, ahead), "")
    del ahead  # else it would keep all that is read
    reader = csv.reader(lines, strict=True, delimiter=max(_DELIMITERS, key=first.count))
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
            header = [_column(cell) for cell in row]
            if len(set(header)) < len(header):
                yield reader.line_num, "two columns have one name"
                return
        elif len(row) != len(header):
            yield reader.line_num, f"{len(row)} cells under {len(header)} columns"
        else:
            yield reader.line_num, dict(zip(header, row, strict=True))


def _column(cell: str) -> str:
    """Return the name of a column in lower case; the key of a ``meta.KEY`` stays as it is."""
    name = cell.strip()
    return META + name[len(META) :] if name.lower().startswith(META) else name.lower()


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
