"""The sound of a live client: put by the event loop, read by the thread that hears it."""

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
"""Sound that waits to be heard: 8 s of 16 bits at 16 kHz; the client is not read meanwhile."""
_ITEM_BYTES = 128
_PAUSE_S = 0.02
_READ_BYTES = 1 << 14
"""Of samples at once: 0.5 s of 16 bits at 16 kHz, after which there may be events."""


class SoundFormat(StrEnum):
    """What a client sends."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    MULAW = "mulaw"
    ALAW = "alaw"
    WEBM = "webm"
    """As browsers record: the chunks of one WebM, or Ogg, from its head on."""


Decode: TypeAlias = Callable[[bytes], npt.NDArray[Any]]

_SAMPLES: dict[SoundFormat, tuple[int, int, Decode]] = {
    SoundFormat.PCM_S16LE: (2, 16_000, lambda data: np.frombuffer(data, "<i2").astype(np.int16)),
    SoundFormat.PCM_F32LE: (4, 16_000, lambda data: np.frombuffer(data, "<f4")),
    SoundFormat.MULAW: (1, 8000, lambda data: COMPANDED["mulaw"][np.frombuffer(data, np.uint8)]),
    SoundFormat.ALAW: (1, 8000, lambda data: COMPANDED["alaw"][np.frombuffer(data, np.uint8)]),
}
"""The bytes of a sample, the rate in Hz if none is named, and what gives the samples."""


class LiveSound:
    """The bytes of one client in the order in which they came, and where it ends turns.

    - `end_turn`: called in the thread that reads, when all before the end of a turn was read.
    - `is_cut`: the client is gone, or failed: nothing more is to be heard.
    - `received`: the ``time.perf_counter()`` at which came what was read last.
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
        """Take bytes that came, or None: a turn ends; return when there is room for more."""
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
        """Say that nothing more comes; ``cut``: what is left is not to be heard."""
        with self._ready:
            self._is_over, self.is_cut = True, self.is_cut or cut
            self._ready.notify()

    def read(self, size: int) -> bytes:
        """Return up to so many bytes when there are some; empty: nothing more comes."""
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
    """Return the bytes of memory that an item takes: a flood of small ones is bounded too."""
    return _ITEM_BYTES + len(data or b"")


def pieces_of(sound: LiveSound, kind: SoundFormat, rate_hz: int | None, channels: int) -> Pieces:
    """Yield the samples of a client's sound, as they come; raises Problem: it is none.

    - `rate_hz`, `channels`: of samples without a header; None: the usual rate of the format.
    """
    if kind is SoundFormat.WEBM:
        yield from _recorded(sound)
        return
    width, usual_hz, decode = _SAMPLES[kind]
    frame_bytes, left = width * channels, b""
    while data := sound.read(_READ_BYTES):
        data = left + data
        whole = len(data) - len(data) % frame_bytes
        left = data[whole:]
        if whole:
            yield decode(data[:whole]).reshape(-1, channels), rate_hz or usual_hz


def _recorded(sound: LiveSound) -> Pieces:
    try:
        yield from live_source(sound, AudioOptions()).pieces()  # type: ignore[arg-type]
    except AudioError as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            error.code,
            "the messages are no recording that can be heard as it comes",
            hint="Send the chunks of one MediaRecorder, from its first on.",
        ) from error


class Clock:
    """Tells sound that is behind from sound that was sent faster than it sounds."""

    def __init__(self) -> None:
        self._due = 0.0

    def arrival(self, received: float, duration_s: float) -> float | None:
        """Return when sound came, for `Listener.feed`; None: it was sent before its time."""
        self._due = max(self._due, received) + duration_s
        return received if self._due < time.perf_counter() else None
