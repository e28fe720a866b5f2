"""Safe standard streams, even if they are closed, broken or of a narrow encoding."""

from __future__ import annotations

import io
import os
import sys

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def prepare() -> bool:
    """Make the standard streams safe to use; return whether standard output was open.

    A closed descriptor 0, 1 or 2 would be reused by the next file that is opened, and messages
    would be written into, say, the database.  Characters that the encoding does not have
    (``LANG=C``, an old code page) are escaped: a name must not make a result fail.
    """
    for number in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is used, so this fills exactly the gap.
            os.open(os.devnull, os.O_RDONLY if number == _STDIN else os.O_WRONLY)
    stdout_open = sys.stdout is not None
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return stdout_open


def is_terminal(stream: object) -> bool:
    """Whether a stream is a terminal."""
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(isatty and isatty())
    except (OSError, ValueError):  # closed meanwhile
        return False


def shows_colours(stream: object) -> bool:
    """Whether colours may be written to the stream: a terminal, see no-color.org."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return is_terminal(stream)


def speaks_utf8(stream: object) -> bool:
    """Whether every character can be written to the stream."""
    encoding = str(getattr(stream, "encoding", "") or "")
    return encoding.lower().replace("-", "").replace("_", "") in {"utf8", "utf8sig"}


def abandon_stdout() -> None:
    """Discard the rest of the buffer.

    Otherwise the interpreter tries again at its shutdown, complains, and exits with another
    code.
    """
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
