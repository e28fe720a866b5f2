"""Repeated requests: a request that changes something is carried out once (Idempotency-Key).

It follows draft-ietf-httpapi-idempotency-key-header.  Only a hash of the key is kept, and a hash of
the key with the request, so that neither reveals people.  A request that ended in an error changed
nothing, is not kept, and may be sent again.  A request with a key is also completed when its caller
disconnects: the caller sends it again to get the answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import BinaryIO

from anyio import sleep_forever, to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message

from voiceid.errors import ErasureIncomplete, VoiceIDError
from voiceid.server.callers import caller_of
from voiceid.server.disclosure import problem_for
from voiceid.server.problems import Problem, invalid, problem_answer
from voiceid.server.request_clips import spooled
from voiceid.server.service_parts import Handle, parts_of
from voiceid.store import Store
from voiceid.store.answer_table import KeptAnswer

_LOG = logging.getLogger("voiceid")
_HEADER = "idempotency-key"
_KEPT_HEADERS = ("content-type", "location", "etag")
_BLOCK = 1 << 20
_MOST_CHARS = 255


class OnceRoute(APIRoute):
    """A route that makes its changes once for each key that a caller gives a request."""

    def get_route_handler(self) -> Handle:
        """Return the function that answers a request."""
        return partial(_once, super().get_route_handler())


async def _once(handle: Handle, request: Request) -> Response:
    key = request.headers.get(_HEADER)
    if key is None or request.method == "GET":
        return await handle(request)
    if not 1 <= len(key) <= _MOST_CHARS:
        text = f"the Idempotency-Key must have 1 to {_MOST_CHARS} characters"
        raise invalid(text, hint="Use a UUID.")
    caller = (await caller_of(request)).name
    body = await spooled(request)
    try:
        once = _Once(parts_of(request).jobs.store, caller, key)
        sha256 = await to_thread.run_sync(_request_sha256, request, key, body)
        earlier = await to_thread.run_sync(once.begin, sha256)
        if earlier is not None:
            return _answer_again(earlier, sha256)
        return await once.answer(handle, Request(request.scope, _receive_again(body)))
    finally:
        if body is not None:
            body.close()


class _Once:
    """A request with a key, from its beginning to its answer."""

    def __init__(self, store: Store, caller: str, key: str) -> None:
        self._store, self._whose = store, (caller, _sha256(key.encode()))

    def begin(self, request_sha256: str) -> KeptAnswer | None:
        with self._store.write() as writer:
            return writer.answers.begin(*self._whose, request_sha256)

    async def answer(self, handle: Handle, request: Request) -> Response:
        """Carry out the request, and keep its answer."""
        try:
            answer = await handle(request)
        except ErasureIncomplete as error:  # the change was made
            answer = problem_answer(problem_for(request, error))
            await to_thread.run_sync(self._keep, answer)
            return answer
        except BaseException:
            await to_thread.run_sync(self._give_up)
            raise
        is_error = answer.status_code >= HTTPStatus.BAD_REQUEST
        await to_thread.run_sync(*((self._give_up,) if is_error else (self._keep, answer)))
        return answer

    def _keep(self, answer: Response) -> None:
        headers = {k: answer.headers[k] for k in _KEPT_HEADERS if k in answer.headers}
        text: str | None = json.dumps({"headers": headers, "body": bytes(answer.body).decode()})
        if answer.headers.get("cache-control") == "no-store":  # it has a secret
            text = None
        try:
            with self._store.write() as writer:
                writer.answers.keep(*self._whose, answer.status_code, text)
        except VoiceIDError as error:  # the change was made: the caller must get the answer
            _LOG.warning("the answer was not kept for repeats: %s", error)

    def _give_up(self) -> None:
        try:
            with self._store.write() as writer:
                writer.answers.give_up(*self._whose)
        except VoiceIDError as error:  # the entry expires, as for a killed process
            _LOG.warning("the request cannot be repeated for an hour: %s", error)


def _answer_again(earlier: KeptAnswer, request_sha256: str) -> Response:
    if earlier.request_sha256 != request_sha256:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "IdempotencyKeyReused",
            "this Idempotency-Key was used for another request",
            hint="Use a new key for each request.",
        )
    if earlier.status is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "RequestInProgress",
            "the request with this Idempotency-Key is still running",
            hint="Send it again later to get its answer.",
            retry_after_s=1,
        )
    if earlier.answer is None:
        answer = problem_answer(
            Problem(
                HTTPStatus.GONE,
                "AnswerForgotten",
                f"the request was carried out, with the status {earlier.status};"
                " its answer is not kept: it had a secret, or a voice was erased afterwards",
                hint="Read the present state instead.",
            )
        )
    else:
        stored = json.loads(earlier.answer)
        answer = Response(stored["body"], earlier.status, stored["headers"])
    answer.headers["Idempotent-Replayed"] = "true"
    return answer


def _request_sha256(request: Request, key: str, body: BinaryIO | None) -> str:
    """Return the hash of a request, without the form's boundary, which changes each time."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    _, _, boundary = parameters.partition("boundary=")
    parts = (key, request.method, request.url.path, request.url.query, media_type)
    return _sha256("\0".join(parts).encode() + _digest(body, boundary.strip(' "').encode()))


def _digest(body: BinaryIO | None, boundary: bytes) -> bytes:
    digest, tail = hashlib.sha256(), b""
    while body is not None and (block := body.read(_BLOCK)):
        data = (tail + block).replace(boundary, b"") if boundary else block
        cut = len(data) - max(0, len(boundary) - 1)
        digest.update(data[: max(0, cut)])
        tail = data[max(0, cut) :]
    digest.update(tail)
    if body is not None:
        body.seek(0)
    return digest.digest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _receive_again(body: BinaryIO | None) -> Callable[[], Awaitable[Message]]:
    ended = False

    async def receive() -> Message:
        nonlocal ended
        if ended:
            await sleep_forever()
        block = b"" if body is None else body.read(_BLOCK)
        ended = not block
        return {"type": "http.request", "body": block, "more_body": not ended}

    return receive
