"""Sound that FFmpeg decodes as it arrives: network addresses, and pipes.

This is the only place where FFmpeg may use the network: for an address of the schemes below, over
the protocols that they need.  The stream must hold its audio itself, and may not name other
addresses.  Without RTSP, FFmpeg only passes on the bytes of an address, and reads the sound out of
them as out of a pipe: so what a server sends has the bounds that a file has.
"""

from __future__ import annotations

import contextlib
import errno
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet

from voiceid.audio.certificates import distrust, trusted_file
from voiceid.audio.containers import is_container
from voiceid.audio.decoder import Pieces
from voiceid.audio.ffmpeg import CONTAINERS, ERRORS, MAX_OPEN_S, table_of, track_of
from voiceid.audio.headerless import Headerless
from voiceid.audio.heads import HEAD_BYTES, MAX_TAGS, SCAN_BYTES, id3_bytes
from voiceid.audio.media import AudioOptions
from voiceid.audio.metadata import TOO_MANY, Texts
from voiceid.errors import AudioInvalid, AudioUnreadable

PROTOCOLS: Mapping[str, str] = {
    "rtsp": "rtsp,rtp,rtcp,udp,tcp",
    "rtsps": "rtsp,rtsps,rtp,rtcp,srtp,udp,tcp,tls,crypto",
    "http": "http,https,tcp,tls,crypto",
    "https": "https,tcp,tls,crypto",
    "udp": "udp",
    "tcp": "tcp",
}
"""The protocols that FFmpeg may use for an address, by its scheme."""
_PREFERRED: Mapping[str, Mapping[str, str]] = {
    "rtsp": {"rtsp_flags": "prefer_tcp", "allowed_media_types": "audio"},
    "rtsps": {"rtsp_transport": "tcp", "allowed_media_types": "audio"},
    "udp": {"overrun_nonfatal": "1", "fifo_size": "8192"},
    "https": {"max_redirects": "0"},
}
"""An address of https may redirect to one of http, which proves nothing: it redirects nowhere."""
_TLS_PORTS: Mapping[str, int] = {"https": 443, "rtsps": 322}
_ENDING = frozenset({"http", "https"})
"""Schemes that may send a file, whose length the server states."""
_AT_ONCE = {"analyzeduration": "1000000", "probesize": "65536"}
"""FFmpeg waits for at most a second, or 64 KB, before it gives the first sound."""
_CHECK = (
    "Check the address, the network and the device. The address must lead to the sound itself, not"
    " to a page or a playlist. An https address may not redirect."
)
_BYTES: Mapping[str, str] = {"probesize": "32", "analyzeduration": "0", "raw_packet_size": "4096"}
"""For the bytes of a server: FFmpeg waits for none, and gives as many at once, at most."""
_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_PIPE_PROBE_BYTES = "8192"
_READ_BYTES = 2048
"""Read from a pipe at once: 64 ms of 16 bits at 16 kHz."""


def from_address(address: str, scheme: str, where: str, options: AudioOptions) -> Pieces:
    """Yield the sound of an address.  Only a file whose length the server states may end.

    - `scheme`: of the address, one of `PROTOCOLS`.
    - `where`: the address in messages.

    For ``https`` and ``rtsps`` the certificate and the name of the host are checked.  Raises
    `AudioUnreadable`: it cannot be opened, or breaks off; `ConfigError`: ``ca_file`` has no
    certificates.
    """
    connect = partial(_connected, address, scheme, where, options)
    is_file = False
    if scheme.startswith("rtsp"):
        yield from _decoded(connect("rtsp"), where, options)
    else:
        with closing(connect("data")) as server:
            is_file = scheme in _ENDING and server.size > 0
            yield from _arriving(_Received(server), where, options, connect if is_file else None)
    if not is_file:
        raise AudioUnreadable(f"{where} gives no more sound", hint=_CHECK)


def _connected(
    address: str, scheme: str, where: str, options: AudioOptions, demuxers: str
) -> InputContainer:
    required = {"format_whitelist": demuxers, "protocol_whitelist": PROTOCOLS[scheme]}
    if gives_bytes := demuxers == "data":
        required |= _BYTES
    trusted = None
    if scheme in _TLS_PORTS:
        trusted = trusted_file(options.ca_file)
        required |= {"tls_verify": "1"} | ({} if trusted is None else {"ca_file": trusted})
    try:
        return av.open(
            address,
            mode="r",
            format="data" if gives_bytes else None,
            options={**_AT_ONCE, **_PREFERRED.get(scheme, {}), **required},
            timeout=(options.stall_timeout_s, options.stall_timeout_s),
            metadata_errors="ignore",
        )
    except ERRORS as error:
        if scheme in _TLS_PORTS and getattr(error, "errno", None) == errno.EIO:
            _require_trust(address, scheme, where, trusted, options)
        raise _broken(where, "cannot be opened", error, options) from error


