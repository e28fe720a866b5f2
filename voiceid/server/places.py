"""A limited number of places: for the encoder, and for live streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from anyio import CancelScope, CapacityLimiter
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

    A thread takes the next request itself: the event loop, which needs the interpreter that the
    other threads use, would leave a processor idle meanwhile.
    """

    def __init__(self, at_work: int, waiting: int, max_wait_s: float) -> None:
        self._threads = ThreadPoolExecutor(at_work, "places")
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
            work_in_context = partial(copy_context().run, self._timed, work)
            return await self._answer(request, self._threads.submit(work_in_context))
        finally:
            self._taken -= 1

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return work()
        finally:
            took_s = min(time.monotonic() - started, _LATEST_S)
            self._work_s += _WEIGHT * (took_s - self._work_s)

    async def _answer(self, request: Request | None, job: Future[T]) -> T:
        """Return the result of a job; cancel the job if it has not begun and need not any more."""
        answer = asyncio.wrap_future(job)
        try:
            if request is not None and self._taken > self._at_work:
                await self._begun(request, job, answer)
            return await answer
        except asyncio.CancelledError:
            if not job.cancel():
                with CancelScope(shield=True):
                    await asyncio.wait({asyncio.wrap_future(job)})
            raise

    async def _begun(self, request: Request, job: Future[T], answer: asyncio.Future[T]) -> None:
        """Raise Problem if the caller leaves, or has waited too long, before a job has begun."""
        gone = asyncio.ensure_future(_disconnected(request))
        ends: set[asyncio.Future[Any]] = {answer, gone}
        try:
            done, _ = await asyncio.wait(
                ends, timeout=self._max_wait_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            gone.cancel()
        if answer in done or not job.cancel():
            return
        if gone in done:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "CallerGone", "the caller went away")
        waited = f"the request waited for {self._max_wait_s:g} s"
        raise self._busy(f"{waited}, and others are before it")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
