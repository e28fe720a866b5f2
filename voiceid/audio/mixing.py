"""From the channels of a source to one: checked, measured, and averaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voiceid.audio.arrays import MAX_CHANNELS
from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid, ConfigError

_MAX_PEAK = 16.0
"""24 dB over full scale; a float recording may exceed 1, integers put into floats exceed this."""

_CANCELLED = 0.25
"""A mix with less than this share of the power of unrelated channels (-6 dB) has lost its sound:
the mix of two inverse channels is silent."""

_FAINT = 10**-3.5
"""A channel 35 dB below the loudest has nothing but crosstalk."""

_NEARLY_THE_SAME = 0.9
"""Correlation, 0 to 1, from which two channels are taken as one signal."""

_MOST_DISTINCT = 8
"""At most this many channels are compared; a microphone array has more, all alike."""

_CLIP_LEVEL = 0.99
"""Of full scale; encoders and converters do not all reach the last step."""

_CLIP_RUN = 3
"""Consecutive samples at full scale that make an "over", as digital level meters count
(the convention goes back to Sony's PCM-1630); one or two may be a peak that just fits."""


@dataclass(frozen=True, slots=True)
class ClippingCount:
    """Samples on flat tops at full scale, and all samples."""

    clipped_samples: int = 0
    total_samples: int = 0

    @property
    def fraction(self) -> float:
        """Share of clipped samples, 0 to 1."""
        return self.clipped_samples / self.total_samples if self.total_samples else 0.0


class ClippingMeter:
    """Counts the samples in runs of three and more at 0.99 of full scale and above."""

    def __init__(self) -> None:
        self.count = ClippingCount()
        self._run = 0

    def add(self, samples: Float32Array, peak: float | None = None) -> None:
        """Count a block (n,) of one channel, -1 to 1; ``peak`` is its largest magnitude."""
        if len(samples) == 0:
            return
        clipped = 0
        if peak is not None and peak < _CLIP_LEVEL:
            self._run = 0
        else:
            clipped = self._clipped(np.abs(samples) >= _CLIP_LEVEL)
        self.count = ClippingCount(
            self.count.clipped_samples + clipped, self.count.total_samples + len(samples)
        )

    def _clipped(self, high: npt.NDArray[np.bool_]) -> int:
        edges = np.flatnonzero(np.diff(np.concatenate(([False], high, [False]))))
        starts, lengths = edges[::2], edges[1::2] - edges[::2]
        carried = self._run
        self._run = 0
        if len(starts) == 0:
            return 0
        counted_before = 0
        if starts[0] == 0:  # continues a run of the block before
            lengths[0] += carried
            counted_before = carried if carried >= _CLIP_RUN else 0
        if edges[-1] == len(high):
            self._run = int(lengths[-1])
        return int(lengths[lengths >= _CLIP_RUN].sum()) - counted_before


class ChannelMeter:
    """Adds up the products of the channels with each other."""

    def __init__(self, n_channels: int) -> None:
        self._products = np.zeros((n_channels, n_channels))

    def add(self, block: Float32Array) -> None:
        """Take a block (n, channels)."""
        self._products += block.T @ block

    @property
    def loudest(self) -> int:
        """The channel with the most power."""
        return int(np.argmax(np.diag(self._products)))

    @property
    def cancel(self) -> bool:
        """Whether the channels cancel each other in their mean."""
        apart = float(np.trace(self._products))
        return float(self._products.sum()) < _CANCELLED * apart

    def distinct(self) -> list[int]:
        """Return the channels that are neither faint nor nearly equal to a louder one."""
        power = np.diag(self._products)
        chosen: list[int] = []
        for channel in map(int, np.argsort(-power, kind="stable")):
            related = np.abs(self._products[channel, chosen])
            unlike = related < _NEARLY_THE_SAME * np.sqrt(power[channel] * power[chosen])
            if power[channel] > _FAINT * power.max() and unlike.all():
                chosen.append(channel)
        return chosen[:_MOST_DISTINCT]


class GapMeter:
    """Finds one piece of a constant value in a recording that is noisy around it.

    There the bytes of a copy are missing, or the microphone was muted.  Gates and editors leave
    several such pieces, begin or fade with one, or leave a short one.
    """

    def __init__(self, rate_hz: int) -> None:
        self._n_frame = max(1, rate_hz // _FRAMES_A_S)
        self._rest = np.empty(0, np.float32)
        self._extremes = [np.empty((0, 2), np.float32)]

    def add(self, samples: Float32Array) -> None:
        """Take (n,) samples."""
        samples = np.concatenate([self._rest, samples])
        frames = samples[: len(samples) // self._n_frame * self._n_frame]
        self._rest = samples[len(frames) :]
        frames = frames.reshape(-1, self._n_frame)
        self._extremes.append(np.stack([frames.min(axis=1), frames.max(axis=1)], axis=1))

    @property
    def gap_s(self) -> float:
        """Length of the piece; 0 if there is none."""
        least, most = np.concatenate(self._extremes).T
        spread = most - least
        edges = np.flatnonzero(np.diff(np.concatenate(([False], spread == 0, [False]))))
        start, end = max(
            edges.reshape(-1, 2).tolist(), key=lambda run: run[1] - run[0], default=(0, 0)
        )
        gap_s = (end - start) / _FRAMES_A_S
        if gap_s < _MIN_GAP_S or start <= _NEAR:
            return 0.0
        n_alike = int(((spread == 0) & (least == least[start])).sum())
        around = np.concatenate([spread[: start - _NEAR], spread[end:]])
        is_faded = spread[start - _NEAR : start].max() < around.min(
            where=around > 0, initial=np.inf
        )
        return 0.0 if is_faded or n_alike - (end - start) > _NEAR else gap_s


_FRAMES_A_S, _NEAR = 50, 3
"""Frames of 20 ms; so many before the piece may be alike, and tell its level before."""

_MIN_GAP_S = 1.0
"""None of 5470 recordings of nine collections has such a piece; 6 of 4309 have one of 0.5 s."""


class Mixer:
    """Averages the channels of one source that are in use; for one thread.

    - `channel`: ``mix`` (mean of all), ``left``, ``right``, or counted from 0.
    - `where`: the source, for messages.

    Raises `AudioInvalid`: there is no such channel, or there are too many; `ConfigError`.
    """

    def __init__(self, channel: str | int, n_channels: int, rate_hz: int, where: str) -> None:
        self._columns = _columns(channel, n_channels, where)
        self._rate_hz, self._where = rate_hz, where
        self._meters = [ClippingMeter() for _ in self._columns]
        self.channels = ChannelMeter(n_channels) if len(self._columns) > 1 else None

    @property
    def clipping(self) -> ClippingCount:
        """Clipped samples of the channels in use, counted at the native rate."""
        return ClippingCount(
            sum(meter.count.clipped_samples for meter in self._meters),
            sum(meter.count.total_samples for meter in self._meters),
        )

    def mean(self, block: Float32Array, first_frame: int) -> Float32Array:
        """Return the mean (n,) of the channels in use of a block (n, channels).

        - `first_frame`: the number of its first frame in the source, for messages.

        Raises `AudioInvalid`: a sample is not finite, or far over full scale.
        """
        total: Float32Array | None = None
        for column, meter in zip(self._columns, self._meters, strict=True):
            samples = np.ascontiguousarray(block[:, column])
            peak = max(float(samples.max()), -float(samples.min())) if len(samples) else 0.0
            if not peak <= _MAX_PEAK:  # NaN compares false
                raise self._invalid(samples, column, first_frame)
            meter.add(samples, peak)
            total = samples if total is None else total + samples
        if total is None:
            raise RuntimeError("a source has at least one channel")
        if self.channels is not None:
            self.channels.add(block)
        # Adding 0 turns -0 into 0, which is the same sound and must have the same hash.
        return total / np.float32(len(self._columns)) + np.float32(0)

    def _invalid(self, samples: Float32Array, column: int, first_frame: int) -> AudioInvalid:
        worst = int(np.argmax(~(np.abs(samples) <= _MAX_PEAK)))
        value = float(samples[worst])
        at_s = (first_frame + worst) / self._rate_hz
        place = f"{self._where}, channel {column}, at {at_s:.3f} s"
        if not np.isfinite(value):
            return AudioInvalid(
                f"{place}: a sample is {value}, which is not a finite number",
                hint="Correct what computed the samples; a recorder does not write this.",
            )
        return AudioInvalid(
            f"{place}: a sample is {value:g}, but full scale is -1 to 1",
            hint="Divide integer samples by their full scale, or pass them as int16 or int32.",
        )


def _columns(channel: str | int, n_channels: int, where: str) -> list[int]:
    """Return the indices of the channels that are in use."""
    if not 0 < n_channels <= MAX_CHANNELS:
        raise AudioInvalid(
            f"{where} has {n_channels} channels",
            hint=f"Use a recording with 1 to {MAX_CHANNELS} channels.",
        )
    if channel == "mix":
        return list(range(n_channels))
    index = {"left": 0, "right": 1}.get(channel, -1) if isinstance(channel, str) else channel
    if index < 0:
        raise ConfigError(
            f"{channel!r} is not a channel", hint="Use mix, left, right, or a number from 0."
        )
    if index >= n_channels:
        count = "1 channel" if n_channels == 1 else f"{n_channels} channels"
        raise AudioInvalid(
            f"{where} has {count}, so there is no channel {channel}",
            hint="Use mix, or a channel that exists (counted from 0).",
        )
    return [index]
