"""HTTP/1.1 as uvicorn has it, and a bound on how long a request's head may take.

Without it a connection that sends half a head, or nothing, is kept for ever.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedHeads(HttpToolsProtocol):
    """Closes a connection on which no head of a request is complete in time."""

    stall_timeout_s = 10.0
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, and wait for its first request."""
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        """Take the first byte of a request."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """Take the last byte of the head of a request."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lose the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(self.stall_timeout_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()


def bounded_heads(timeout_s: float) -> type[BoundedHeads]:
    """Return the protocol with a bound."""
    return type("BoundedHeads", (BoundedHeads,), {"stall_timeout_s": timeout_s})
