"""The door to FFmpeg (through PyAV): every format that libsndfile does not take.

FFmpeg can open far more than recordings: playlists that name other files, session
descriptions that open the network, devices.  Here it sees one file object, may open no
other (no protocol is allowed) and may use the containers below only.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream as AVAudioStream
from av.container import InputContainer

from voiceid.audio.arrays import to_float32
from voiceid.audio.sources import Media
from voiceid.domain import Float32Array
from voiceid.errors import AudioUnreadable

_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,iff,loas,"
    "matroska,webm,mlp,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mxf,nut,ogg,oma,"
    "rm,sox,spdif,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
"""Demuxers that hold their audio themselves."""

_TIMED = frozenset({"mov", "matroska", "asf", "avi", "caf", "flv", "wav", "aiff", "tta", "wv"})
"""Containers that write their duration; for the others FFmpeg guesses from the bit rate."""

_IO_BUFFER = 1 << 18
_SHORTFALL_S = 1.0
"""Audio that ends so much before its container's duration was cut off."""

_ERRORS = (
    av.FFmpegError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What PyAV was seen to raise on damaged files: more than its own exceptions."""

_NUMPY_FORMATS = frozenset({"u8", "s16", "s32", "flt", "dbl"})
"""Sample formats, packed or planar, that PyAV turns into arrays."""


class FFmpegDecoder:
    """Blocks of the first audio track; see :class:`voiceid.audio.decoding.Decoder`.

    The rate and the number of channels are those of the first decoded frame: the header
    of HE-AAC names half the rate.
    """

    def __init__(
        self, container: InputContainer, track: AVAudioStream, media: Media, block_values: int
    ) -> None:
        self.truncated = False
        self.duration_hint_s = _duration_s(container)
        self._container = container
        self._track = track
        self._media = media
        self._block_values = block_values
        self._bad_packets = self._good_packets = 0
        track.codec_context.thread_count = 1  # parallelism is across files
        self._frames = self._decode()
        self._first = next(self._frames)
        self.sample_rate_hz = int(self._first.sample_rate)
        self.channels = int(self._first.layout.nb_channels)

    @classmethod
    def open(cls, media: Media, block_values: int) -> FFmpegDecoder | None:
        """Return a decoder, or None when FFmpeg gets no sample out of the bytes.

        Raises
        ------
        AudioUnreadable
            The file is understood, but holds no audio track.
        """
        media.seek(0)
        try:
            container = av.open(
                media,
                mode="r",
                options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"},
                buffer_size=_IO_BUFFER,
                metadata_errors="ignore",
            )
        except _ERRORS:
            return None
        if not container.streams.audio:
            container.close()
            raise AudioUnreadable(
                f"{media.where} holds no audio track", hint="Pass a file with sound."
            )
        track = container.streams.audio[0]
        try:
            if track.codec_context is not None:  # None: FFmpeg has no decoder for the track
                return cls(container, track, media, block_values)
        except (*_ERRORS, StopIteration):
            pass
        container.close()
        return None

    def blocks(self) -> Iterator[Float32Array]:
        """Yield blocks of shape (n, channels) float32.

        Raises
        ------
        AudioUnreadable
            More of the data is corrupt than not: what came out is not the recording.
        """
        held: list[Float32Array] = []
        n_held = n_frames = 0
        for samples in self._readable_samples():
            held.append(samples)
            n_held += len(samples)
            if n_held * self.channels >= self._block_values:
                yield np.concatenate(held)
                n_frames += n_held
                held, n_held = [], 0
        if held:
            yield np.concatenate(held)
        self._settle(n_frames + n_held)

    def close(self) -> None:
        """Close FFmpeg's container and decoder."""
        self._frames.close()
        self._container.close()

    def _settle(self, n_frames: int) -> None:
        if self._bad_packets > self._good_packets:
            raise AudioUnreadable(
                f"{self._media.where} is corrupt: {self._bad_packets} of"
                f" {self._bad_packets + self._good_packets} packets cannot be decoded",
                hint="Copy or export the recording again, for example as wav.",
            )
        missing_s = (self.duration_hint_s or 0.0) - n_frames / self.sample_rate_hz
        damaged = self._bad_packets or self._media.failure is not None
        self.truncated |= bool(damaged) or missing_s > _SHORTFALL_S

    def _decode(self) -> Generator[AudioFrame, None, None]:
        packets = self._container.demux(self._track)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except _ERRORS:
                self._bad_packets += 1
                return
            try:
                frames = packet.decode()
            except _ERRORS:
                self._bad_packets += 1
                continue
            self._good_packets += 1
            yield from frames

    def _readable_samples(self) -> Iterator[Float32Array]:
        try:
            yield from self._samples()
        except _ERRORS as error:
            raise AudioUnreadable(
                f"{self._media.where} changes into something that cannot be decoded: {error}",
                hint="Copy or export the recording again, for example as wav.",
            ) from error

    def _samples(self) -> Iterator[Float32Array]:
        """Yield (n, channels) for each frame, whatever the track turns into on its way."""
        name, layout, rate_hz = _kind(self._first)
        wanted = (name if name.removesuffix("p") in _NUMPY_FORMATS else "flt", layout, rate_hz)
        current, converter = wanted, None
        for frame in chain((self._first,), self._frames):
            if _kind(frame) != current:
                yield from _converted(converter, None)
                current = _kind(frame)
                converter = None if current == wanted else AudioResampler(*wanted)
            yield from _converted(converter, frame)
        yield from _converted(converter, None)


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _converted(
    converter: AudioResampler | None, frame: AudioFrame | None
) -> Iterator[Float32Array]:
    """Yield a frame (None: what the converter still holds) as arrays."""
    if converter is None:
        if frame is not None:
            yield _table(frame)
        return
    if frame is not None:
        frame.pts = None  # gaps in time stamps are no concern of a voice
    yield from map(_table, converter.resample(frame))


def _table(frame: AudioFrame) -> Float32Array:
    """Return a frame as (n, channels) float32, full scale being -1 to 1."""
    samples = frame.to_ndarray()
    if frame.format.is_planar:
        return np.ascontiguousarray(to_float32(samples).T)
    return to_float32(samples.reshape(-1, frame.layout.nb_channels))


def _duration_s(container: InputContainer) -> float | None:
    if container.duration is None or container.format.name.split(",")[0] not in _TIMED:
        return None
    return float(container.duration / av.time_base)
