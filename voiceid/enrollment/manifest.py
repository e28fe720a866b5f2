"""Lists of people to enrol: CSV with a header, or JSON Lines.

Each line is one recording: ``name`` and ``path``, relative to the list's own folder.  Lines of
one name are one person, in whatever order they come.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from voiceid.domain import speaker_key, speaker_name
from voiceid.enrollment.bulk import Person
from voiceid.errors import ManifestInvalid, SpeakerNameInvalid

COLUMNS = ("name", "path")
_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
_SHOWN = 10
"""Problems that are told in full."""


def read_manifest(path: Path) -> list[Person]:
    """Return the people of a list, in the order in which their names first come.

    Parameters
    ----------
    path : Path
        ``.jsonl``, ``.ndjson`` and ``.json`` are JSON Lines; anything else is CSV.

    Raises
    ------
    ManifestInvalid
        It cannot be read, a line lacks a column or has one that is not known, or a name
        cannot be a speaker's.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestInvalid(
            f"the list {path} cannot be read: {error}", hint="It must be a text file in UTF-8."
        ) from error
    lines = _json_lines(text) if path.suffix.lower() in _JSON_SUFFIXES else _csv_lines(text)
    people: dict[str, tuple[str, list[str]]] = {}
    problems = []
    for number, row in lines:
        problem = row if isinstance(row, str) else _problem_of(row)
        if isinstance(row, str) or problem:
            problems.append(f"line {number}: {problem}")
            continue
        name = speaker_name(row["name"])
        _, sources = people.setdefault(speaker_key(name), (name, []))
        sources.append(str(path.parent / row["path"]))
    if problems or not people:
        raise _invalid(path, problems)
    return [Person(name, tuple(sources)) for name, sources in people.values()]


def _invalid(path: Path, problems: list[str]) -> ManifestInvalid:
    if not problems:
        return ManifestInvalid(f"the list {path} names nobody", hint="Add lines of name and path.")
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return ManifestInvalid(
        f"the list {path} is malformed; nobody was enrolled:\n  "
        + "\n  ".join(problems[:_SHOWN] + more),
        hint=f"Each line needs the columns {' and '.join(COLUMNS)}, and no others.",
    )


def _csv_lines(text: str) -> Iterator[tuple[int, dict[str, str] | str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"it is no CSV: {error}"
            return
        if not row:
            continue
        if header is None:
            header = [cell.strip() for cell in row]
        elif len(row) != len(header):
            yield reader.line_num, f"{len(row)} cells under {len(header)} columns"
        else:
            yield reader.line_num, dict(zip(header, row, strict=True))


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, str] | str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"it is no JSON: {error}"
            continue
        if isinstance(row, dict) and all(isinstance(value, str) for value in row.values()):
            yield number, row
        else:
            yield number, "it is not an object of texts"


def _problem_of(row: dict[str, str]) -> str:
    """Return what is wrong with a line, or nothing."""
    missing = [column for column in COLUMNS if not row.get(column, "").strip()]
    unknown = sorted(row.keys() - set(COLUMNS))
    if missing:
        return f"no {' and no '.join(missing)}"
    if unknown:
        return f"unknown column {', '.join(map(repr, unknown))}"
    try:
        speaker_name(row["name"])
    except SpeakerNameInvalid as error:
        return error.message
    return ""
