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
    help="Port to listen on; 0: any that is free.",
)
@click.option("--tls-cert", type=FILE, help="Certificate, with its chain, in PEM.")
@click.option("--tls-key", type=FILE, help="Private key of the certificate.")
@click.option(
    "--behind-proxy",
    metavar="ADDRESSES",
    help="Believe what a proxy at these addresses says of callers, e.g. 127.0.0.1.",
)
@click.option(
    "--compat",
    metavar="NAMES",
    help="Answer too as other services do, which programs speak already: azure, xiaozhi.",
)
@click.option(
    "--wyoming",
    metavar="ADDRESS",
    help="Say who spoke, in the transcripts of a Wyoming service: listen at tcp://HOST:PORT.",
)
@click.option("--wyoming-upstream", metavar="ADDRESS", help="That speech-to-text service.")
@click.option("--wyoming-in-text", is_flag=True, help="Begin transcripts with the name: [alice].")
@click.option("--insecure", is_flag=True, help="Listen beyond this host also without keys or TLS.")
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
    """Answer over HTTP what the commands answer.

    Without keys it listens on this host alone; `voiceid keys create` makes them.  Ends at SIGTERM
    or Ctrl-C, when the requests that are worked on are answered.  The requests: docs/http.md; those
    of other services: docs/compat.md.
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
        console.warn(f"Wyoming has no keys: who reaches {wyoming} learns who speaks")
    listening = Listening(host, port, tls_cert, tls_key, behind_proxy, insecure, names, proxy)
    with open_voiceid(console) as vid:
        said = require_safe(vid, listening)
        if said is not None:
            console.warn(said)
        limits, workers = console.config.server, console.config.workers
        run(vid, listening, limits, workers, lambda where: console.note(f"serving {where}"))


def _address(text: str) -> tuple[str, int]:
    """Return the host and the port of an address of TCP."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or parts.scheme != "tcp":
        raise click.UsageError(f"{text!r} is not an address: write tcp://127.0.0.1:10300.")
    return host, port
