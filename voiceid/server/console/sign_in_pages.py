"""Signing in with a key, signing out, and the files of the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from voiceid.errors import AccessDenied
from voiceid.server.callers import known_caller
from voiceid.server.console.rendering import asset
from voiceid.server.console.visits import PageRoute, Sent, Visit, Visiting, written
from voiceid.server.problems import Problem
from voiceid.server.session_cookies import is_secure, keep_cookie, new_cookie

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)

_SESSION_S = 8 * 3600
"""A working day; after that the key is required again."""


@ROUTES.get("/console/{name}")
async def file(name: str) -> Response:
    """Return a file of the pages."""
    response = asset(name)
    if response is None:
        raise Problem(HTTPStatus.NOT_FOUND, "NotFound", "there is no such page")
    return response


@ROUTES.get("/sign-in")
async def ask(visit: Visiting, after: Annotated[str, Query(alias="next")] = "/") -> Response:
    """Ask for a key."""
    if visit.caller is not None:
        return visit.go(_own_path(after))
    return _asked(visit, after)


@ROUTES.post("/sign-in")
async def sign_in(request: Request, visit: Visiting, fields: Sent) -> Response:
    """Begin a session with a key."""
    after, text = str(fields.get("next", "/")), written(fields, "key")
    try:
        caller = await known_caller(request, visit.vid, text)
    except AccessDenied as error:
        return _asked(visit, after, error.message)
    if caller.key is None:
        raise AccessDenied("there are no keys, so no key is needed")
    until = datetime.now(UTC) + timedelta(seconds=_SESSION_S)
    session = await to_thread.run_sync(visit.vid.keys.start_session, caller.key, until)
    answer = RedirectResponse(_own_path(after), HTTPStatus.SEE_OTHER)
    request.state.cookie = None
    keep_cookie(request, answer, session, _SESSION_S)
    return answer


@ROUTES.post("/sign-out")
def sign_out(request: Request, visit: Visiting, _: Sent) -> Response:
    """End the session of the browser."""
    request.state.cookie = new_cookie()
    return visit.go("/sign-in")


def _asked(visit: Visit, after: str, wrong: str = "") -> Response:
    host = visit.request.url.hostname
    unsafe = not is_secure(visit.request) and host not in {"localhost", "127.0.0.1", "::1"}
    return visit.page(
        "sign_in.html",
        status=HTTPStatus.UNAUTHORIZED if wrong else HTTPStatus.OK,
        after=after,
        wrong=wrong,
        unsafe=unsafe,
    )


def _own_path(path: str) -> str:
    """Return a path of this service; browsers read a backslash as ``/``, and drop tabs."""
    parts = urlsplit(path)
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc
    return path if is_own and path.isascii() and path.isprintable() else "/"
