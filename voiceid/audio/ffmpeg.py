"""The door to FFmpeg (through PyAV): MP3, and every format that libsndfile does not take.

FFmpeg can open far more than recordings: playlists that name other files, session
descriptions that open the network, devices.  Here it sees one file object, may open no
other (no protocol is allowed) and may use the containers below only.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream as AVAudioStream
from av.container import InputContainer

from voiceid.audio.arrays import to_float32
from voiceid.audio.media import Media
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
        self.duration_hint_s = _duration_s(container, track)
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
        fifo, n_frames = av.AudioFifo(), 0  # it joins many small frames faster than NumPy
        step, tick = max(1, self._block_values // self.channels), Fraction(1, self.sample_rate_hz)
        try:
            for frame in self._frames_of_one_kind():
                frame.pts, frame.time_base = None, tick  # gaps in time are no concern of a voice
                fifo.write(frame)
                while (block := fifo.read(step)) is not None:
                    n_frames += block.samples
                    yield _table(block)
            if (block := fifo.read(partial=True)) is not None:
                n_frames += block.samples
                yield _table(block)
        except _ERRORS as error:
            raise AudioUnreadable(
                f"{self._media.where} changes into something that cannot be decoded: {error}",
                hint="Copy or export the recording again, for example as wav.",
            ) from error
        self._settle(n_frames)

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

    def _frames_of_one_kind(self) -> Iterator[AudioFrame]:
        """Yield the frames, converted to what the track begins as where it turns into another."""
        name, layout, rate_hz = _kind(self._first)
        wanted = (name if name.removesuffix("p") in _NUMPY_FORMATS else "flt", layout, rate_hz)
        current, converter = wanted, None
        for frame in chain((self._first,), self._frames):
            if _kind(frame) != current:
                if converter is not None:
                    yield from converter.resample(None)
                current = _kind(frame)
                converter = None if current == wanted else AudioResampler(*wanted)
            if converter is None:
                yield frame
            else:
                frame.pts = None
                yield from converter.resample(frame)
        if converter is not None:
            yield from converter.resample(None)


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _table(frame: AudioFrame) -> Float32Array:
    """Return a frame as (n, channels) float32, full scale being -1 to 1."""
    samples = frame.to_ndarray()
    if frame.format.is_planar:
        return np.ascontiguousarray(to_float32(samples).T)
    return to_float32(samples.reshape(-1, frame.layout.nb_channels))


def _duration_s(container: InputContainer, track: AVAudioStream) -> float | None:
    kind = container.format.name.split(",")[0]
    if container.duration is None or not (kind in _TIMED or (kind == "mp3" and _is_exact(track))):
        return None
    return float(container.duration / av.time_base)


def _is_exact(track: AVAudioStream) -> bool:
    """Return whether an MP3's duration stands in its header, which FFmpeg does not say.

    Such a header has the encoder's delay, and the duration is a whole number of samples; what
    FFmpeg guesses from a bit rate is not.
    """
    if not (track.start_time and track.duration and track.time_base):
        return False
    return (track.duration * track.time_base * track.sample_rate).denominator == 1
