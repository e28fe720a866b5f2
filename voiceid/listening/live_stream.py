"""A live source that is read, heard, and opened again where it breaks off."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.audio import LiveSource
from voiceid.domain import LiveEvent, LiveEventKind
from voiceid.errors import AudioError, AudioInvalid, VoiceIDError
from voiceid.listening.listener import Listener

_MOST_WAITING_S = 10.0
"""Most sound that waits to be heard; more is not read, or is dropped if the source cannot wait."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
"""Before a source is opened again: doubled each time, until it gives sound."""


@dataclass(frozen=True, slots=True)
class _Piece:
    samples: npt.NDArray[Any]
    rate_hz: int
    arrived: float  # time.perf_counter()

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True, slots=True)
class _Notice:
    """An event between two pieces."""

    kind: LiveEventKind
    detail: str


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


_Item: TypeAlias = _Piece | _Notice | _End


class LiveStream:
    """The events while a source is heard: an iterator, and an asynchronous one.

    Used in a ``with`` or ``async with`` statement, or closed with :meth:`close`.  A microphone or
    an address is read by a thread of its own.  If it breaks off, it is opened again, for as long
    as it takes; if sound comes faster than it can be heard, some is dropped.  Events report both.
    """

    def __init__(self, source: LiveSource, listener: Listener) -> None:
        self._source, self._listener = source, listener
        self._closed = threading.Event()
        self._events = self._threaded() if source.goes_on else self._direct()
        self._pending: Future[LiveEvent | None] | None = None
        self._awaited: asyncio.Future[LiveEvent | None] | None = None
        self._is_refused = False  # the newest samples were not sound

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; a turn that goes on ends without a decision.

        A thread that waits for standard input or a file object waits until that gives bytes, or
        ends.
        """
        self._closed.set()
        if self._pending is not None:
            _set(self._pending, None)

    @property
    def heard_s(self) -> float:
        """Sound that was heard, in seconds."""
        return self._listener.at_s

    def __iter__(self) -> Iterator[LiveEvent]:
        return self

    def __next__(self) -> LiveEvent:
        """Return the next event, when it happens.

        Raises `AudioError`: the source cannot be opened, or a file breaks off; `ModelError`.
        """
        if self._closed.is_set():
            raise StopIteration
        return next(self._events)

    def __aiter__(self) -> AsyncIterator[LiveEvent]:
        return self

    async def __anext__(self) -> LiveEvent:
        """Return the next event; a thread waits for it, which does not hold up the program's end.

        A cancelled call loses no event: the next call waits for the same one.
        """
        if self._pending is None:
            self._pending, self._awaited = Future(), None
            waiting = threading.Thread(
                target=_wait, args=(self, self._pending), name="voiceid-listen", daemon=True
            )
            waiting.start()
        awaited = self._awaited
        if awaited is None or awaited.get_loop() is not asyncio.get_running_loop():
            awaited = self._awaited = asyncio.wrap_future(self._pending)
        await asyncio.wait([awaited])
        self._pending = None
        event = awaited.result()
        if event is None:
            raise StopAsyncIteration
        return event

    def _direct(self) -> Iterator[LiveEvent]:
        """Hear a source that waits."""
        with contextlib.closing(self._source.pieces()) as pieces:
            for samples, rate_hz in pieces:
                if self._closed.is_set():
                    return
                yield from self._hear(samples, rate_hz)
        yield from self._listener.finish()

    def _threaded(self) -> Iterator[LiveEvent]:
        """Hear the samples that a thread reads."""
        waiting = _Waiting(self._source.waits, self._closed)
        reader = threading.Thread(
            target=_read, args=(self._source, waiting, self._closed), daemon=True
        )
        reader.start()
        while not self._closed.is_set():
            item = waiting.get()
            if isinstance(item, _Piece):
                yield from self._hear(item.samples, item.rate_hz, item.arrived)
            elif isinstance(item, _Notice):
                yield from self._listener.finish(item.detail)
                yield self._listener.event(item.kind, item.detail)
            elif item is not None:
                if item.error is not None:
                    raise item.error
                yield from self._listener.finish()
                return

    def _hear(
        self, samples: npt.NDArray[Any], rate_hz: int, arrived: float | None = None
    ) -> Iterator[LiveEvent]:
        """Hear a piece; other channels or another rate start a new listener."""
        listener = self._listener
        try:
            yield from listener.feed(samples, rate_hz, arrived=arrived)
        except AudioInvalid as change:
            yield from listener.finish(change.message)
            try:
                yield from listener.feed(samples, rate_hz, arrived=arrived)
            except AudioInvalid as error:
                if listener.at_s == 0.0:
                    raise
                if not self._is_refused:  # said once, until there is sound again
                    yield listener.event(LiveEventKind.AUDIO_LOST, error.message)
                self._is_refused = True
                return
        self._is_refused = False


def _wait(stream: LiveStream, pending: Future[LiveEvent | None]) -> None:
    """Set the result of a future to the next event of a stream, or the error."""
    try:
        _set(pending, next(stream, None))
    except BaseException as error:  # noqa: BLE001 - raised where the event is awaited
        with contextlib.suppress(InvalidStateError):
            pending.set_exception(error)


def _set(pending: Future[LiveEvent | None], event: LiveEvent | None) -> None:
    with contextlib.suppress(InvalidStateError):  # it was closed meanwhile
        pending.set_result(event)


class _Waiting:
    """The sound that was read but not heard yet; at most some seconds."""

    def __init__(self, source_waits: bool, closed: threading.Event) -> None:
        self._source_waits, self._closed = source_waits, closed
        self._items: deque[_Item] = deque()
        self._ready = threading.Condition()
        self._waiting_s = 0.0

    def put(self, item: _Item) -> None:
        with self._ready:
            if isinstance(item, _Piece):
                while self._waiting_s > _MOST_WAITING_S and not self._closed.is_set():
                    if not self._source_waits:
                        self._drop()
                    else:
                        self._ready.wait(0.25)
                self._waiting_s += item.duration_s
            self._items.append(item)
            self._ready.notify()

    def get(self) -> _Item | None:
        """Return the next item; None: nothing came for a while."""
        with self._ready:
            if not self._items:
                self._ready.wait(0.25)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, _Piece):
                self._waiting_s -= item.duration_s
                self._ready.notify()
            return item

    def _drop(self) -> None:
        lost_s = sum(item.duration_s for item in self._items if isinstance(item, _Piece))
        notices = [item for item in self._items if not isinstance(item, _Piece)]
        text = f"{lost_s:.1f} s of sound were not heard: they came faster than they can be heard"
        self._items.clear()
        self._items.extend([*notices, _Notice(LiveEventKind.AUDIO_LOST, text)])
        self._waiting_s = 0.0


def _read(source: LiveSource, waiting: _Waiting, closed: threading.Event) -> None:
    """Read a source, again and again, until it ends, is closed, or cannot be opened at first."""
    pause_s = _FIRST_PAUSE_S
    has_sounded = is_lost = False
    while not closed.is_set():
        try:
            with contextlib.closing(source.pieces()) as pieces:
                for samples, rate_hz in pieces:
                    if closed.is_set():
                        return
                    if is_lost:
                        waiting.put(_Notice(LiveEventKind.STREAM_BACK, f"{source.where} is back"))
                    is_lost, has_sounded, pause_s = False, True, _FIRST_PAUSE_S
                    waiting.put(_Piece(np.array(samples), rate_hz, time.perf_counter()))
        except VoiceIDError as error:
            if not has_sounded or not isinstance(error, AudioError):
                waiting.put(_End(error))
                return
            reason = error.message
        except Exception as error:  # noqa: BLE001 - raised where events are waited for
            waiting.put(_End(error))
            return
        else:
            waiting.put(_End())
            return
        if not is_lost:
            text = f"{reason}; it is opened again"
            waiting.put(_Notice(LiveEventKind.STREAM_LOST, text))
        is_lost = True
        closed.wait(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
