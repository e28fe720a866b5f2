"""Connections as uvicorn has them, with bounds on how long one may take.

Without them a connection that sends half a head, or nothing, is kept for ever; and so is a
WebSocket whose client does not read, for its last events wait to be sent.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


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

    def on_response_complete(self) -> None:
        """End an answer: what is left of the body of its request is not waited for without end."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._await_head()

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


class BoundedEnds(WebSocketsSansIOProtocol):
    """Drops a connection that is not closed in time after its conversation."""

    close_timeout_s = 10.0

    async def run_asgi(self) -> None:
        """Hold the conversation."""
        await super().run_asgi()
        self.loop.call_later(self.close_timeout_s, self.transport.abort)


def bounded(timeout_s: float) -> tuple[type[BoundedHeads], type[BoundedEnds]]:
    """Return the protocols of HTTP and of WebSockets with a bound."""
    heads = type("BoundedHeads", (BoundedHeads,), {"stall_timeout_s": timeout_s})
    return heads, type("BoundedEnds", (BoundedEnds,), {"close_timeout_s": timeout_s})
