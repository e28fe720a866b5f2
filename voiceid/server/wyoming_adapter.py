"""A proxy for a speech-to-text service with the Wyoming protocol of Home Assistant.

Every event passes through unchanged.  The gallery hears the sound at the same time, and the
transcript names the speaker if one was accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import wave
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event

from voiceid.server.service_parts import ServiceParts

WAIT_S = 2.0
"""How long a transcript waits for the decision at most; then it passes unchanged."""
_CONNECT_S = 5.0
_STALL_S = 30.0
"""After this time a side that does not read is disconnected."""
_IDLE_S = 600.0
"""After this time a silent side is disconnected."""
_EVENT_BYTES = 1 << 20
"""The limit of an event's data or payload; a chunk of Home Assistant has some thousand."""
_KEPT_BYTES = 4 << 20
"""The limit of an utterance's sound: two minutes at 16 kHz, as Home Assistant sends it."""
_ENDS = (OSError, EOFError, KeyError, TypeError, AttributeError, RecursionError)
"""The errors of reading a connection that breaks or does not send events."""


@dataclass(frozen=True, slots=True)
class _Bounded:
    """Reads only events within the limit; a ValueError ends the reading."""

    reader: asyncio.StreamReader

    async def readline(self) -> bytes:
        return await self.reader.readline()  # at most 64 KiB: the limit of the reader

    async def readexactly(self, size: int) -> bytes:
        if size > _EVENT_BYTES:
            raise ValueError
        return await self.reader.readexactly(size)


@dataclass(slots=True)
class _Utterance:
    """The sound between an audio-start and its transcript, and its speaker."""

    format: tuple[int, int, int] | None = None  # rate in Hz, bytes of a sample, channels
    pcm: bytearray = field(default_factory=bytearray)
    is_asked: bool = False
    answered: anyio.Event = field(default_factory=anyio.Event)
    speaker: str | None = None

    def hear(self, event: Event) -> None:
        """Keep the sound of a chunk; drop all if the format changes."""
        form = tuple(event.data.get(name) for name in ("rate", "width", "channels"))
        if self.format is None:
            self.format = cast("tuple[int, int, int]", form)
        if form != self.format:
            self.pcm.clear()
        elif len(self.pcm) < _KEPT_BYTES:
            self.pcm += event.payload or b""

    def wav(self) -> bytes:
        """Return the sound as a WAV; raises wave.Error for an invalid format."""
        rate, width, channels = self.format or (0, 0, 0)
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setparams((channels, width, rate, 0, "NONE", ""))
            out.writeframes(self.pcm)
        return file.getvalue()


class WyomingProxy:
    """A proxy for the service at ``upstream``, a host and a port.

    - `in_text`: whether a transcript begins with the name, as ``[alice] turn on the light``; its
      field ``speaker`` always has it.
    - `wait_s`: how long a transcript waits for the decision at most.
    """

    def __init__(
        self, upstream: tuple[str, int], *, in_text: bool = False, wait_s: float = WAIT_S
    ) -> None:
        self._upstream, self._in_text, self._wait_s = upstream, in_text, wait_s
        self._open = 0

    async def serve(self, bound: socket.socket, parts: ServiceParts) -> None:
        """Serve the connections of a socket until it is cancelled."""
        async with anyio.create_task_group() as group:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                group.start_soon(self._serve_one, parts, reader, writer)

            server = await asyncio.start_server(accept, sock=bound)
            try:
                await anyio.sleep_forever()
            finally:
                server.close()

    async def _serve_one(
        self, parts: ServiceParts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open += 1
        try:
            if self._open > parts.limits.max_streams:
                await _send(writer, Error("too many connections are open; try again later").event())
                return
            with anyio.fail_after(_CONNECT_S):
                up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            address = ":".join(map(str, self._upstream))
            text = f"the speech-to-text service at {address} does not answer"
            with contextlib.suppress(OSError):
                await _send(writer, Error(text, "upstream").event())
        else:
            talk = _Talk(parts, self._wait_s, in_text=self._in_text)
            try:
                await talk.run((reader, writer), (up_reader, up_writer))
            finally:
                up_writer.close()
        finally:
            self._open -= 1
            writer.close()


class _Talk:
    """One connection, and the one to the service behind it."""

    def __init__(self, parts: ServiceParts, wait_s: float, *, in_text: bool) -> None:
        self._parts, self._wait_s, self._in_text = parts, wait_s, in_text
        self._utterance: _Utterance | None = None
        self._is_mixed = False  # two utterances overlap: a transcript cannot be assigned to one

    async def run(self, client: tuple[Any, Any], upstream: tuple[Any, Any]) -> None:
        """Pass events in both directions until either side ends."""
        async with anyio.create_task_group() as group:

            async def send(reader: Any, writer: Any, seen: Any) -> None:
                with contextlib.suppress(*_ENDS):
                    while (event := await _received(reader)) is not None:
                        await _send(writer, await seen(group, event))
                group.cancel_scope.cancel()

            group.start_soon(send, client[0], upstream[1], self._asked)
            group.start_soon(send, upstream[0], client[1], self._answered)

    async def _asked(self, group: TaskGroup, event: Event) -> Event:
        """Hear the client's sound; the event passes unchanged."""
        if event.type == "audio-start":
            self._is_mixed |= self._utterance is not None
            self._utterance = _Utterance()
        elif event.type == "audio-chunk" and self._utterance is not None:
            self._utterance.hear(event)
        elif event.type == "audio-stop" and self._utterance is not None:
            self._ask(group, self._utterance)
        return event

    async def _answered(self, group: TaskGroup, event: Event) -> Event:
        """Return the service's event, with the speaker added."""
        if event.type == "info":
            return _introduced(event)
        if event.type != "transcript" or self._utterance is None:
            return event
        utterance, self._utterance = self._utterance, None
        self._ask(group, utterance)  # the service may have detected the end itself
        with anyio.move_on_after(self._wait_s):
            await utterance.answered.wait()
        if utterance.speaker is None or self._is_mixed:
            return event
        text = str(event.data.get("text", ""))
        if self._in_text:
            text = f"[{utterance.speaker}] {text}"
        data = {**event.data, "text": text, "speaker": utterance.speaker}
        return Event(event.type, data, event.payload)

    def _ask(self, group: TaskGroup, utterance: _Utterance) -> None:
        if not utterance.is_asked:
            utterance.is_asked = True
            group.start_soon(self._identify, utterance)

    async def _identify(self, utterance: _Utterance) -> None:
        parts = self._parts
        try:
            ask = partial(parts.vid.identify, utterance.wav())
            decision = await parts.places.run(None, ask)
            if decision.accepted and decision.speaker is not None:
                utterance.speaker = decision.speaker.name
        except Exception:  # noqa: BLE001, S110 - counted; without a decision no speaker is named
            pass
        utterance.answered.set()


def _introduced(event: Event) -> Event:
    """Return a service's info event, with voiceid as the source of the names."""
    programs = event.data.get("asr")
    for program in programs if isinstance(programs, list) else ():
        name = program.get("description") or program.get("name")
        program["description"] = f"{name}, with speakers named by voiceid"
        credit = program.get("attribution") or {}
        program["attribution"] = {"url": "", **credit, "name": f"{credit.get('name', '')}, voiceid"}
    return event


async def _received(reader: asyncio.StreamReader) -> Event | None:
    with anyio.fail_after(_IDLE_S):
        return await async_read_event(cast("asyncio.StreamReader", _Bounded(reader)))


async def _send(writer: asyncio.StreamWriter, event: Event) -> None:
    with anyio.fail_after(_STALL_S):
        await async_write_event(event, writer)
