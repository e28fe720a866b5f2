"""Names in paths: one with a ``/`` is asked for as ``%2F``.

A server hands a path over without its escapes, where a ``/`` of a name looks like any other.  So
it stands there as a character that no name has, until the name is read.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

_SLASH = "\0"
_ESCAPED = re.compile(b"%2f", re.IGNORECASE)


class EscapedSlashes:
    """Middleware: a ``/`` that is escaped in a path parts nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and _ESCAPED.search(raw := scope.get("raw_path") or b""):
            path = unquote(_ESCAPED.sub(_SLASH.encode(), raw).decode("ascii"))
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)


class NameConvertor(StringConvertor):
    """Reads a name in a path: ``{name:name}``."""

    def convert(self, value: str) -> str:
        """Return the name."""
        return value.replace(_SLASH, "/")


register_url_convertor("name", NameConvertor())
NAME = "{name:name}"
"""A name in the path of a route."""
