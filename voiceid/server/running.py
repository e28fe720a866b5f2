"""Running the service: where it listens, and what it refuses to do without keys."""

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
"""For which requests that are worked on are waited for at the end."""
_MESSAGE_BYTES = 1 << 20
"""Of a message of a WebSocket; a larger one ends it."""


@dataclass(frozen=True, slots=True)
class Wyoming:
    """Where a proxy of Wyoming listens, and before what: docs/compat.md.

    - `in_text`: whether a transcript begins with the speaker's name.
    """

    host: str
    port: int
    upstream: tuple[str, int]
    in_text: bool = False


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a service listens.

    - `certificate`, `private_key`: of TLS; None: the service speaks plain HTTP.
    - `behind_proxy`: addresses of the proxy that speaks TLS, with commas: its
      ``X-Forwarded-For`` is believed.
    - `insecure`: listen beyond this host also without keys or TLS.
    - `compat`: names of the adapters that answer too.
    - `wyoming`: of a proxy that listens too; None: none does.
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
        """Where it is reached."""
        scheme = "http" if self.certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def require_safe(vid: VoiceID, listening: Listening) -> str | None:
    """Return what is to be said of how the service is protected.

    Raises ConfigError, and GalleryKeyMissing: no question could be answered.
    """
    vid.keys.gallery.require()
    wyoming = listening.wyoming
    if wyoming is not None and not _is_local(wyoming.host) and not listening.insecure:
        raise ConfigError(
            f"Wyoming has no keys and no TLS, and would be served on {wyoming.host}",
            hint="Listen on 127.0.0.1; --insecure forces it, for a network of your own.",
        )
    is_local = _is_local(listening.host)
    lacks = [] if vid.keys.any() else ["keys: `voiceid keys create` makes one"]
    if is_local and lacks:
        return "there are no keys: every program on this host may ask, and no other host"
    if listening.certificate is None and listening.behind_proxy is None and not is_local:
        lacks.append("TLS: --tls-cert and --tls-key name its files")
    if lacks and not listening.insecure:
        raise ConfigError(
            f"the service would listen on {listening.host} without " + ", and without ".join(lacks),
            hint="Or listen on 127.0.0.1, behind a proxy; --insecure forces it.",
        )
    return f"{listening.host} is served without {lacks[0].partition(':')[0]}" if lacks else None


def _is_local(host: str) -> bool:
    return host == "localhost" or is_loopback(host)


def run(
    vid: VoiceID,
    listening: Listening,
    limits: ServiceLimits,
    workers: int | None,
    started: Callable[[str], None],
) -> None:
    """Serve until a signal ends it; requests that are worked on are finished.

    ``started`` receives each address at which it is reached, the service's last.

    Raises ConfigError: an address or the certificate cannot be used.
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
        # uvicorn ends in good order at a signal, and then sends it again: that is to end nothing.
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
            hint="Name a certificate and its private key in PEM: --tls-cert and --tls-key.",
        ) from error
    return config


def server_config(app: FastAPI, limits: ServiceLimits, **more: Any) -> uvicorn.Config:
    """Return how an application is served."""
    http, sockets = bounded(limits.stall_timeout_s)
    return uvicorn.Config(
        app,
        http=http,
        log_config=None,  # uvicorn's own closes the file of events
        access_log=False,
        server_header=False,
        limit_concurrency=limits.max_connections,
        timeout_graceful_shutdown=_GRACE_S,
        ws=sockets,
        ws_max_size=_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # sound gets no smaller, and a bomb would unfold
        ws_ping_timeout=None,  # who is not read meanwhile answers late; silence ends a stream
        **more,
    )


class Server(uvicorn.Server):
    """A server that lets go of those who watch, and have no end of their own, before it ends."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        cast("FastAPI", self.config.app).state.parts.feeds.end()
        await super().shutdown(sockets)


def _proxy(wyoming: Wyoming, bound: socket.socket) -> Beside:
    try:
        from voiceid.server.wyoming_adapter import WyomingProxy  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            "the proxy of Wyoming needs wyoming, which is not installed",
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
            hint="Choose another address or port, or end the program that has it.",
        ) from error
