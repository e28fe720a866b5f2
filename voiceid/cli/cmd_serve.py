"""``voiceid serve``."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import FILE, leaf
from voiceid.errors import ExtraMissing


@leaf(
    "serve",
    examples=[
        "voiceid serve",
        "voiceid serve --host 0.0.0.0 --tls-cert door.pem --tls-key door.key",
        "voiceid serve --compat azure,xiaozhi",
    ],
    audio=True,
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8423,
    show_default=True,
    help="Port to listen on; 0: any free port.",
)
@click.option("--tls-cert", type=FILE, help="Certificate, with its chain, in PEM.")
@click.option("--tls-key", type=FILE, help="Private key of the certificate.")
@click.option(
    "--behind-proxy",
    metavar="ADDRESSES",
    help="Trust a proxy at these addresses about callers, e.g. 127.0.0.1.",
)
@click.option(
    "--compat", metavar="NAMES", help="Also serve the protocols of other services: azure, xiaozhi."
)
@click.option(
    "--wyoming",
    metavar="ADDRESS",
    help="Add speakers to the transcripts of a Wyoming service: listen at tcp://HOST:PORT.",
)
@click.option("--wyoming-upstream", metavar="ADDRESS", help="The address of that Wyoming service.")
@click.option("--wyoming-in-text", is_flag=True, help="Begin transcripts with the name: [alice].")
@click.option("--insecure", is_flag=True, help="Listen beyond this host even without keys or TLS.")
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: str | None,
    compat: str | None,
    wyoming: str | None,
    wyoming_upstream: str | None,
    wyoming_in_text: bool,
    insecure: bool,
) -> None:
    """Serve the functions of the commands over HTTP.

    Without keys it only listens on this host; `voiceid keys create` creates keys.  SIGTERM or
    Ctrl-C ends it after the running requests are answered.  Requests: docs/http.md; protocols of
    other services: docs/compat.md.
    """
    if (tls_cert is None) is not (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    if (wyoming is None) is not (wyoming_upstream is None):
        raise click.UsageError("--wyoming and --wyoming-upstream go together.")
    try:
        from voiceid.server.running import Listening, Wyoming, require_safe, run  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f"the service needs {error.name}, which is not installed",
            hint="Install it with `pip install 'voiceid[server]'`.",
        ) from error
    names = tuple(name.strip() for name in compat.split(",")) if compat else ()
    proxy = None
    if wyoming is not None and wyoming_upstream is not None:
        proxy = Wyoming(*_address(wyoming), _address(wyoming_upstream), wyoming_in_text)
        console.warn(f"Wyoming has no keys: every client of {wyoming} learns who speaks")
    listening = Listening(host, port, tls_cert, tls_key, behind_proxy, insecure, names, proxy)
    with open_voiceid(console) as vid:
        warning = require_safe(vid, listening)
        if warning is not None:
            console.warn(warning)
        limits, workers = console.config.server, console.config.workers
        run(vid, listening, limits, workers, lambda url: console.note(f"serving {url}"))


def _address(text: str) -> tuple[str, int]:
    """Return the host and the port of a TCP address."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or parts.scheme != "tcp":
        raise click.UsageError(f"{text!r} is not an address: write tcp://127.0.0.1:10300.")
    return host, port
