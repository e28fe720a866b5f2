"""The door to FFmpeg (through PyAV): MP3, and every format that libsndfile does not take.

FFmpeg can open far more than recordings: playlists that name other files, session
descriptions that open the network, devices.  Here it sees one file object, may open no
other (no protocol is allowed) and may use the containers below only.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream as AVAudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition

from voiceid.audio.arrays import to_float32
from voiceid.audio.decoder import require_track
from voiceid.audio.headerless import Headerless
from voiceid.audio.heads import bytes_at, tags_end
from voiceid.audio.media import AudioOptions, Media, display_name
from voiceid.audio.metadata import TOO_MANY, Texts
from voiceid.audio.mpeg import claimed_duration_s
from voiceid.domain import Float32Array
from voiceid.errors import AudioError, AudioUnreadable

CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,avr,caf,dhav,dsf,dss,dts,dtshd,dv,eac3,epaf,"
    "flac,flv,hcom,iff,ircam,loas,matroska,webm,mlp,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,"
    "mpegts,mxf,nistsphere,nut,ogg,oma,ilbc,pvf,qcp,rm,shn,sox,spdif,swf,tak,truehd,tta,voc,w64,"
    "wav,wtv,wv,wve,xwma"
)
"""Demuxers of files that hold their audio themselves."""

_TIMED = frozenset(
    {"mov", "matroska", "asf", "avi", "caf", "flv", "wav", "aiff", "tta", "wv", "flac", "ogg", "rm"}
)
"""Containers that write their duration; for the others FFmpeg guesses from the bit rate."""

_IO_BUFFER = 1 << 18
_MAX_SEEKS = 500_000
MAX_OPEN_S = 1.5
"""Of CPU, to the first sound: FFmpeg compares each text of the metadata with all others."""
_MORE_TRACKS = 8
_SHORTFALL_S = 1.0
"""Audio that ends this much before its container's duration was cut off."""

_COUNTED = {"flac": 0.001, "mp3": 0.4}
"""The same where samples or frames are counted; an MP3 counts the four that are no sound."""

_GAP_S, _PAUSE_BYTES = 0.5, 1000
"""A gap in the time stamps; with at most the bytes of headers it is no shortfall."""

