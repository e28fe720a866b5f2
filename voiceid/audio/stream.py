"""One recording on its way in: channel, checks, hash, clipping, limits, 16 kHz."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Protocol, Self

import numpy as np

from voiceid.audio.arrays import (
    MAX_VALUES_A_S,
    MEAN_VALUES_A_S,
    ArrayDecoder,
    check_rate,
    samples_and_rate,
)
from voiceid.audio.decoder import Decoder
from voiceid.audio.decoding import BLOCK_VALUES, open_decoder, unreadable
from voiceid.audio.media import AudioOptions, AudioSource, Media, Spans, open_media
from voiceid.audio.mixing import ChannelMeter, ClippingCount, GapMeter, Mixer
from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid, AudioTooLong

TARGET_RATE_HZ = 16_000
"""The rate that speech detection and every encoder need."""


class Tap(Protocol):
    """Receives the samples of a recording as they pass."""

    def add(self, samples: Float32Array) -> None:
        """Take (n,) mono samples: the samples that are hashed."""

    def clear(self) -> None:
        """Forget the samples: the recording is heard again from its start."""


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    where: str
    media: Media | None
    decode: Callable[[], Decoder]
    owned: bool = True


class AudioStream:
    """A recording that is decoded once, from start to end."""

    def __init__(
        self,
        source: _Source,
        options: AudioOptions,
        tap: Tap | None = None,
        unheard: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name, self.where = source.name, source.where
        self._source, self._options, self._tap = source, options, tap
        self._decoder = decoder = source.decode()
        try:
            check_rate(decoder.sample_rate_hz, source.where)
            self._mixer = Mixer(
                options.channel, decoder.channels, decoder.sample_rate_hz, source.where
            )
            _check_values(decoder, source.where)
        except BaseException:
            decoder.close()
            raise
        self.sample_rate_hz = decoder.sample_rate_hz
        self.channels = decoder.channels
        self._unheard = dict(unheard)
        self._gaps = GapMeter(self.sample_rate_hz)
        self._digest = hashlib.sha256(pcm_header(self.sample_rate_hz))
        self._n_frames = self._n_heard = 0
        self._exhausted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the decoder and the file."""
        self._decoder.close()
        if self._source.media is not None and self._source.owned:
            self._source.media.close()

    def blocks(self) -> Iterator[Float32Array]:
        """Yield the recording as blocks of shape (n,) float32 at 16 kHz; to be called once.

        Resampled by soxr at quality HQ.  The samples do not depend on the size of blocks.
        """
        self._check_duration(self._decoder.duration_hint_s or 0.0)
        if self.sample_rate_hz == TARGET_RATE_HZ:
            yield from self._mono()
        else:
            import soxr  # noqa: PLC0415 - 40 ms that 16 kHz recordings do without

            resampler = soxr.ResampleStream(
                self.sample_rate_hz, TARGET_RATE_HZ, 1, dtype="float32", quality="HQ"
            )
            for mono in self._mono():
                yield resampler.resample_chunk(mono)
            yield resampler.resample_chunk(np.empty(0, dtype=np.float32), last=True)
        self._exhausted = True

    @property
    def pcm_sha256(self) -> str:
        """Hash of the rate and the decoded mono samples before resampling.

        The same samples give the same hash whatever file they come in: wav or flac, mono
        or twice the same channel.
        """
        self._require_exhausted()
        return self._digest.hexdigest()

    @property
    def duration_s(self) -> float:
        """Length of the part that was heard."""
        self._require_exhausted()
        return self._n_heard / self.sample_rate_hz

    @property
    def duration_hint_s(self) -> float | None:
        """Length that the header states; None if it states none."""
        return self._decoder.duration_hint_s

    @property
    def clipping(self) -> ClippingCount:
        """Clipped samples of the channels in use, counted at the native rate."""
        self._require_exhausted()
        return self._mixer.clipping

    @property
    def truncated(self) -> bool:
        """Whether the data was corrupt, or ended early, after some audio."""
        self._require_exhausted()
        return self._decoder.truncated

    @property
    def unheard(self) -> dict[str, str]:
        """For each code of a warning, a few words on the part of the source that was not heard."""
        self._require_exhausted()
        gap_s = self._gaps.gap_s
        gap = {"gap": f"{gap_s:.1f} s of one constant value"} if gap_s else {}
        return gap | self._unheard | self._decoder.unheard

    @property
    def mixed(self) -> ChannelMeter | None:
        """The relation of the channels that were mixed; None if one channel was heard."""
        self._require_exhausted()
        return self._mixer.channels

    def again(self, channel: int, why: Mapping[str, str] = MappingProxyType({})) -> AudioStream:
        """Return the recording from its start, heard in one channel; to be closed before this one.

        ``why``: the text on what is unheard because of this; without it, the tap gets nothing.
        """
        return self._again(replace(self._options, channel=channel), why, instead=bool(why))

    def only(self, spans: Spans) -> AudioStream:
        """Return parts of the recording, heard in place of it; to be closed before this one."""
        return self._again(replace(self._options, spans=spans), {}, instead=True)

    def _again(
        self, options: AudioOptions, why: Mapping[str, str], *, instead: bool
    ) -> AudioStream:
        self._require_exhausted()
        if self._tap is not None and instead:
            self._tap.clear()
        source = replace(self._source, owned=False)
        return AudioStream(source, options, self._tap if instead else None, why)

    def _require_exhausted(self) -> None:
        if not self._exhausted:
            raise RuntimeError("blocks() was not read to its end yet")

    def _mono(self) -> Iterator[Float32Array]:
        for block in self._decoder.blocks():
            self._n_frames += len(block)
            self._check_duration(self._n_frames / self.sample_rate_hz)
            for first, part in self._in_spans(block):
                mono = self._mixer.mean(part, first)
                self._n_heard += len(mono)
                self._gaps.add(mono)
                self._digest.update(mono.astype("<f4", copy=False).data)
                if self._tap is not None:
                    self._tap.add(mono)
                yield mono
        if self._n_frames == 0 and self._source.media is not None:
            raise unreadable(self._source.media)
        if self._n_heard == 0 and self._options.spans:
            raise AudioInvalid(
                f"{self.where} is {self._n_frames / self.sample_rate_hz:.2f} s long, and the part"
                f" to hear starts at {self._options.spans[0][0]:g} s",
                hint="Choose a part within the recording.",
            )

    def _in_spans(self, block: Float32Array) -> Iterator[tuple[int, Float32Array]]:
        """Yield the first frame and the samples of each part of a block (n, channels) to hear."""
        first = self._n_frames - len(block)
        if not self._options.spans:
            yield first, block
            return
        for span in self._options.spans:
            start, end = (round(at_s * self.sample_rate_hz) - first for at_s in span)
            if end > 0 and start < len(block):
                yield first + max(start, 0), block[max(start, 0) : end]

    def _check_duration(self, duration_s: float) -> None:
        limit_s = self._options.max_duration_s
        values = duration_s * self.sample_rate_hz * self.channels
        if values > limit_s * MEAN_VALUES_A_S and duration_s <= limit_s:
            raise AudioTooLong(
                f"{self.where} has more than {limit_s * MEAN_VALUES_A_S:,.0f} samples in its"
                f" {self.channels} channels, the limit for {limit_s:g} s",
                hint="Export fewer channels, at a lower rate, or cut the recording.",
            )
        if duration_s > limit_s:
            raise AudioTooLong(
                f"{self.where} is longer than the limit of {limit_s:g} s",
                hint="Cut the recording, or raise audio.max_duration_s in config.yaml.",
            )


