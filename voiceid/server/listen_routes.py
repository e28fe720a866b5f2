"""Live identification: a WebSocket that receives sound and sends events.

Text messages are those of Deepgram's clients: ``KeepAlive``, ``Finalize`` and ``CloseStream``.  The
event loop puts received data into a `LiveSound`; one thread per client hears it and sends events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from anyio import create_task_group, fail_after, from_thread, move_on_after, to_thread
from fastapi import APIRouter, WebSocket
from pydantic import Field
from starlette.websockets import WebSocketDisconnect

from voiceid.domain import LiveEvent, LiveEventKind, Scope
from voiceid.errors import VoiceIDError
from voiceid.listing import json_in
from voiceid.server.callers import Caller, key_text, known_caller, require_still_known
from voiceid.server.disclosure import problem_for
from voiceid.server.live_sound import Clock, LiveSound, SoundFormat, pieces_of
from voiceid.server.problems import Problem, invalid, problem_document
from voiceid.server.question_routes import PolicyOptions, Rate
from voiceid.server.request_clips import named, options_of
from voiceid.server.service_parts import ServiceParts, parts_of
from voiceid.server.shown import shown_event

if TYPE_CHECKING:
    from voiceid.listening import Listener

ROUTES = APIRouter()

_PROTOCOL = "token"
"""The key is the subprotocol after this one: a page cannot set headers (as Deepgram)."""
_CODES: Mapping[HTTPStatus, int] = {
    HTTPStatus.UNPROCESSABLE_ENTITY: 1007,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 1009,
    HTTPStatus.SERVICE_UNAVAILABLE: 1013,
    HTTPStatus.INTERNAL_SERVER_ERROR: 1011,
}
"""The close code of a problem (RFC 6455, section 7.4, and its registry); default 1008."""
_REASON_BYTES = 120
_INTERNAL = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", "the service failed")


class ListenOptions(PolicyOptions):
    """The options of `listen`: the format of the sound, and the question."""

    format: SoundFormat
    rate: int | None = Field(None, ge=1000, le=768_000, description="Hertz.")
    channels: int = Field(1, ge=1, le=8)
    speaker: str | None = None
    group: str | None = None
    purpose: str | None = None
    challenge: bool = Field(default=False, description="Accept no speaker before a spoken code.")
    silence_s: float | None = None
    top: int = Field(5, ge=1, le=1000)
    target_fmr: Rate | None = None
    target_fpir: Rate | None = None
    margin: float | None = None


@ROUTES.websocket("/listen")
async def listen(socket: WebSocket) -> None:
    """Decide live who is speaking."""
    parts = parts_of(socket)
    offered = socket.scope["subprotocols"]
    text = key_text(socket.headers)
    if text is None and offered[:1] == [_PROTOCOL] and len(offered) > 1:
        text = offered[1]
    caller = await known_caller(socket, parts.vid, text)  # its errors become HTTP answers
    await socket.accept(_PROTOCOL if _PROTOCOL in offered else None)
    try:
        with parts.streams.place():
            await _Conversation(socket, parts, caller).hold()
        problem = None
    except WebSocketDisconnect:
        return
    except (Problem, VoiceIDError) as error:
        problem = problem_for(socket, error)
    except Exception:
        await _close(socket, _INTERNAL, parts.limits.stall_timeout_s)
        raise
    await _close(socket, problem, parts.limits.stall_timeout_s)


async def _close(socket: WebSocket, problem: Problem | None, timeout_s: float) -> None:
    """Send the problem and close; do not wait for a client that does not read."""
    code, reason = 1000, ""
    with suppress(WebSocketDisconnect), move_on_after(timeout_s):
        if problem is not None:
            code = _CODES.get(problem.status, 1008)
            reason = problem.detail.encode()[:_REASON_BYTES].decode(errors="ignore")
            await socket.send_text(json.dumps(problem_document(problem)))
        await socket.close(code, reason)


class _Conversation:
    """One client: its question, its sound, and its events."""

    def __init__(self, socket: WebSocket, parts: ServiceParts, caller: Caller) -> None:
        self._socket, self._parts, self._caller = socket, parts, caller
        self._stall_s = parts.limits.stall_timeout_s
        self._claimed: str | None = None
        self._sound = LiveSound()

    async def hold(self) -> None:
        """Receive the options and the sound until it ends; raises Problem, VoiceIDError.

        WebSocketDisconnect: the client has disconnected.
        """
        values: Any = named(self._socket.query_params.multi_items()) or _json_of(await self._next())
        options = options_of(ListenOptions, values)
        ask = partial(self._parts.vid.listen, **self._how(options))
        failures: list[Exception] = []

        async def receive() -> None:
            try:
                await self._receive()
            except Exception as error:  # noqa: BLE001 - raised below, not as a group
                failures.append(error)
            finally:
                self._sound.end(cut=True)

        async with create_task_group() as group:
            group.start_soon(receive)
            try:
                hear = partial(self._hear, ask, options)
                await to_thread.run_sync(hear, limiter=self._parts.streams.limiter)
            except Exception as error:  # noqa: BLE001
                failures.append(error)
            group.cancel_scope.cancel()
        if failures:
            raise failures[0]

    # The event loop

    def _how(self, options: ListenOptions) -> dict[str, Any]:
        """Return the question as arguments of the library; raises Problem without the scope."""
        caller, speaker = self._caller, options.speaker
        caller.require(Scope.IDENTIFY if speaker is None else Scope.VERIFY)
        how = {"silence_s": options.silence_s, "top": options.top, **options.policy(caller)}
        if options.challenge:
            caller.require(Scope.VERIFY)
            how |= {"caller": caller.name, "challenge": True}
        if speaker is not None:
            self._claimed = speaker
            claim = {"caller": caller.name, "blind": not caller.may(Scope.READ)}
            how |= {"speaker": speaker, **claim}
        return {**how, "group": caller.group(options.group), "purpose": options.purpose}

    async def _receive(self) -> None:
        """Put received data into the sound until the client leaves: WebSocketDisconnect."""
        while True:
            message = await self._next()
            data = message.get("bytes")
            if data is not None:
                await self._sound.put(data)
                continue
            kind = _json_of(message).get("type")
            if kind == "Finalize":
                await self._sound.put(None)
            elif kind == "CloseStream":
                self._sound.end()
                break
            elif kind != "KeepAlive":
                raise _refused(f"a message of the unknown type {kind!r:.40}")
        while True:  # data after the end is dropped
            _require_connected(await self._socket.receive())

    async def _next(self) -> Mapping[str, Any]:
        """Return the next message; raises WebSocketDisconnect, or Problem if none comes."""
        try:
            with fail_after(self._stall_s):
                message = await self._socket.receive()
        except TimeoutError as error:
            raise Problem(
                HTTPStatus.REQUEST_TIMEOUT,
                "StreamStalled",
                f"no message came for {self._stall_s:g} s",
                hint='Send {"type": "KeepAlive"} while there is no sound.',
            ) from error
        return _require_connected(message)

    # The thread

    def _hear(self, ask: Callable[[], Listener], options: ListenOptions) -> None:
        listener = ask()
        try:
            self._feed(listener, options)
        finally:  # acceptances come within a turn: leaving without one counts as an attempt
            if self._claimed is not None:
                listener.finish()

    def _feed(self, listener: Listener, options: ListenOptions) -> None:
        clock, sound = Clock(), self._sound
        sound.end_turn = lambda: self._tell(listener.finish("the client ends it"))
        with closing(pieces_of(sound, options.format, options.rate, options.channels)) as pieces:
            for samples, rate_hz in pieces:
                if sound.is_cut:
                    return
                arrived = clock.arrival(sound.received, len(samples) / rate_hz)
                self._tell(listener.feed(samples, rate_hz, arrived=arrived))
        if not sound.is_cut:
            self._tell(listener.finish())

    def _tell(self, events: list[LiveEvent]) -> None:
        for event in events:
            if event.kind is LiveEventKind.SPEECH_STARTED or event.decision is not None:
                require_still_known(self._caller, self._parts.vid)
            text = json.dumps(shown_event(event, self._caller, self._claimed))
            from_thread.run(self._send, text)

    async def _send(self, text: str) -> None:
        try:
            with fail_after(self._stall_s):
                await self._socket.send_text(text)
        except TimeoutError as error:  # the client does not read
            raise WebSocketDisconnect(1008) from error


def _require_connected(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    return message


def _json_of(message: Mapping[str, Any]) -> dict[str, Any]:
    text = message.get("text")
    if text is None:
        raise _refused("binary data before the format of the sound")
    try:
        value = json_in(text)
    except ValueError as error:
        raise _refused("a text that is not JSON") from error
    if not isinstance(value, dict):
        raise _refused("JSON that is not an object")
    return value


def _refused(sent: str) -> Problem:
    return invalid(
        f"the client sent {sent}",
        hint='First send {"format": "pcm_s16le", "rate": 16000}, then binary sound; and'
        ' {"type": "KeepAlive"}, "Finalize" or "CloseStream".',
    )
