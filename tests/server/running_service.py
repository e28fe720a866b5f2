"""A real server over a real gallery, on a port of its own, in a thread of the test."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from voiceid import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.server.application import Beside, make_service
from voiceid.server.decision_feeds import DecisionFeeds
from voiceid.server.places import LiveStreams
from voiceid.server.running import Server, server_config
from voiceid.server.service_parts import ServiceParts

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Each client would read the certificates of all authorities."""


@dataclass
class Served:
    """A server that runs, and the gallery that it serves."""

    vid: VoiceID
    url: str
    parts: ServiceParts

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=60, trust_env=False, verify=_NO_TLS
        )


@contextmanager
def served(
    vid: VoiceID,
    limits: ServiceLimits | None = None,
    workers: int = 2,
    buffer_bytes: int = 0,
    compat: Sequence[str] = (),
    beside: Sequence[Beside] = (),
) -> Iterator[Served]:
    limits = limits or ServiceLimits(max_wait_s=60.0)  # tests share their processors
    app = make_service(vid, workers, limits, compat, beside)
    server = Server(server_config(app, limits))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        if buffer_bytes:  # of what was sent, and is not read yet
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield Served(vid, f"http://127.0.0.1:{bound.getsockname()[1]}", app.state.parts)
        finally:
            server.should_exit = True
            thread.join()


def wait_until_free(places: LiveStreams | DecisionFeeds) -> None:
    until = time.monotonic() + 30
    while places.taken and time.monotonic() < until:
        time.sleep(0.02)
    assert places.taken == 0
