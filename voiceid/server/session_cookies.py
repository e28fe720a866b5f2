"""The cookie by which a browser that signed in with a key is known.

It holds a session of `Keys`, or, for a visitor who is not signed in, a random text.  The token in
the forms is made from it: a page of elsewhere can neither read the cookie nor guess the token.
"""

from __future__ import annotations

import hashlib
import secrets

from starlette.requests import HTTPConnection
from starlette.responses import Response

_ANONYMOUS = "anonymous."
_NAME, _NAME_OF_TLS = "voiceid", "__Host-voiceid"
"""Under the second no other host can set one: RFC 6265bis, section 4.1.3.2."""


def is_secure(connection: HTTPConnection) -> bool:
    """Whether a request came by TLS, to this process or to a trusted proxy."""
    return connection.url.scheme in {"https", "wss"}


def kept_cookie(connection: HTTPConnection) -> str:
    """Return what the browser keeps, or an empty text."""
    return connection.cookies.get(_name(connection), "")


def session_text(connection: HTTPConnection) -> str | None:
    """Return the session that the browser keeps, or None."""
    text = kept_cookie(connection)
    return text if text and not text.startswith(_ANONYMOUS) else None


def new_cookie() -> str:
    """Return the text for a visitor who is not signed in."""
    return f"{_ANONYMOUS}{secrets.token_urlsafe(24)}"


def keep_cookie(connection: HTTPConnection, response: Response, text: str, max_age_s: int) -> None:
    """Let the browser keep a text, for so long."""
    response.set_cookie(
        _name(connection),
        text,
        max_age=max_age_s,
        secure=is_secure(connection),
        httponly=True,
        samesite="strict",
    )


def form_token(cookie: str) -> str:
    """Return what a form of a page for this cookie carries."""
    return hashlib.sha256(f"voiceid form {cookie}".encode("utf-8", "surrogatepass")).hexdigest()


def _name(connection: HTTPConnection) -> str:
    return _NAME_OF_TLS if is_secure(connection) else _NAME
