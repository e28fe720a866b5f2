"""Visits to the console: the caller, the protection of forms, and pages as answers."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from anyio import to_thread
from fastapi import Depends
from fastapi.routing import APIRoute
from pydantic import BeforeValidator
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from voiceid.client import VoiceID
from voiceid.domain import Scope
from voiceid.errors import AccessDenied
from voiceid.server.callers import Caller, known_caller, session_caller
from voiceid.server.console.rendering import guard, html
from voiceid.server.disclosure import answer_problem, problem_for
from voiceid.server.problems import ERRORS, Problem, headers_of
from voiceid.server.request_clips import Options
from voiceid.server.service_parts import Handle, ServiceParts, parts_of
from voiceid.server.session_cookies import (
    form_token,
    keep_cookie,
    kept_cookie,
    new_cookie,
    session_text,
)

_ANONYMOUS_S = 24 * 3600
FRAGMENT = "x-fragment"
"""The header by which a page's script requests only the part that changes."""
_MAX_FIELDS = 40


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person.

    - `caller`: None if not signed in.
    - `cookie`: the browser's cookie, or the new one to set.
    """

    request: Request
    caller: Caller | None
    cookie: str

    @property
    def parts(self) -> ServiceParts:
        """The objects that the routes share."""
        return parts_of(self.request)

    @property
    def vid(self) -> VoiceID:
        """The gallery."""
        return self.parts.vid

    @property
    def person(self) -> Caller:
        """The caller of a page that requires one."""
        if self.caller is None:
            raise SignInNeeded
        return self.caller

    def may(self, *scopes: str) -> bool:
        """Whether the caller has one of some scopes."""
        return self.caller is not None and any(self.caller.may(Scope(s)) for s in scopes)

    def require_token(self, token: object) -> None:
        """Raise Problem unless the form comes from a page that this browser received."""
        headers = self.request.headers
        origin = headers.get("origin")
        is_same = origin is None or urlsplit(origin).netloc == headers.get("host")
        site = headers.get("sec-fetch-site", "same-origin" if is_same else "cross-site")
        expected = form_token(self.cookie)
        if site != "same-origin" or not hmac.compare_digest(expected, _ascii(token)):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "FormStale",
                "the form is not from the latest page that this browser received",
                hint="Reload the page, and send the form again.",
            )

    async def form(self) -> FormData:
        """Return the fields of a form without recordings."""
        fields = await self.request.form(max_files=0, max_fields=_MAX_FIELDS)
        self.require_token(fields.get("token"))
        return fields

    def page(self, template: str, *, status: int = 200, part: str = "", **facts: Any) -> Response:
        """Return a page, or only its ``part`` if the page's script requests it."""
        chosen = part if part and FRAGMENT in self.request.headers else template
        said = self.request.query_params.get("said", "")
        text = html(chosen, visit=self, token=form_token(self.cookie), said=said, **facts)
        return HTMLResponse(text, status)

    def go(self, path: str, **query: str) -> Response:
        """Send the browser to another page."""
        return _redirect(path, query)


class Fields(Options):
    """The fields of a form with recordings."""

    token: str = ""


Blank = BeforeValidator(lambda text: text.strip() or None if isinstance(text, str) else text)
"""A validator that turns an empty field into None."""
Listed = BeforeValidator(
    lambda text: [t for t in text.split(",") if t.strip()] if isinstance(text, str) else text
)
"""A validator that splits a field at its commas."""


class SignInNeeded(Exception):
    """A person without a session requests a page that needs one."""


class PageRoute(APIRoute):
    """A route that shows errors as pages and sets the security headers."""

    def get_route_handler(self) -> Handle:
        """Return the function that answers a request."""
        return partial(_shown, super().get_route_handler())


async def unknown_address(request: Request, error: Exception) -> Response:
    """Answer for an address without a route: a person in a browser gets a page."""
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return answer_problem(request, error)
    return await _shown(_no_page, request)


async def _no_page(request: Request) -> Response:
    await visit_of(request)
    raise Problem(HTTPStatus.NOT_FOUND, "NotFound", "there is no page at this address")


async def _shown(handle: Handle, request: Request) -> Response:
    """Return an answer with errors as pages, the cookie and the security headers."""
    request.state.cookie = None
    try:
        response = await handle(request)
    except SignInNeeded:
        response = _to_sign_in(request)
    except ERRORS as error:
        response = _problem_page(request, problem_for(request, error))
    if request.state.cookie is not None:
        keep_cookie(request, response, request.state.cookie, _ANONYMOUS_S)
    return guard(response)


def _problem_page(request: Request, problem: Problem) -> Response:
    visit = getattr(request.state, "visit", None) or Visit(request, None, kept_cookie(request))
    response: Response = visit.page(
        "problem.html", status=problem.status.value, part="_problem.html", problem=problem
    )
    response.headers.update(headers_of(problem))
    return response


def _to_sign_in(request: Request) -> Response:
    path = request.url.path
    if request.method != "GET" or path == "/":
        return _redirect("/sign-in", {})
    target = f"{path}?{request.url.query}" if request.url.query else path
    return _redirect("/sign-in", {"next": target})


def _redirect(path: str, query: Mapping[str, str]) -> Response:
    url = f"{path}?{urlencode(query)}" if query else path
    return RedirectResponse(url, HTTPStatus.SEE_OTHER)


async def visit_of(request: Request) -> Visit:
    """Return the visit of a person, signed in or not."""
    parts, session = parts_of(request), session_text(request)
    vid = parts.vid
    if not await to_thread.run_sync(vid.keys.any, limiter=parts.doors):
        caller: Caller | None = await known_caller(request, vid, None)
        session = None
    elif session is None:
        caller = None
    else:
        try:
            caller = await session_caller(request, vid, session)
        except AccessDenied:
            caller = session = None
    cookie = session or kept_cookie(request)
    if not cookie or (session is None and session_text(request)):
        cookie = request.state.cookie = new_cookie()
    request.state.visit = visit = Visit(request, caller, cookie)
    return visit


def _visiting(*scopes: Scope) -> Any:
    """Return the dependency of a page: a person who has one of these scopes."""

    async def visit(visit: Annotated[Visit, Depends(visit_of)]) -> Visit:
        if not any(map(visit.person.may, scopes)):
            visit.person.require(scopes[0])
        return visit

    return Depends(visit)


async def _form(visit: Annotated[Visit, Depends(visit_of)]) -> FormData:
    return await visit.form()


Visiting = Annotated[Visit, Depends(visit_of)]
Looking = Annotated[Visit, _visiting(Scope.READ)]
Asking = Annotated[Visit, _visiting(Scope.IDENTIFY, Scope.VERIFY)]
Hearing = Annotated[Visit, _visiting(Scope.IDENTIFY)]
Adding = Annotated[Visit, _visiting(Scope.ENROLL)]
Working = Annotated[Visit, _visiting(Scope.IDENTIFY, Scope.ENROLL)]
Managing = Annotated[Visit, _visiting(Scope.ADMIN)]
Sent = Annotated[FormData, Depends(_form)]
"""The fields of a form without recordings, with a valid token."""


def written(fields: FormData, name: str) -> str:
    """Return the trimmed text of a field, or an empty text."""
    return str(fields.get(name, "")).strip()


def _ascii(token: object) -> str:
    return token if isinstance(token, str) and token.isascii() else ""
