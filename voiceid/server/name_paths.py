"""Names in paths: a ``/`` in a name is sent as ``%2F``.

A server passes a path on without its escapes, so a ``/`` of a name would look like a separator.
Until the name is read, it is replaced by a character that no name has.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

_SLASH = "\0"
_ESCAPED = re.compile(b"%2f", re.IGNORECASE)


class EscapedSlashes:
    """Middleware: an escaped ``/`` in a path is not a separator."""

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
