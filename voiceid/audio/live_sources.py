"""Live sound: a microphone, a network stream, standard input; files are read the same way."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import urlsplit

from voiceid.audio.decoder import Pieces
from voiceid.audio.decoding import open_decoder
from voiceid.audio.headerless import format_named
from voiceid.audio.media import AudioOptions, display_name, open_media, open_pipe, standard_input
from voiceid.errors import AudioInvalid, ConfigError

LiveSourceName: TypeAlias = str | os.PathLike[str] | BinaryIO
"""An address, ``mic``, ``mic:NAME``, ``-``, a path, or a binary file object."""

_FILE_BLOCK_VALUES = 4096
_WAITING = frozenset({"http", "https", "tcp"})
"""Schemes that may send a file: then the server waits until it is read."""
_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A source of sound.

    - `where`: the source in messages; an address without its user, password and query.
    - `pieces`: opens it and yields its samples as they come.  Raises `AudioError`: it cannot be
      opened, or breaks off; `ExtraMissing`: what it needs is not installed.
    - `goes_on`: it is opened again after it breaks off.
    - `waits`: it waits until it is read; if not, sound that is read too late is lost.
    """

    where: str
    pieces: Callable[[], Pieces]
    goes_on: bool = False
    waits: bool = True


def live_source(source: LiveSourceName, options: AudioOptions) -> LiveSource:
    """Return the source of a name.  Nothing is opened yet.

    Raises `ConfigError`: the scheme of the address, or the format, is unknown; `AudioInvalid`:
    the source is neither a name nor a file object.
    """
    if options.format is not None:
        format_named(options.format)
    if not isinstance(source, str | os.PathLike):
        if not hasattr(source, "read"):
            raise AudioInvalid(
                f"a {type(source).__name__} is not a source that voiceid can listen to",
                hint="Give an address, mic, - or a path, or a binary file object; for samples, use"
                " `vid.listen()` and feed them.",
            )
        return LiveSource("<file>", lambda: _piped(source, "<file>", options))
    name = os.fspath(source)
    if name == "-":
        return LiveSource("<stdin>", lambda: _piped(standard_input(), "<stdin>", options))
    if name == "mic" or name.startswith("mic:"):
        microphone = name.partition(":")[2]
        return LiveSource(
            display_name(name), lambda: _recorded(microphone, options), goes_on=True, waits=False
        )
    if _ADDRESS.match(name):
        return _network(name, options)
    return LiveSource(display_name(name), lambda: _from_path(name, options))


def _network(address: str, options: AudioOptions) -> LiveSource:
    scheme, where = address.partition("://")[0].lower(), _shown(address)
    if scheme not in _SCHEMES:
        raise ConfigError(
            f"{where}: addresses of {display_name(scheme)} are not supported",
            hint=f"Use one of {', '.join(_SCHEMES)}.",
        )

    def pieces() -> Pieces:
        from voiceid.audio.live_streams import from_address  # noqa: PLC0415 - loads FFmpeg

        return from_address(scheme + address[len(scheme) :], scheme, where, options)

    return LiveSource(where, pieces, goes_on=True, waits=scheme in _WAITING)


def _shown(address: str) -> str:
    """Return an address without its secrets; raises `ConfigError`: it is not an address.

    An address of ``udp`` needs no host: every address of this machine is listened to.
    """
    scheme = address.partition("://")[0].lower()
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
        needs_host = scheme in _SCHEMES and scheme != "udp"
    except ValueError:  # its text may hold a password
        host, needs_host = "", True
    if needs_host and not host:
        raise ConfigError(
            f"{display_name(scheme)}://... is not an address: no host, or no valid port",
            hint="It is SCHEME://HOST:PORT/PATH; write @, / and : in a password as %40, %2F, %3A.",
        )
    host = f"[{host}]" if ":" in host else host
    return display_name(f"{parts.scheme}://{host}{port}{parts.path}")


def _recorded(microphone: str, options: AudioOptions) -> Pieces:
    from voiceid.audio.microphones import recorded  # noqa: PLC0415 - an extra

    return recorded(microphone, options.stall_timeout_s)


def _piped(file: Any, where: str, options: AudioOptions) -> Pieces:
    from voiceid.audio.live_streams import from_pipe  # noqa: PLC0415 - loads FFmpeg

    raw = None if options.format is None else format_named(options.format)
    return from_pipe(file, where, options, raw)


def _from_path(path: str, options: AudioOptions) -> Pieces:
    if _is_fifo(path):
        with open_pipe(path, options) as pipe:
            yield from _piped(pipe, display_name(path), options)
        return
    with (
        closing(open_media(path, options)) as media,
        closing(open_decoder(media, options, _FILE_BLOCK_VALUES)) as decoder,
    ):
        for block in decoder.blocks():
            yield block, decoder.sample_rate_hz


def _is_fifo(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116 - any text, not a Path
    except (OSError, ValueError):
        return False
