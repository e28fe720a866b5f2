"""Connections of uvicorn, with time limits.

Without limits, a connection that sends half a request head, or nothing, stays open for ever; so
does a WebSocket whose client does not read its last events.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class BoundedHeads(HttpToolsProtocol):
    """Closes a connection that does not send a complete request head in time."""

    stall_timeout_s = 10.0
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, and wait for its first request."""
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        """Start the time limit at the first byte of a request."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """End the time limit at the last byte of the request head."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Limit the wait for the rest of a request body after the answer has ended."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the time limit when the connection is lost."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(self.stall_timeout_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()


class BoundedEnds(WebSocketsSansIOProtocol):
    """Aborts a connection that is not closed in time after its conversation."""

    close_timeout_s = 10.0

    async def run_asgi(self) -> None:
        """Run the conversation, then limit the wait for its close."""
        await super().run_asgi()
        self.loop.call_later(self.close_timeout_s, self.transport.abort)


def bounded(timeout_s: float) -> tuple[type[BoundedHeads], type[BoundedEnds]]:
    """Return the protocols of HTTP and of WebSockets with a time limit."""
    heads = type("BoundedHeads", (BoundedHeads,), {"stall_timeout_s": timeout_s})
    return heads, type("BoundedEnds", (BoundedEnds,), {"close_timeout_s": timeout_s})
