"""The place of a gallery: a file, or a database of a PostgreSQL server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_SCHEME = "postgresql+psycopg"
_URL = re.compile(rf"{re.escape(_SCHEME)}://(?:[^@/?#\s]*@)?[^@/?#\s]*/[^@/?#\s;=]+(?:\?[^@#\s]*)?")
"""Strict: the end of an unquoted password would be taken for another part, and shown."""
_SHOWN = {"host", "port", "sslmode", "sslrootcert", "connect_timeout", "application_name"}
"""Parameters of libpq that are not secret."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database of a PostgreSQL server; as a text it is without its password.

    It takes ``postgresql+psycopg://user:password@host:port/database``; else raises ValueError.
    """

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        form = f"not {_SCHEME}://user:password@host:port/database, with / ? # @ in a name or a"
        fault = ValueError(f"{form} password written as %2F %3F %23 %40")
        if _URL.fullmatch(self.text) is None:
            raise fault
        try:
            _ = urlsplit(self.text).port
        except ValueError:  # its message may hold a part of the password
            raise fault from None

    def __str__(self) -> str:
        parts = urlsplit(self.text)
        user, at, host = parts.netloc.rpartition("@")
        shown = [(k, v) for k, v in parse_qsl(parts.query) if k in _SHOWN]
        query = f"?{urlencode(shown, safe='/')}" if shown else ""
        return f"{_SCHEME}://{user.partition(':')[0]}{at}{host}{parts.path}{query}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets, in every form in which an error may repeat them."""
        parts = urlsplit(self.text)
        passwords = [unquote(parts.password or "")]
        passwords += [value for key, value in parse_qsl(parts.query) if "password" in key.lower()]
        return tuple({form for text in passwords if text for form in (text, quote(text, safe=""))})


def database_at(text: str) -> Path | DatabaseUrl:
    """Read a path, ``sqlite:///path``, or the URL of a `DatabaseUrl`; else raises ValueError."""
    if "://" not in text:
        return Path(text)
    if text.startswith("sqlite:///"):
        return Path(text.removeprefix("sqlite:///"))
    return DatabaseUrl(text)
