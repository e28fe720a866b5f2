"""A limited number of places: for the encoder, and for live streams."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, Semaphore, WouldBlock, to_thread
from starlette.requests import Request

from voiceid.server.problems import Problem, busy

T = TypeVar("T")

_FIRST_S, _WEIGHT = 0.5, 0.1
"""The assumed duration of a request before any was measured; the weight of a new one."""
_LATEST_S = 30.0
"""The longest Retry-After: not all refused callers come again."""


class Places:
    """Runs requests that hear audio, as many at once as there are processors; some more wait.

    A request beyond those, or one that would wait too long, is refused at once; a request that has
    waited too long is refused then, and one whose caller leaves while it waits frees its place.  A
    request that has begun is finished: a thread cannot be stopped.  Refused callers are asked to
    come again one after another.
    """

    def __init__(self, at_work: int, waiting: int, max_wait_s: float) -> None:
        self._turns, self._threads = Semaphore(at_work), CapacityLimiter(at_work)
        self._at_work, self._most, self._taken = at_work, at_work + waiting, 0
        self._max_wait_s, self._work_s = max_wait_s, _FIRST_S
        self._expected_until = 0.0  # when the last refused caller is expected again

    @property
    def taken(self) -> int:
        """The number of requests that run or wait."""
        return self._taken

    def require_room(self) -> None:
        """Raise Problem if no place is free, or will be in time at the present speed.

        It is also called before any work on a request, so that a refusal is cheap.
        """
        n_before = self._taken - self._at_work + 1
        wait_s = n_before * self._work_s / self._at_work
        if self._taken >= self._most or (n_before > 0 and wait_s > self._max_wait_s):
            raise self._busy(f"{self._taken} requests already run or wait")

    def _busy(self, detail: str) -> Problem:
        now, each_s = time.monotonic(), self._work_s / self._at_work
        turn = max(self._expected_until, now + self._taken * each_s) + each_s
        self._expected_until = min(turn, now + _LATEST_S)
        return busy(detail, "Try again later, or run more processes.", self._expected_until - now)

    async def run(self, request: Request | None, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and return its result; raises Problem without a place in time.

        ``request`` is None if it is not an HTTP request; then another limit ends the wait.
        """
        self.require_room()
        self._taken += 1
        try:
            await self._turn(request)
            started = time.monotonic()
            try:
                return await to_thread.run_sync(work, limiter=self._threads)
            finally:
                self._turns.release()
                took_s = min(time.monotonic() - started, _LATEST_S)
                self._work_s += _WEIGHT * (took_s - self._work_s)
        finally:
            self._taken -= 1

    async def _turn(self, request: Request | None) -> None:
        """Take a turn at once, or wait for one as long as the caller waits."""
        try:
            self._turns.acquire_nowait()
        except WouldBlock:
            await self._waited(request)

    async def _waited(self, request: Request | None) -> None:
        is_taken = False

        async def watch(request: Request) -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            if request is not None:
                group.start_soon(watch, request)
            max_wait_s = math.inf if request is None else self._max_wait_s
            with anyio.move_on_after(max_wait_s) as waiting:
                await self._turns.acquire()
                is_taken = True
            group.cancel_scope.cancel()
        if waiting.cancelled_caught:
            raise self._busy(f"the request waited for {max_wait_s:g} s, and others are before it")
        if not is_taken:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "CallerGone", "the caller went away")


class LiveStreams:
    """A limited number of live clients, each heard in a thread."""

    def __init__(self, most: int) -> None:
        self._most, self.taken = most, 0
        self.limiter = CapacityLimiter(max(1, most))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place; raises Problem if none is free."""
        if self.taken >= self._most:
            hint = "Connect again later, or increase server.max_streams."
            raise busy(f"{self.taken} live streams are heard already", hint)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
