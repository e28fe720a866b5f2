"""The decisions of this process, as they are made, for those who watch."""

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
"""Decisions that wait for one client; then the oldest are dropped."""


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
        """Keep a decision; called in any thread, it neither waits nor raises."""
        with self._lock:
            self._made += 1
            self._kept.append((self._made, datetime.now(UTC), decision))
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake)

    def end(self) -> None:
        """Let `next` return None."""
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = Event()

    async def each(
        self, heartbeat_s: float
    ) -> AsyncIterator[tuple[int, datetime, Decision] | None]:
        """Yield decisions with their numbers from 1 on and when they were made.

        None: for a while there was none.  Numbers that are missing were dropped.
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
    """The clients that watch: a bounded number."""

    def __init__(self, vid: VoiceID, most: int) -> None:
        self._vid, self._most = vid, most
        self._feeds: set[DecisionFeed] = set()

    @property
    def taken(self) -> int:
        """How many watch."""
        return len(self._feeds)

    @contextmanager
    def open(self) -> Iterator[DecisionFeed]:
        """Give what is decided from now on; raises Problem: too many watch."""
        if self.taken >= self._most:
            hint = "Ask again later, or raise server.max_streams."
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
        """Let go of all, because the service ends."""
        for feed in self._feeds:
            feed.end()
