"""Running the service: its addresses, and the safety rules without keys."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from voiceid.client import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.errors import ConfigError, ExtraMissing
from voiceid.models.runtime import cpu_limit
from voiceid.server.application import Beside, make_service
from voiceid.server.bounded_connections import bounded
from voiceid.server.callers import is_loopback
from voiceid.server.nightly_run import run_nightly

_GRACE_S = 30
"""How long the end of the service waits for running requests."""
_MESSAGE_BYTES = 1 << 20
"""The limit of a WebSocket message; a larger one ends the connection."""


@dataclass(frozen=True, slots=True)
class Wyoming:
    """The address of a Wyoming proxy, and of the service behind it: docs/compat.md.

    - `in_text`: whether a transcript begins with the speaker's name.
    """

    host: str
    port: int
    upstream: tuple[str, int]
    in_text: bool = False


@dataclass(frozen=True, slots=True)
class Listening:
    """The addresses and the protection of a service.

    - `certificate`, `private_key`: for TLS; None: the service uses plain HTTP.
    - `behind_proxy`: addresses of the TLS proxy, with commas: its ``X-Forwarded-For`` is
      trusted.
    - `insecure`: listen beyond this host even without keys or TLS.
    - `compat`: names of the adapters to serve too.
    - `wyoming`: the Wyoming proxy to run too, or None.
    """

    host: str = "127.0.0.1"
    port: int = 8423
    certificate: Path | None = None
    private_key: Path | None = None
    behind_proxy: str | None = None
    insecure: bool = False
    compat: tuple[str, ...] = ()
    wyoming: Wyoming | None = None

    @property
    def address(self) -> str:
        """The URL of the service."""
        scheme = "http" if self.certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def require_safe(vid: VoiceID, listening: Listening) -> str | None:
    """Return a warning about missing protection of the service, or None.

    Raises ConfigError, and GalleryKeyMissing if no question could be answered.
    """
    vid.keys.gallery.require()
    wyoming = listening.wyoming
    if wyoming is not None and not _is_local(wyoming.host) and not listening.insecure:
        raise ConfigError(
            f"the Wyoming protocol has no keys and no TLS, and would be served on {wyoming.host}",
            hint="Listen on 127.0.0.1, or use --insecure in a network that you trust.",
        )
    is_local = _is_local(listening.host)
    lacks = [] if vid.keys.any() else ["keys (create one: `voiceid keys create`)"]
    if is_local and lacks:
        return "there are no keys: every program on this host has access, other hosts have none"
    if listening.certificate is None and listening.behind_proxy is None and not is_local:
        lacks.append("TLS (give its files: --tls-cert and --tls-key)")
    if lacks and not listening.insecure:
        raise ConfigError(
            f"the service would listen on {listening.host} without " + " and without ".join(lacks),
            hint="Or listen on 127.0.0.1, behind a proxy; --insecure starts it anyway.",
        )
    return f"{listening.host} is served without {lacks[0].partition(' (')[0]}" if lacks else None


def _is_local(host: str) -> bool:
    return host == "localhost" or is_loopback(host)


def run(
    vid: VoiceID,
    listening: Listening,
    limits: ServiceLimits,
    workers: int | None,
    started: Callable[[str], None],
) -> None:
    """Serve until a signal ends the service; running requests are finished.

    ``started`` receives each address of the service, its main address last.

    Raises ConfigError if an address or the certificate cannot be used.
    """
    with ExitStack() as sockets:
        wyoming = listening.wyoming
        beside: list[Beside] = [run_nightly]
        if wyoming is not None:
            proxied = sockets.enter_context(_bound(wyoming.host, wyoming.port))
            beside.append(_proxy(wyoming, proxied))
        service = make_service(vid, workers or cpu_limit(), limits, listening.compat, beside)
        server = Server(_configured(service, limits, listening))
        bound = sockets.enter_context(_bound(listening.host, listening.port))
        if wyoming is not None:
            started(f"tcp://{wyoming.host}:{proxied.getsockname()[1]}")
        started(replace(listening, port=bound.getsockname()[1]).address)
        # uvicorn ends cleanly at a signal and then sends it again: the second one must do nothing.
        signal.signal(signal.SIGTERM, lambda *_: None)
        server.run(sockets=[bound])


def _configured(service: FastAPI, limits: ServiceLimits, listening: Listening) -> uvicorn.Config:
    config = server_config(
        service,
        limits,
        proxy_headers=listening.behind_proxy is not None,
        forwarded_allow_ips=listening.behind_proxy or "",
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.private_key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificate {listening.certificate} cannot be used: {error}",
            hint="Give a certificate and its private key in PEM: --tls-cert and --tls-key.",
        ) from error
    return config


def server_config(app: FastAPI, limits: ServiceLimits, **more: Any) -> uvicorn.Config:
    """Return the server configuration for an application."""
    http, sockets = bounded(limits.stall_timeout_s)
    return uvicorn.Config(
        app,
        http=http,
        log_config=None,  # uvicorn's own config closes the file of events
        access_log=False,
        server_header=False,
        limit_concurrency=limits.max_connections,
        timeout_graceful_shutdown=_GRACE_S,
        ws=sockets,
        ws_max_size=_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # sound does not shrink, and a small bomb could expand
        ws_ping_timeout=None,  # a client that is not read answers late; silence ends a stream
        **more,
    )


class Server(uvicorn.Server):
    """A server that ends the endless event streams before it shuts down."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams, then the server."""
        cast("FastAPI", self.config.app).state.parts.feeds.end()
        await super().shutdown(sockets)


def _proxy(wyoming: Wyoming, bound: socket.socket) -> Beside:
    try:
        from voiceid.server.wyoming_adapter import WyomingProxy  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            "the Wyoming proxy needs the package wyoming, which is not installed",
            hint="Install it with `pip install 'voiceid[wyoming]'`.",
        ) from error
    proxy = WyomingProxy(wyoming.upstream, in_text=wyoming.in_text)
    return partial(proxy.serve, bound)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"the service cannot listen on {host}, port {port}: {error.strerror or error}",
            hint="Choose another address or port, or end the program that uses it.",
        ) from error
