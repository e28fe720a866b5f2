"""Plain text for terminals: nothing in a name or a file may control the terminal."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import click

_COLOURS = {
    "accepted": "green",
    "rejected": "red",
    "inconclusive": "yellow",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
}


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with invisible characters escaped (ESC becomes ``\x1b``).

    File names and the messages of other libraries reach the terminal: control characters,
    bidirectional overrides, line breaks and undecodable bytes (lone surrogates) must not.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return ``text`` with each line printable, and the lines after the first indented.

    Because of the indent, a line break inside a message cannot imitate a line of this
    program.
    """
    first, *more = text.split("\n")
    return "\n".join([printable(first), *("  " + printable(line.strip()) for line in more)])


def coloured(text: str, word: str, at: int = 0) -> str:
    """Return ``text``, which must be printable, with the word at a position coloured.

    Colour is added last, when all columns are aligned and names are escaped.
    """
    if text[at : at + len(word)] != word or word not in _COLOURS:
        return text
    return text[:at] + click.style(word, fg=_COLOURS[word]) + text[at + len(word) :]


def width(text: str) -> int:
    """Return the terminal columns of ``text`` (UAX #11; combining marks take none)."""
    return sum(
        0
        if unicodedata.category(c) in {"Mn", "Me"}
        else 2
        if unicodedata.east_asian_width(c) in {"W", "F"}
        else 1
        for c in text
    )


def shown(value: object) -> str:
    """Return a value for people, on one line: ``-`` for None, yes or no for a bool."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else printable(str(value))


def table(
    header: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str] = ()
) -> str:
    """Return aligned columns under a header; those in ``right`` are right-aligned."""
    cells = [list(header), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(width(row[i]) for row in cells) for i in range(len(header))]

    def pad(cell: str, column: int) -> str:
        space = " " * (widths[column] - width(cell))
        return space + cell if header[column] in right else cell + space

    return "\n".join("  ".join(pad(c, i) for i, c in enumerate(row)).rstrip() for row in cells)


def fields(values: Mapping[str, object]) -> str:
    """Return ``name  value`` lines with the values aligned."""
    column = max((width(name) for name in values), default=0)
    return "\n".join(
        f"{name}{' ' * (column - width(name))}  {shown(value)}".rstrip()
        for name, value in values.items()
    )


def json_line(value: Mapping[str, object], *, ascii_only: bool = False) -> str:
    """Return ``value`` as JSON on one line, strict (no NaN) and with nothing unprintable."""
    text = json.dumps(dict(value), ensure_ascii=ascii_only, allow_nan=False)
    if text.isprintable():
        return text
    # Outside strings JSON is printable ASCII, so what is escaped here stands in a string.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def megabytes(size: int) -> str:
    """Return a size in bytes as megabytes (10^6), to one decimal below 100."""
    value = size / 1e6
    return f"{value:.1f} MB" if value < 100 else f"{value:.0f} MB"  # noqa: PLR2004


def seconds(value: float) -> str:
    """Return a duration as people read it: to a tenth of a second."""
    return f"{value:.1f} s"


def minute(moment: datetime) -> str:
    """Return a time in UTC to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def counted(count: int, noun: str) -> str:
    """Return e.g. ``1 clip`` or ``3 clips``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
