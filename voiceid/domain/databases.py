"""Where a gallery is kept: a file, or a database of a PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_SCHEME = "postgresql+psycopg"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database of a PostgreSQL server; as a text it is without its password.

    It takes ``postgresql+psycopg://user:password@host:port/database``; else raises ValueError.
    """

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.text)
        if parts.scheme != _SCHEME or not parts.path.strip("/"):
            raise ValueError(f"not {_SCHEME}://user:password@host:port/database")
        try:
            _ = parts.port
        except ValueError as error:
            raise ValueError("its port is not a number") from error

    def __str__(self) -> str:
        parts = urlsplit(self.text)
        user, at, host = parts.netloc.rpartition("@")
        shown = [(k, v) for k, v in parse_qsl(parts.query) if "password" not in k.lower()]
        query = f"?{urlencode(shown, safe='/')}" if shown else ""
        return f"{_SCHEME}://{user.partition(':')[0]}{at}{host}{parts.path}{query}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown, in every form in which an error may repeat it."""
        parts = urlsplit(self.text)
        given = [unquote(parts.password or "")]
        given += [value for key, value in parse_qsl(parts.query) if "password" in key.lower()]
        return tuple({form for text in given if text for form in (text, quote(text, safe=""))})


def database_at(text: str) -> Path | DatabaseUrl:
    """Read a path, ``sqlite:///path``, or the URL of a `DatabaseUrl`; else raises ValueError."""
    if "://" not in text:
        return Path(text)
    if text.startswith("sqlite:///"):
        return Path(text.removeprefix("sqlite:///"))
    return DatabaseUrl(text)
