"""From the channels of a source to one: checked, counted, and averaged."""

from __future__ import annotations

import numpy as np

from voiceid.audio.arrays import MAX_CHANNELS
from voiceid.audio.channels import ChannelMeter
from voiceid.audio.clipping import ClippingCount, ClippingMeter
from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid, ConfigError

_MAX_PEAK = 16.0
"""24 dB over full scale; a float recording may exceed 1, integers put into floats exceed this."""


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

        - `first_frame`: the number of the first in the source, for messages.

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
                f"{place}: a sample is {value}, not a number that can be played",
                hint="Find where the samples were computed; a recorder does not write this.",
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
            hint=f"Recordings with 1 to {MAX_CHANNELS} channels are taken.",
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
            hint="Use channel mix, or one that is there (they are counted from 0).",
        )
    return [index]
