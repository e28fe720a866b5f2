"""Samples on flat tops at full scale, counted while the audio streams by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array

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
        if starts[0] == 0:  # goes on from the block before
            lengths[0] += carried
            counted_before = carried if carried >= _CLIP_RUN else 0
        if edges[-1] == len(high):
            self._run = int(lengths[-1])
        return int(lengths[lengths >= _CLIP_RUN].sum()) - counted_before
