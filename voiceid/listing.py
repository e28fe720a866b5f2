"""Lists in text: CSV with a header, or JSON Lines, line by line.

A list of recordings with known speakers has one form for all commands: ``name`` (or ``speaker``)
and ``path``, and optionally ``label``, ``group``, ``metadata`` or ``meta.KEY``, ``expires``,
``session``, ``condition``, ``sex``, ``attack``.  A reader uses the columns that it needs.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import difflib
import functools
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePath
from typing import Any, Self, TextIO, TypeAlias

from voiceid.foreign_files import LIST, ROW, ROWS, Unfit, opened, require_size

Row: TypeAlias = Mapping[str, Any] | str
"""A line by column, or a sentence with its fault."""

META = "meta."
"""``meta.KEY`` is the column of one key of metadata; the key keeps its letters' case."""

_REQUIRED = ("name", "path")
_COLUMNS = {
    *(
        *_REQUIRED,
        "speaker",
        "label",
        "group",
        "metadata",
        "expires",
        "session",
        "condition",
        "sex",
    ),
    *("attack", "consent", "purpose", "until", "recorded_by"),
}
FORM = (
    "Each line needs name (or speaker) and path, and may have label, group, metadata, meta.KEY,"
    " expires, consent, purpose, until, recorded_by, session, condition, sex,"
    " attack."
)
_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
_DELIMITERS = ",;\t"
_SHOWN = 10
"""The most problems in a message."""
_LONGEST = 400
"""The most characters of a problem; a longer one is shortened to its start and its end."""
_REMEMBERED = 1000
"""The most problems that are remembered, to report each for one line only."""
_BLOCK_BYTES = 1 << 20


class Problems:
    """The problems of a list: the first ten are stored, and all are counted."""

    def __init__(self, problems: Iterable[str] = ()) -> None:
        self._first: list[str] = []
        self._n = 0
        for problem in problems:
            self.append(problem)

    def __len__(self) -> int:
        return self._n

    def __str__(self) -> str:
        more = [f"and {self._n - _SHOWN} more"] if self._n > _SHOWN else []
        return "\n  ".join([*self._first, *more])

    def append(self, problem: str) -> None:
        """Count a problem, a sentence."""
        self._n += 1
        if self._n <= _SHOWN:
            long = len(problem) > _LONGEST
            self._first.append(f"{problem[:200]}…{problem[-100:]}" if long else problem)


def _instead(column: str) -> str:
    if close := difflib.get_close_matches(column, _COLUMNS, n=1, cutoff=0.8):
        return f"did you mean {close[0]!r}?"
    return f"call it '{META}{column}' to keep it as metadata, or leave it out"


