"""A bounded number of places: in front of the encoder, and for live streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from voiceid.server.problems import Problem

T = TypeVar("T")

_MEAN_S = 0.5
"""Of which the time that a caller is asked to wait is made: generous for a clip of some seconds."""


class Places:
    """Runs what hears audio, as many at once as there are processors; some more wait.

    A request beyond those is refused at once, and one whose caller goes away while it waits leaves
    its place.  What has begun is finished: a thread cannot be stopped.
    """

    def __init__(self, at_work: int, waiting: int) -> None:
        self._limiter = CapacityLimiter(at_work)
        self._at_work, self._most, self._taken = at_work, at_work + waiting, 0

    @property
    def taken(self) -> int:
        """How many requests are worked on, or wait."""
        return self._taken

    def require_room(self) -> None:
        """Raise Problem: there is no place.

        It is asked before anything of a request is done, too, so that a refusal costs little.
        """
        if self._taken >= self._most:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "ServiceBusy",
                f"{self._taken} requests are worked on or wait already",
                hint="Ask again later, or run more processes.",
                retry_after_s=self._taken * _MEAN_S / self._at_work,
            )

    async def run(self, request: Request | None, work: Callable[[], T]) -> T:
        """Return what ``work`` returns in a thread; raises Problem: there is no place.

        ``request`` is None where no request of HTTP asks, and another ends the waiting.
        """
        self.require_room()
        self._taken += 1
        try:
            return await self._while_connected(request, work)
        finally:
            self._taken -= 1

    async def _while_connected(self, request: Request | None, work: Callable[[], T]) -> T:
        found: list[T] = []
        failed: list[BaseException] = []

        async def watch(request: Request) -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        async def ask() -> None:
            try:
                found.append(await to_thread.run_sync(work, limiter=self._limiter))
            except Exception as error:  # noqa: BLE001 - raised below, not as a group of one
                failed.append(error)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            if request is not None:
                group.start_soon(watch, request)
            group.start_soon(ask)
        if failed:
            raise failed[0]
        if not found:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "CallerGone", "the caller went away")
        return found[0]


class LiveStreams:
    """A bounded number of clients that are heard at once, each in a thread."""

    def __init__(self, most: int) -> None:
        self._most, self.taken = most, 0
        self.limiter = CapacityLimiter(max(1, most))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place; raises Problem: there is none."""
        if self.taken >= self._most:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "ServiceBusy",
                f"{self.taken} live streams are heard already",
                hint="Connect again later, or raise server.max_streams.",
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
