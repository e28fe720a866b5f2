"""The decisions of this process, live, for clients that watch."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from anyio import Event, move_on_after

from voiceid.client import VoiceID
from voiceid.domain import Decision
from voiceid.server.problems import busy

_MOST_KEPT = 256
"""Decisions that may wait for one client; beyond that the oldest are dropped."""


class DecisionFeed:
    """The decisions that one client receives; for one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, datetime, Decision]] = deque(maxlen=_MOST_KEPT)
        self._made = 0
        self._news = Event()
        self._is_over = False

    def put(self, decision: Decision) -> None:
        """Add a decision; safe in any thread, it neither waits nor raises."""
        with self._lock:
            self._made += 1
            self._kept.append((self._made, datetime.now(UTC), decision))
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake)

    def end(self) -> None:
        """End the feed once its decisions are taken."""
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = Event()

    async def each(
        self, heartbeat_s: float
    ) -> AsyncIterator[tuple[int, datetime, Decision] | None]:
        """Yield decisions with their numbers, from 1, and their times.

        None: there was no decision for a while.  A missing number was dropped.
        """
        while self._kept or not self._is_over:
            news = self._news
            if self._kept:
                yield self._kept.popleft()
                continue
            with move_on_after(heartbeat_s) as waited:
                await news.wait()
            if waited.cancelled_caught:
                yield None


class DecisionFeeds:
    """The clients that watch; their number is limited."""

    def __init__(self, vid: VoiceID, most: int) -> None:
        self._vid, self._most = vid, most
        self._feeds: set[DecisionFeed] = set()

    @property
    def taken(self) -> int:
        """The number of clients that watch."""
        return len(self._feeds)

    @contextmanager
    def open(self) -> Iterator[DecisionFeed]:
        """Yield a feed of the decisions from now on; raises Problem if too many clients watch."""
        if self.taken >= self._most:
            hint = "Try again later, or increase server.max_streams."
            raise busy(f"{self.taken} clients watch the decisions already", hint, 10)
        feed = DecisionFeed()
        self._feeds.add(feed)
        stop = self._vid.events.on_decision(feed.put)
        try:
            yield feed
        finally:
            stop()
            self._feeds.discard(feed)

    def end(self) -> None:
        """End all feeds, because the service ends."""
        for feed in self._feeds:
            feed.end()