def pcm_header(rate_hz: int) -> bytes:
    """Return the bytes that are hashed before the samples of a recording."""
    return f"pcm float32 {rate_hz} Hz\n".encode()


def open_audio(
    source: AudioSource,
    options: AudioOptions | None = None,
    *,
    tap: Tap | None = None,
    block_values: int = BLOCK_VALUES,
) -> AudioStream:
    """Open any source; use the result in a ``with`` statement.

    An array has the shape (n,) or (n, channels).  ``tap`` receives the mono samples before they
    are resampled.  ``block_values`` (frames x channels) are decoded at once.
    """
    options = AudioOptions() if options is None else options
    if isinstance(source, tuple) and len(source) == 2:  # noqa: PLR2004
        table, rate_hz = samples_and_rate(source[0], source[1], "<array>")
        decode = partial(ArrayDecoder, table, rate_hz, block_values)
        return AudioStream(_Source("<array>", "<array>", None, decode), options, tap)
    media = open_media(source, options)
    try:
        encoded = partial(open_decoder, media, options, block_values)
        return AudioStream(_Source(media.name, media.where, media, encoded), options, tap)
    except BaseException:
        media.close()
        raise


def _check_values(decoder: Decoder, where: str) -> None:
    if decoder.channels * decoder.sample_rate_hz > MAX_VALUES_A_S:
        raise AudioTooLong(
            f"{where} has {decoder.channels} channels at {decoder.sample_rate_hz} Hz, over"
            f" the limit of {MAX_VALUES_A_S:,} samples a second in all",
            hint="Export fewer channels, or at a lower rate: 16 kHz is enough.",
        )
