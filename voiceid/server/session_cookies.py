"""The cookie of a browser that signed in with a key.

It holds a session of `Keys` or, for a visitor who is not signed in, a random text.  The token in
the forms is derived from it: a foreign page can neither read the cookie nor guess the token.
"""

from __future__ import annotations

import hashlib
import secrets

from starlette.requests import HTTPConnection
from starlette.responses import Response

_ANONYMOUS = "anonymous."
_NAME, _NAME_OF_TLS = "voiceid", "__Host-voiceid"
"""No other host can set the second name: RFC 6265bis, section 4.1.3.2."""


def is_secure(connection: HTTPConnection) -> bool:
    """Whether a request came over TLS, to this process or to a trusted proxy."""
    return connection.url.scheme in {"https", "wss"}


def kept_cookie(connection: HTTPConnection) -> str:
    """Return the cookie of the browser, or an empty text."""
    return connection.cookies.get(_name(connection), "")


def session_text(connection: HTTPConnection) -> str | None:
    """Return the session in the cookie, or None."""
    text = kept_cookie(connection)
    return text if text and not text.startswith(_ANONYMOUS) else None


def new_cookie() -> str:
    """Return a cookie for a visitor who is not signed in."""
    return f"{_ANONYMOUS}{secrets.token_urlsafe(24)}"


def keep_cookie(connection: HTTPConnection, response: Response, text: str, max_age_s: int) -> None:
    """Set the cookie, for ``max_age_s``."""
    response.set_cookie(
        _name(connection),
        text,
        max_age=max_age_s,
        secure=is_secure(connection),
        httponly=True,
        samesite="strict",
    )


def form_token(cookie: str) -> str:
    """Return the form token for a cookie."""
    return hashlib.sha256(f"voiceid form {cookie}".encode("utf-8", "surrogatepass")).hexdigest()


def _name(connection: HTTPConnection) -> str:
    return _NAME_OF_TLS if is_secure(connection) else _NAME
