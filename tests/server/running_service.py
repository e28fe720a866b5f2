"""A real server over a real gallery, on a port of its own, in a thread of the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from voiceid import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.server.application import make_service
from voiceid.server.running import server_config


@dataclass
class Served:
    """A server that runs, and the gallery that it serves."""

    vid: VoiceID
    url: str

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@contextmanager
def served(
    vid: VoiceID, limits: ServiceLimits | None = None, workers: int = 2, compat: Sequence[str] = ()
) -> Iterator[Served]:
    limits = limits or ServiceLimits()
    server = uvicorn.Server(server_config(make_service(vid, workers, limits, compat), limits))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield Served(vid, f"http://127.0.0.1:{bound.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()