ERRORS = (
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

_CHECKED = frozenset({"tta", "wavpack"})
"""Codecs whose decoders turn damage into sound, unless an option has them compare check sums."""

_NUMPY_FORMATS = frozenset({"u8", "s16", "s32", "flt", "dbl"})
"""Sample formats, packed or planar, that PyAV turns into arrays."""


class FFmpegDecoder:
    """Blocks of one audio track; see :class:`voiceid.audio.decoder.Decoder`.

    The rate and the number of channels are those of the first decoded frame: the header
    of HE-AAC names half the rate.
    """

    def __init__(
        self, container: InputContainer, track: AVAudioStream, media: Media, block_values: int
    ) -> None:
        self.unheard = _other_tracks(container, track)
        if container.format.name == "mp3":
            position = media.tell()  # FFmpeg goes on reading from there
            self.duration_hint_s = claimed_duration_s(media)
            media.seek(position)
        else:
            self.duration_hint_s = _duration_s(container, track)
        self.truncated = False
        self._shortfall_s = _COUNTED.get(container.format.name, _SHORTFALL_S)
        self._container = container
        self._track = track
        self._media = media
        self._block_values = block_values
        self._bad_packets = self._good_packets = 0
        self._gaps_s, self._pauses_s, self._last_end = 0.0, 0.0, (math.inf, 0)
        track.codec_context.thread_count = 1  # parallelism is across files
        if track.codec_context.name in _CHECKED:
            track.codec_context.options = {"err_detect": "crccheck+explode"}
        self._frames = self._decode()
        self._first = next(self._frames)
        self.sample_rate_hz = int(self._first.sample_rate)
        self.channels = int(self._first.layout.nb_channels)

    @classmethod
    def open(
        cls, media: Media, options: AudioOptions, block_values: int, raw: Headerless | None = None
    ) -> FFmpegDecoder | None:
        """Return a decoder, or None when FFmpeg gets no sample out of the bytes."""
        demuxers = CONTAINERS if raw is None else raw.demuxer
        file = _Bounded(media)
        file.seek(0)
        try:
            container = av.open(
                file,
                mode="r",
                format=None if raw is None else raw.demuxer,
                options={
                    "format_whitelist": demuxers,
                    "protocol_whitelist": "none",
                    **({} if raw is None else raw.options),
                },
                buffer_size=_IO_BUFFER,
                metadata_errors="ignore",
            )
        except ERRORS:
            return None
        try:
            track = track_of(container, options.track, media.where)
            if track.codec_context is not None:  # None: FFmpeg has no decoder for the track
                decoder = cls(container, track, media, block_values)
                file.opened()
                return decoder
        except (*ERRORS, StopIteration):
            pass
        except AudioError:
            container.close()
            raise
        container.close()
        return None

    def blocks(self) -> Iterator[Float32Array]:
        """Yield blocks of shape (n, channels) float32; AudioUnreadable if most is corrupt."""
        fifo, n_frames = av.AudioFifo(), 0  # it joins many small frames faster than NumPy
        step, tick = max(1, self._block_values // self.channels), Fraction(1, self.sample_rate_hz)
        try:
            for frame in self._frames_of_one_kind():
                frame.pts, frame.time_base = None, tick  # gaps in time do not matter for a voice
                fifo.write(frame)
                while (block := fifo.read(step)) is not None:
                    n_frames += block.samples
                    yield table_of(block)
            if (block := fifo.read(partial=True)) is not None:
                n_frames += block.samples
                yield table_of(block)
        except ERRORS as error:
            raise AudioUnreadable(
                f"{self._media.where} changes into a format that cannot be decoded: {error}",
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
        heard_s = n_frames / self.sample_rate_hz + self._pauses_s
        if self._gaps_s:
            self.unheard["gap"] = f"{self._gaps_s:.1f} s that its time stamps skip"
        missing_s = (self.duration_hint_s or 0.0) - heard_s
        damaged = self._bad_packets or self._media.failure is not None
        self.truncated |= bool(damaged) or missing_s > self._shortfall_s

    def _decode(self) -> Generator[AudioFrame, None, None]:
        packets = self._container.demux(self._track)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except ERRORS:
                self._bad_packets += 1
                return
            try:
                frames = packet.decode()
            except ERRORS:
                self._bad_packets += 1
                continue
            self._good_packets += 1
            length_s = sum(frame.samples / frame.sample_rate for frame in frames)
            self._count_gap(packet, length_s)
            yield from frames

    def _count_gap(self, packet: Packet[AVAudioStream], length_s: float) -> None:
        """Count the time before a packet: frames are lost, or a recorder stood still.

        Only without bytes in it does it count as heard.
        """
        if packet.pts is None or packet.pos is None or self._shortfall_s < _SHORTFALL_S:
            return  # a codec's last frames, or a count of samples: what it skips is lost
        start_s, (end_s, end) = float(packet.pts * packet.time_base), self._last_end
        if start_s - end_s > _GAP_S:
            self._gaps_s += start_s - end_s
            self._pauses_s += start_s - end_s if packet.pos - end < _PAUSE_BYTES else 0.0
        self._last_end = start_s + length_s, packet.pos + packet.size

    def _frames_of_one_kind(self) -> Iterator[AudioFrame]:
        """Yield the frames; where the track changes its format, in the format it began with."""
        name, layout, rate_hz = _kind(self._first)
        target = (name if name.removesuffix("p") in _NUMPY_FORMATS else "flt", layout, rate_hz)
        current, converter = target, None
        for frame in chain((self._first,), self._frames):
            if _kind(frame) != current:
                if converter is not None:
                    yield from converter.resample(None)
                current = _kind(frame)
                converter = None if current == target else AudioResampler(*target)
            if converter is None:
                yield frame
            else:
                frame.pts = None
                yield from converter.resample(frame)
        if converter is not None:
            yield from converter.resample(None)


class _Bounded:
    """A source behind its tags, that ends after more work than a recording needs.

    FFmpeg would read all of a tag; and to skip a chunk of no bytes it seeks.
    """

    def __init__(self, media: Media) -> None:
        self._media = media
        self._start = min(tags_end(media, 0), media.size)
        self._texts: Texts | None = Texts(bytes_at(media, self._start, 4))
        self._seeks_left = _MAX_SEEKS
        self._cpu_until_s = time.thread_time() + MAX_OPEN_S

    def opened(self) -> None:
        """Take as long for the rest as it takes: there is a first sound."""
        self._cpu_until_s, self._texts = math.inf, None

    def read(self, n: int) -> bytes:
        if time.thread_time() > self._cpu_until_s:
            self._end(f"opening it takes over {MAX_OPEN_S:g} s of CPU")
        data = self._media.read(n) if self._seeks_left else b""
        if self._texts is not None and self._texts.are_too_many(data):
            self._end(TOO_MANY)
        return data if self._seeks_left else b""

    def _end(self, why: str) -> None:
        self._media.failure, self._seeks_left = ValueError(why), 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._seeks_left = max(0, self._seeks_left - 1)
        if self._seeks_left:
            self._media.seek(offset + (self._start if whence == os.SEEK_SET else 0), whence)
        return self.tell()

    def tell(self) -> int:
        return self._media.tell() - self._start


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def table_of(frame: AudioFrame) -> Float32Array:
    """Return a frame as (n, channels) float32, full scale being -1 to 1."""
    samples = frame.to_ndarray()
    if frame.format.is_planar:
        return np.ascontiguousarray(to_float32(samples).T)
    return to_float32(samples.reshape(-1, frame.layout.nb_channels))


def track_of(container: InputContainer, number: int | None, where: str) -> AVAudioStream:
    """Return the audio track of a number; without one, the default track, else the first.

    Raises `AudioUnreadable`: there is no audio track; `ConfigError`: none has that number.
    """
    tracks = container.streams.audio
    if not tracks:
        raise AudioUnreadable(f"{where} holds no audio track", hint="Use a file with sound.")
    require_track(number, len(tracks), where)
    if number is not None:
        return tracks[number]
    return next((t for t in tracks if t.disposition & Disposition.default), tracks[0])


def _other_tracks(container: InputContainer, heard: AVAudioStream) -> dict[str, str]:
    tracks = enumerate(container.streams.audio)
    others = [_track_text(number, track) for number, track in tracks if track.index != heard.index]
    more = [f"and {len(others) - _MORE_TRACKS} more"] if len(others) > _MORE_TRACKS else []
    return {"other_tracks": ", ".join([*others[:_MORE_TRACKS], *more])} if others else {}


def _track_text(number: int, track: AVAudioStream) -> str:
    codec = None if track.codec_context is None else track.codec_context.name
    facts = [codec, track.metadata.get("language"), track.metadata.get("title")]
    known = ", ".join(display_name(fact) for fact in facts if fact and fact != "und")
    return f"track {number} ({known})" if known else f"track {number}"


def _duration_s(container: InputContainer, track: AVAudioStream) -> float | None:
    """Return the length of the track that its container states; None if it cannot be trusted."""
    kind = container.format.name.split(",")[0]
    if kind not in _TIMED:
        return None
    if track.duration is not None and track.time_base is not None:
        return float(track.duration * track.time_base)
    # Of a container, it is that of its longest track.
    if container.duration is None or len(container.streams) > 1:
        return None
    # Matroska's is the time of its end, and a piece of a longer recording starts late.
    start = container.start_time or 0 if kind == "matroska" else 0
    return float((container.duration - max(0, start)) / av.time_base)
