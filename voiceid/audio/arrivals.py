"""Samples that arrive piece by piece, to blocks of 16 kHz mono."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid.audio.arrays import samples_and_rate, to_float32
from voiceid.audio.mixing import ClippingCount, Mixer
from voiceid.audio.stream import TARGET_RATE_HZ
from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid

_BLOCKS_A_S = 4
"""Blocks of a second of sound that arrives at once, so that each has its own count of clipping."""


class Arrivals:
    """Brings the samples of one live source to 16 kHz mono; for one thread.

    - `channel`: as `AudioOptions` has it.
    - `where`: the source, for messages.
    """

    def __init__(self, channel: str | int, where: str) -> None:
        self._channel, self._where = channel, where
        self._kind: tuple[int, int] | None = None
        self._mixer: Mixer | None = None
        self._resampler: Any = None
        self._n_frames = 0

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the source, before resampling; 0 before its first samples."""
        return 0 if self._kind is None else self._kind[0]

    @property
    def clipping(self) -> ClippingCount:
        """Clipped samples so far."""
        return ClippingCount() if self._mixer is None else self._mixer.clipping

    def take(
        self, samples: npt.NDArray[Any], rate_hz: int
    ) -> list[tuple[Float32Array, ClippingCount]]:
        """Return the next blocks (n,) float32 at 16 kHz of samples (n,) or (n, channels).

        Each comes with the number of clipped samples up to its end.  While resampling, a few
        samples lag behind.  Raises `AudioInvalid`: they cannot be sound, or their rate or number of
        channels has changed; then none of them is used.
        """
        if np.size(samples) == 0:
            return []
        channels = 0 if self._kind is None else self._kind[1]
        table, rate_hz = samples_and_rate(samples, rate_hz, self._where, channels)
        kind = rate_hz, table.shape[1]
        if self._mixer is None or self._kind is None:
            self._mixer = Mixer(self._channel, kind[1], rate_hz, self._where)
            self._kind = kind
        if kind != self._kind:
            raise AudioInvalid(
                f"{self._where}: {kind[1]} channels at {kind[0]} Hz come after {self._kind[1]} at"
                f" {self._kind[0]} Hz",
                hint="Keep one rate and number of channels, or start a new listener.",
            )
        step = max(1, rate_hz // _BLOCKS_A_S)
        blocks = []
        for at in range(0, len(table), step):
            mono = self._mono(self._mixer, to_float32(table[at : at + step]), at)
            blocks.append((mono, self._mixer.clipping))
        self._n_frames += len(table)
        return [(self._resampled(mono, rate_hz), clipping) for mono, clipping in blocks]

    def _mono(self, mixer: Mixer, table: Float32Array, at: int) -> Float32Array:
        """Return the mean of the channels, or the louder one where the mean has no sound left."""
        mean = mixer.mean(table, self._n_frames + at)
        if mixer.channels is None or not mixer.channels.cancel:
            return mean
        return np.ascontiguousarray(table[:, mixer.channels.loudest])

    def _resampled(self, mono: Float32Array, rate_hz: int) -> Float32Array:
        if rate_hz == TARGET_RATE_HZ:
            return mono
        if self._resampler is None:
            import soxr  # noqa: PLC0415 - 40 ms that 16 kHz sources do without

            self._resampler = soxr.ResampleStream(
                rate_hz, TARGET_RATE_HZ, 1, dtype="float32", quality="HQ"
            )
        block: Float32Array = self._resampler.resample_chunk(mono)
        return block
