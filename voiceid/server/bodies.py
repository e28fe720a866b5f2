"""Bounds on the body of a request, while it arrives."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voiceid.domain import ServiceLimits
from voiceid.server.places import Places
from voiceid.server.problems import Problem, problem_answer

_HEARS = re.compile(r"/v1/(identify|verify|compare|embed|speakers/.+/samples)")
"""Paths that need a place: while none is free, the request is refused before any other work."""
_LEAST_BYTES_PER_S = 500
"""Less than a telephone codec makes: a slower client only blocks a connection."""


class BoundedBodies:
    """Middleware: a body that is too large, too slow or incomplete is a problem."""

    def __init__(self, app: ASGIApp, limits: ServiceLimits, places: Places) -> None:
        self._app, self._limits, self._places = app, limits, places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            if scope["method"] in {"POST", "PUT"} and _HEARS.fullmatch(scope["path"]):
                try:
                    self._places.require_room()
                except Problem as problem:
                    await problem_answer(problem)(scope, receive, send)
                    return
            declared = dict(scope["headers"]).get(b"content-length", b"0")
            receive = _bounded(receive, self._limits, int(declared) if declared.isdigit() else 0)
        with suppress(ClientDisconnect):  # during the body: there is no caller left to answer
            await self._app(scope, receive, send)


def _bounded(receive: Receive, limits: ServiceLimits, declared: int) -> Receive:
    n_bytes, ended, stall_s = 0, False, limits.stall_timeout_s
    due: float | None = None

    async def bounded() -> Message:
        nonlocal n_bytes, ended, due
        if ended:  # the next message is the disconnect
            return await receive()
        if declared > limits.max_body_bytes:
            raise _too_large(limits)
        now = time.monotonic()
        due = now + stall_s if due is None else due  # counted from the first read of the body
        try:
            async with asyncio.timeout(min(stall_s, due - now)):
                message = await receive()
        except TimeoutError as error:
            raise Problem(
                HTTPStatus.REQUEST_TIMEOUT,
                "BodyStalled",
                f"nothing of the body arrived for {stall_s:g} s,"
                f" or less than {_LEAST_BYTES_PER_S} bytes a second",
                hint="Send the request again, without pauses.",
            ) from error
        n_new = len(message.get("body", b""))
        n_bytes, due = n_bytes + n_new, due + n_new / _LEAST_BYTES_PER_S
        ended = not message.get("more_body", False)
        if n_bytes > limits.max_body_bytes:
            raise _too_large(limits)
        return message

    return bounded


def _too_large(limits: ServiceLimits) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "BodyTooLarge",
        f"the body is larger than the limit of {limits.max_body_bytes} bytes",
        hint="Send less, or increase server.max_body_bytes in config.yaml.",
    )
