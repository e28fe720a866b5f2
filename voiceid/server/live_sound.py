"""The sound of a live client: written by the event loop, read by the hearing thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from anyio import sleep

from voiceid.audio import AudioOptions, live_source
from voiceid.audio.companding import COMPANDED
from voiceid.audio.decoder import Pieces
from voiceid.errors import AudioError
from voiceid.server.problems import Problem

_MOST_WAITING_BYTES = 1 << 18
"""The limit of waiting sound, 8 s of 16 bits at 16 kHz; then the client is not read."""
_ITEM_BYTES = 128
_PAUSE_S = 0.02
_READ_BYTES = 1 << 14
"""The size of one read: 0.5 s of 16 bits at 16 kHz, after which events may follow."""


class SoundFormat(StrEnum):
    """The format of a client's sound."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    MULAW = "mulaw"
    ALAW = "alaw"
    WEBM = "webm"
    """A browser's recording: the chunks of one WebM or Ogg stream, from its start."""


Decode: TypeAlias = Callable[[bytes], npt.NDArray[Any]]

_SAMPLES: dict[SoundFormat, tuple[int, int, Decode]] = {
    SoundFormat.PCM_S16LE: (2, 16_000, lambda data: np.frombuffer(data, "<i2").astype(np.int16)),
    SoundFormat.PCM_F32LE: (4, 16_000, lambda data: np.frombuffer(data, "<f4")),
    SoundFormat.MULAW: (1, 8000, lambda data: COMPANDED["mulaw"][np.frombuffer(data, np.uint8)]),
    SoundFormat.ALAW: (1, 8000, lambda data: COMPANDED["alaw"][np.frombuffer(data, np.uint8)]),
}
"""The bytes of a sample, the default rate in Hz, and the decoder."""


class LiveSound:
    """The bytes of one client in their order of arrival, with the ends of turns.

    - `end_turn`: called in the reading thread when everything before the end of a turn was read.
    - `is_cut`: the client has left or failed: nothing more must be heard.
    - `received`: the ``time.perf_counter()`` of the arrival of the last data read.
    """

    def __init__(self) -> None:
        self.end_turn: Callable[[], None] = lambda: None
        self.is_cut = False
        self.received = 0.0
        self._ready = threading.Condition()
        self._items: deque[tuple[bytes | None, float]] = deque()  # None: a turn ends
        self._waiting_bytes = 0
        self._is_over = False

    async def put(self, data: bytes | None) -> None:
        """Add received bytes, or None for the end of a turn; return when there is room for more."""
        parts: list[bytes | None] = [data]
        if data is not None:
            parts = [data[at : at + _READ_BYTES] for at in range(0, len(data), _READ_BYTES)]
        with self._ready:
            if not self._is_over:
                self._items.extend((part, time.perf_counter()) for part in parts)
                self._waiting_bytes += sum(map(_cost, parts))
                self._ready.notify()
        while self._waiting_bytes > _MOST_WAITING_BYTES and not self.is_cut:  # noqa: ASYNC110
            await sleep(_PAUSE_S)  # until the thread has read

    def end(self, *, cut: bool = False) -> None:
        """End the sound; ``cut``: the unread rest must not be heard."""
        with self._ready:
            self._is_over, self.is_cut = True, self.is_cut or cut
            self._ready.notify()

    def read(self, size: int) -> bytes:
        """Wait for bytes and return up to ``size``; empty: the sound has ended."""
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._items or self._is_over)
                if self.is_cut or not self._items:
                    return b""
                data, self.received = self._items.popleft()
                self._waiting_bytes -= _cost(data)
                if data is not None and data[size:]:
                    self._items.appendleft((data[size:], self.received))
                    self._waiting_bytes += _cost(data[size:])
                if data is not None:
                    return data[:size]
            self.end_turn()


def _cost(data: bytes | None) -> int:
    """Return the memory of an item in bytes, so that a flood of small items is limited too."""
    return _ITEM_BYTES + len(data or b"")


def pieces_of(sound: LiveSound, kind: SoundFormat, rate_hz: int | None, channels: int) -> Pieces:
    """Yield the samples of a client's sound as they come; raises Problem if it is not sound.

    - `rate_hz`, `channels`: for samples without a header; None: the default rate of the format.
    """
    if kind is SoundFormat.WEBM:
        yield from _recorded(sound)
        return
    width, usual_hz, decode = _SAMPLES[kind]
    frame_bytes, remainder = width * channels, b""
    while data := sound.read(_READ_BYTES):
        data = remainder + data
        whole = len(data) - len(data) % frame_bytes
        remainder = data[whole:]
        if whole:
            yield decode(data[:whole]).reshape(-1, channels), rate_hz or usual_hz


def _recorded(sound: LiveSound) -> Pieces:
    try:
        yield from live_source(sound, AudioOptions()).pieces()  # type: ignore[arg-type]
    except AudioError as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            error.code,
            "the messages are not a recording that can be decoded live",
            hint="Send the chunks of one MediaRecorder, from the first chunk.",
        ) from error


class Clock:
    """Distinguishes late sound from sound that was sent faster than real time."""

    def __init__(self) -> None:
        self._due = 0.0

    def arrival(self, received: float, duration_s: float) -> float | None:
        """Return the arrival time for `Listener.feed`; None: sent faster than real time."""
        self._due = max(self._due, received) + duration_s
        return received if self._due < time.perf_counter() else None
