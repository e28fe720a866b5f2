"""Sound that FFmpeg opens as it comes: addresses of the network, and pipes.

This is the only place in which FFmpeg may use the network: for an address of the schemes below,
over the protocols that they need.  What it then finds must hold its audio itself, and may not name
other addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import av
from av.container import InputContainer

from voiceid.audio.decoder import Pieces
from voiceid.audio.ffmpeg import CONTAINERS, ERRORS, table_of, track_of
from voiceid.audio.headerless import Headerless
from voiceid.audio.media import AudioOptions
from voiceid.errors import AudioUnreadable

PROTOCOLS: Mapping[str, str] = {
    "rtsp": "rtsp,rtp,rtcp,udp,tcp",
    "rtsps": "rtsp,rtsps,rtp,rtcp,srtp,udp,tcp,tls,crypto",
    "http": "http,tcp",
    "https": "https,http,tcp,tls,crypto",
    "udp": "udp",
    "tcp": "tcp",
}
"""What FFmpeg may use for an address, by its scheme."""
_PREFERRED: Mapping[str, Mapping[str, str]] = {
    "rtsp": {"rtsp_flags": "prefer_tcp", "allowed_media_types": "audio"},
    "rtsps": {"rtsp_transport": "tcp", "allowed_media_types": "audio"},
    "udp": {"overrun_nonfatal": "1", "fifo_size": "8192"},
}
_AT_ONCE = {"analyzeduration": "1000000", "probesize": "65536"}
"""What FFmpeg waits for before it gives the first sound: at most a second, or 64 KB."""
_PIPE_PROBE_BYTES = "8192"
_READ_BYTES = 2048
"""Of a pipe at once: 64 ms of 16 bits at 16 kHz."""


def from_address(address: str, scheme: str, where: str, options: AudioOptions) -> Pieces:
    """Yield the sound of an address; raises `AudioUnreadable`: it cannot be opened, or breaks off.

    - `scheme`: of it, one of `PROTOCOLS`.
    - `where`: it, for people.
    """
    demuxers = "rtsp" if scheme.startswith("rtsp") else CONTAINERS
    wanted = {"format_whitelist": demuxers, "protocol_whitelist": PROTOCOLS[scheme]}
    try:
        container = av.open(
            address,
            mode="r",
            options={**_AT_ONCE, **_PREFERRED.get(scheme, {}), **wanted},
            timeout=(options.stall_timeout_s, options.stall_timeout_s),
            metadata_errors="ignore",
        )
    except ERRORS as error:
        raise _broken(where, "cannot be opened", error) from error
    yield from _decoded(container, where, options.track)


def from_pipe(file: Any, where: str, options: AudioOptions, raw: Headerless | None) -> Pieces:
    """Yield what is written into a file object, as it comes.

    - `raw`: what it is, where it has no header.

    Raises `AudioUnreadable`: it is not sound, or cannot be heard as it comes.
    """
    try:
        if raw is not None and not raw.demuxer:
            raise ValueError("FFmpeg has no such format")
        container = av.open(
            _Reading(file),
            mode="r",
            format=None if raw is None else raw.demuxer,
            options={
                **_AT_ONCE,
                "probesize": _PIPE_PROBE_BYTES,
                "format_whitelist": CONTAINERS if raw is None else raw.demuxer,
                "protocol_whitelist": "none",
                **({} if raw is None else raw.options),
            },
            buffer_size=_READ_BYTES,
            metadata_errors="ignore",
        )
    except ERRORS as error:
        raise AudioUnreadable(
            f"{where} has no sound that can be heard as it comes",
            hint="Pipe in WAV; or raw samples, and say what they are: --format sln16 is 16 bits"
            " signed, little endian, one channel, 16 kHz.",
        ) from error
    yield from _decoded(container, where, options.track)


def _broken(where: str, what: str, error: Exception) -> AudioUnreadable:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return AudioUnreadable(
        f"{where} {what}: {reason}", hint="Check the address, the network and the device."
    )


def _decoded(container: InputContainer, where: str, number: int | None) -> Pieces:
    """Yield the sound of an open container, which is closed at the end."""
    try:
        track = track_of(container, number, where)
        packets = container.demux(track)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except ERRORS as error:
                raise _broken(where, "breaks off", error) from error
            try:
                frames = packet.decode()
            except ERRORS:  # a packet that was damaged on its way
                continue
            for frame in frames:
                yield table_of(frame), int(frame.sample_rate)
    finally:
        container.close()


class _Reading:
    """A file that has what has arrived so far, and cannot be sought in."""

    def __init__(self, file: Any) -> None:
        self._read = getattr(file, "raw", file).read

    def read(self, n: int) -> bytes:
        return bytes(self._read(n) or b"")