def _arriving(
    server: _Received,
    where: str,
    options: AudioOptions,
    connect: Callable[[str], InputContainer] | None,
) -> Pieces:
    """Yield the sound in the bytes of a server.

    - `connect`: opens a file that the server has with these demuxers, if it is a file.
    """
    try:
        try:
            reading = _Reading(server, where)
            if connect is not None and reading.head[4:8] == b"ftyp" and b"moov" not in reading.head:
                container = connect(_MP4)  # its index may be at its end
            else:
                container = _container(reading, CONTAINERS, _AT_ONCE)
        except ERRORS as error:
            raise _broken(where, "cannot be opened", error, options) from error
        yield from _decoded(container, where, options, reading)
    except _Stopped as stopped:
        raise stopped.args[0] from None


def _require_trust(
    address: str, scheme: str, where: str, trusted: str | None, options: AudioOptions
) -> None:
    """Raise `AudioUnreadable` where the certificate that an address shows is not trusted."""
    parts = urlsplit(address)
    port = _TLS_PORTS[scheme] if parts.port is None else parts.port
    why = distrust(parts.hostname or "", port, trusted, options.stall_timeout_s)
    if why:
        raise AudioUnreadable(
            f"{where} shows a certificate that is not trusted: {why}",
            hint="If it is the device's own certificate, set audio.ca_file to a file with it, and"
            " address the device by a name in the certificate (docs/live.md).",
        )


def from_pipe(file: Any, where: str, options: AudioOptions, raw: Headerless | None) -> Pieces:
    """Yield the sound that is written into a file object, as it arrives.

    - `raw`: its format, if it has no header.

    Raises `AudioUnreadable`: it is not sound, or cannot be decoded as it arrives.
    """
    try:
        yield from _from_pipe(file, where, options, raw)
    except _Stopped as stopped:
        raise stopped.args[0] from None


def _from_pipe(file: Any, where: str, options: AudioOptions, raw: Headerless | None) -> Pieces:
    try:
        reading = _Reading(file, where)
        if raw is not None and (reading.has_tags or is_container(reading.head)):
            raw = None  # its header says the format
        if raw is not None and not raw.demuxer:
            raise AudioUnreadable(
                f"{where} has a format that cannot be decoded live",
                hint="Use a file of it, or pipe it through a program that writes WAV.",
            )
        demuxer, how = (None, {}) if raw is None else (raw.demuxer, raw.options)
        how = {**_AT_ONCE, "probesize": _PIPE_PROBE_BYTES, **how}
        container = _container(reading, demuxer or CONTAINERS, how, demuxer)
    except ERRORS as error:
        raise AudioUnreadable(
            f"{where} has no sound that can be decoded live",
            hint="Pipe in WAV; or raw samples with their --format, for example sln16: 16 bits"
            " signed, little endian, one channel, 16 kHz.",
        ) from error
    yield from _decoded(container, where, replace(options, stall_timeout_s=math.inf), reading)


def _container(
    reading: _Reading, demuxers: str, how: Mapping[str, str], demuxer: str | None = None
) -> InputContainer:
    """Open what is read; raises `AudioUnreadable` or one of `ERRORS`."""
    allowed = {"format_whitelist": demuxers, "protocol_whitelist": "none"}
    try:
        return av.open(
            reading,
            mode="r",
            format=demuxer,
            options={**how, **allowed},
            buffer_size=_READ_BYTES,
            metadata_errors="ignore",
        )
    except ERRORS:
        reading.check()
        raise


def _broken(where: str, failure: str, error: Exception, options: AudioOptions) -> AudioUnreadable:
    reason = getattr(error, "strerror", None) or type(error).__name__
    if isinstance(error, av.error.ExitError):
        reason = f"it gave nothing for {options.stall_timeout_s:g} s"
    return AudioUnreadable(f"{where} {failure}: {reason}", hint=_CHECK)


