"""WebSockets as uvicorn has them, and a bound on how long the end of one may take.

Without it a client that does not read keeps its connection after the conversation is over, for its
last events wait to be sent.
"""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class BoundedEnds(WebSocketsSansIOProtocol):
    """Drops a connection that is not closed in time after its conversation."""

    close_timeout_s = 10.0

    async def run_asgi(self) -> None:
        """Hold the conversation."""
        await super().run_asgi()
        self.loop.call_later(self.close_timeout_s, self.transport.abort)


def bounded_ends(timeout_s: float) -> type[BoundedEnds]:
    """Return the protocol with a bound."""
    return type("BoundedEnds", (BoundedEnds,), {"close_timeout_s": timeout_s})