def labelled_rows(
    path: Path, problems: Problems, content: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the row of each line that has a ``name`` and a ``path``.

    Problems are appended to ``problems``; a problem of every line is reported once.  The file is
    read unless its ``content`` is given.  Raises OSError, ValueError if it cannot be read or is
    not text.
    """
    reported: set[str] = set()
    stream = None if content is None else io.StringIO(content, newline="")
    with open_text(path) if stream is None else contextlib.nullcontext(stream) as text:
        for number, row in rows_in(path, text):
            if isinstance(row, str):
                problems.append(f"line {number}: {row}")
                continue
            with_name = {"name": row["speaker"], **row} if "speaker" in row else dict(row)
            wrong = [
                f"unknown column {c!r}: {_instead(c)}"
                for c in row
                if c not in _COLUMNS and not c.startswith(META)
            ]
            wrong += [f"no column {c}" for c in _REQUIRED if c not in with_name]
            if {"name", "speaker"} <= row.keys():
                wrong.append("both name and speaker: leave one out")
            for fault in wrong:
                if fault not in reported:
                    problems.append(f"line {number}: {fault}")
            if len(reported) < _REMEMBERED:
                reported.update(wrong)
            empty = [c for c in _REQUIRED if _is_empty(with_name.get(c, "-"))]
            if empty:
                problems.append(f"line {number}: no {' and no '.join(empty)}")
            elif all(c in with_name for c in _REQUIRED):
                yield number, with_name


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file: UTF-8, UTF-16 with a byte order mark, or else Windows' cp1252.

    Raises OSError, and ValueError if it is none of these, is not a file, or is too large.
    """
    with opened(path) as file:
        require_size(file, LIST)
        encoding = _encoding(file)
        file.seek(0)
        with io.TextIOWrapper(file, encoding, newline="") as text:
            yield text


def _encoding(file: BufferedReader) -> str:
    """Return the encoding of a file; raises ValueError for a file that is not text."""
    start = file.read(2)
    utf_16 = start in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    for encoding in ("utf-16",) if utf_16 else ("utf-8-sig", "cp1252"):
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        with contextlib.suppress(UnicodeDecodeError):
            blocks = iter(functools.partial(file.read, _BLOCK_BYTES), b"")
            if not any("\0" in decoder.decode(block) for block in blocks):
                decoder.decode(b"", final=True)
                return encoding
    raise ValueError("it is not text in UTF-8, UTF-16 or Windows-1252; save a spreadsheet as CSV")


class BoundedLines:
    """The lines of an open text; raises `Unfit` for a row that is too long.

    - `number`: the number of the last line that was read, from 1.
    """

    def __init__(self, text: TextIO) -> None:
        self.number = 0
        self._text = text
        self._row_chars = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._text.readline(ROW.size + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._row_chars += len(line)
        if self._row_chars > ROW.size:
            raise Unfit(f"line {self.number}: {ROW.exceeded()}")
        if self.number > ROWS.size:
            raise ROWS.exceeded()
        return line

    def end_row(self) -> None:
        """Start another row with the next line."""
        self._row_chars = 0


def rows_in(path: PurePath, text: TextIO) -> Iterator[tuple[int, Row]]:
    """Yield the number and the row of each line that is not empty in an open list.

    The suffix of ``path`` gives the form: ``.jsonl``, ``.ndjson`` and ``.json`` are JSON Lines;
    anything else is CSV, with commas, semicolons or tabs and a header in any case.  A row that is
    too long raises ValueError.
    """
    lines = BoundedLines(text)
    return _json_rows(lines) if path.suffix.lower() in _JSON_SUFFIXES else _csv_rows(lines)


def lines_in(text: TextIO) -> Iterator[str]:
    """Yield the lines of an open text, each a row; raises ValueError for one that is too long."""
    lines = BoundedLines(text)
    for line in lines:
        yield line
        lines.end_row()


def text_in(row: Mapping[str, Any], column: str) -> str:
    """Return the text of a cell, a number as text, an empty cell as ""; raises ValueError.

    Outer white space is removed, except in a path, which may have it.
    """
    value = row.get(column)
    may_be = str | None if column == "path" else str | int | None
    if isinstance(value, bool) or not isinstance(value, may_be):
        raise ValueError(f"{column} is not a text")  # noqa: TRY004 - the line is wrong, not a type
    text = "" if value is None else str(value)
    return text if column == "path" else text.strip()


def _is_empty(value: object) -> bool:
    return value is None or not str(value).strip()


def _csv_rows(lines: BoundedLines) -> Iterator[tuple[int, Row]]:
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(itertools.chain([first], lines), strict=True, delimiter=delimiter)
    header: list[str] | None = None
    while True:
        lines.end_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield lines.number, f"it is not a CSV file: {error}"
            return
        if not any(cell.strip() for cell in row):
            continue  # also rows of separators, which spreadsheets write
        if header is None:
            header = [_column(cell) for cell in row]
            if len(set(header)) < len(header):
                yield lines.number, "two columns have the same name"
                return
        elif len(row) != len(header):
            yield lines.number, f"{len(row)} cells under {len(header)} columns"
        else:
            yield lines.number, dict(zip(header, row, strict=True))


def _column(cell: str) -> str:
    """Return the name of a column in lower case; the key of a ``meta.KEY`` is not changed."""
    name = cell.strip()
    return META + name[len(META) :] if name.lower().startswith(META) else name.lower()


def _json_rows(lines: BoundedLines) -> Iterator[tuple[int, Row]]:
    for line in lines:
        lines.end_row()
        if not line.strip():
            continue
        try:
            row = json_in(line)
        except ValueError as error:
            yield lines.number, f"it is not JSON: {error}"
            continue
        yield lines.number, row if isinstance(row, dict) else "it is not an object"


def json_in(text: str | bytes) -> Any:
    """Return the value of a JSON text; raises ValueError: it is not JSON, or has a key twice."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("an object has a key twice")
    return row