def _decoded(
    container: InputContainer, where: str, options: AudioOptions, reading: _Reading | None = None
) -> Pieces:
    """Yield the sound of an open container, which is closed at the end.

    - `reading`: what the container is read from, if FFmpeg does not read it itself.

    Raises `AudioUnreadable`: it breaks off, or goes on without sound, as a camera's picture may.
    """
    try:
        track = track_of(container, options.track, where)
        packets, sounded = container.demux(), time.monotonic()
        while True:
            try:
                packet = next(packets, None) if reading is None else reading.next_of(packets)
            except ERRORS as error:
                raise _broken(where, "breaks off", error, options) from error
            if packet is None:
                return
            frames: list[AudioFrame] = []
            if packet.stream_index == track.index:
                with contextlib.suppress(*ERRORS):  # a packet was damaged on the network
                    frames = [f for f in packet.decode() if isinstance(f, AudioFrame)]
            for frame in frames:
                yield table_of(frame), int(frame.sample_rate)
                sounded = time.monotonic()
            if time.monotonic() - sounded > options.stall_timeout_s:
                raise AudioUnreadable(
                    f"{where} goes on, but gave no sound for {options.stall_timeout_s:g} s",
                    hint="Check the microphone of the device.",
                )
    finally:
        container.close()


class _Stopped(Exception):
    """Ctrl-C while a file was read: PyAV loses a KeyboardInterrupt, but passes on an Exception."""


class _Received:
    """The bytes of a server, as a file object.

    - `server`: opened with the demuxer of bytes.
    """

    def __init__(self, server: InputContainer) -> None:
        self._packets, self._left = server.demux(), b""

    def read(self, n: int) -> bytes:
        while not self._left:
            if (packet := next(self._packets, None)) is None:
                return b""
            self._left = bytes(packet)
        data, self._left = self._left[:n], self._left[n:]
        return data


class _Reading:
    """A file that gives the bytes that have arrived so far, and cannot seek.

    - `head`: its first bytes, after its ID3 tags, which are left out.

    It ends where reading fails, has too many texts in its metadata, or keeps FFmpeg busy.  Raises
    `AudioUnreadable`: it is empty; `AudioInvalid`: it is in text mode.
    """

    def __init__(self, file: Any, where: str) -> None:
        raw = getattr(file, "raw", file)  # it does not wait for a full buffer
        if raw is not file and file.seekable():
            raw.seek(file.tell())  # what was read ahead
        self._read, self._where = raw.read, where
        self.head, self.has_tags = b"", False
        self._fill()
        for _ in range(MAX_TAGS):
            if not (size := id3_bytes(self.head)):
                break
            self.has_tags = True
            self._pass_over(size)
            self._fill()
        if not self.head:
            raise AudioUnreadable(
                f"{where} is empty", hint="Check the program that writes the sound."
            )
        self._left = self.head
        self._texts = Texts(self.head)
        self._failure: Exception | None = None
        self._cpu_until_s = time.thread_time() + MAX_OPEN_S

    def next_of(self, packets: Iterator[Packet[Any]]) -> Packet[Any] | None:
        """Return the next packet of the container that reads this; None: there is no more."""
        self._cpu_until_s = time.thread_time() + MAX_OPEN_S
        if (packet := next(packets, None)) is None:
            self.check()
        return packet

    def check(self) -> None:
        """Raise what ended the reading, if it was not the end of the file."""
        if self._failure is not None:
            raise self._failure

    def read(self, n: int) -> bytes:
        data, self._left = self._left[:n], self._left[n:]
        try:
            self.check()
            if time.thread_time() > self._cpu_until_s:
                raise self._busy(f"it keeps the decoder busy for over {MAX_OPEN_S:g} s of CPU")
            data = data or bytes(self._read(n) or b"")
            if self._texts.are_too_many(data):
                raise self._busy(TOO_MANY)
        except (KeyboardInterrupt, SystemExit) as error:
            raise _Stopped(error) from None
        except (*ERRORS, AudioUnreadable) as error:  # PyAV would lose one of two exceptions
            self._failure = error
            return b""
        return data

    def _busy(self, why: str) -> AudioUnreadable:
        hint = "Send the sound without its tags."
        return AudioUnreadable(f"{self._where} cannot be read: {why}", hint=hint)

    def _fill(self) -> None:
        while len(self.head) < HEAD_BYTES and (data := self._read(HEAD_BYTES - len(self.head))):
            if isinstance(data, str):
                raise AudioInvalid(
                    f"{self._where} is a file object in text mode", hint='Open it with mode "rb".'
                )
            self.head += data

    def _pass_over(self, size: int) -> None:
        self.head, left = self.head[size:], max(0, size - len(self.head))
        while left and (data := self._read(min(left, SCAN_BYTES))):
            left -= len(data)
