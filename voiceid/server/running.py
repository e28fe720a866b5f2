"""Running the service: where it listens, and what it refuses to do without keys."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from voiceid.client import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.errors import ConfigError
from voiceid.models.runtime import cpu_limit
from voiceid.server.application import make_service
from voiceid.server.callers import is_loopback
from voiceid.server.http_protocol import bounded_heads

_GRACE_S = 30
"""For which requests that are worked on are waited for at the end."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a service listens.

    - `certificate`, `private_key`: of TLS; None: the service speaks plain HTTP.
    - `behind_proxy`: addresses of the proxy that speaks TLS, with commas: its
      ``X-Forwarded-For`` is believed.
    - `insecure`: listen beyond this host also without keys or TLS.
    - `compat`: names of the adapters that answer too.
    """

    host: str = "127.0.0.1"
    port: int = 8423
    certificate: Path | None = None
    private_key: Path | None = None
    behind_proxy: str | None = None
    insecure: bool = False
    compat: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Where it is reached."""
        scheme = "http" if self.certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def require_safe(vid: VoiceID, listening: Listening) -> str | None:
    """Return what is to be said of how the service is protected; raises ConfigError."""
    is_local = listening.host == "localhost" or is_loopback(listening.host)
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


def run(
    vid: VoiceID,
    listening: Listening,
    limits: ServiceLimits,
    workers: int | None,
    started: Callable[[str], None],
) -> None:
    """Serve until a signal ends it; requests that are worked on are finished.

    ``started`` receives where it is reached.  Raises ConfigError: the address or the certificate
    cannot be used.
    """
    config = server_config(
        make_service(vid, workers or cpu_limit(), limits, listening.compat),
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
    with _bound(listening) as bound:
        started(replace(listening, port=bound.getsockname()[1]).address)
        # uvicorn ends in good order at a signal, and then sends it again: that is to end nothing.
        signal.signal(signal.SIGTERM, lambda *_: None)
        uvicorn.Server(config).run(sockets=[bound])


def server_config(app: FastAPI, limits: ServiceLimits, **more: Any) -> uvicorn.Config:
    """Return how an application is served."""
    return uvicorn.Config(
        app,
        http=bounded_heads(limits.stall_timeout_s),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=limits.max_connections,
        timeout_graceful_shutdown=_GRACE_S,
        **more,
    )


def _bound(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    try:
        return socket.create_server((listening.host, listening.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"the service cannot listen on {listening.host}, port {listening.port}:"
            f" {error.strerror or error}",
            hint="Choose another with --host and --port, or end the program that has it.",
        ) from error
