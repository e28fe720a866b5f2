"""Who speaks when within ten seconds: the segmentation model over windows of a recording.

It knows up to three people in a window, in any order: person 1 of one window may be person 2 of the
next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Self

import numpy as np

from voiceid.domain import Float32Array
from voiceid.errors import ModelRuntimeError
from voiceid.models.providers import EngineOptions
from voiceid.models.runtime import Session
from voiceid.models.status import InstalledModel

STEP_SAMPLES, LEAST_SAMPLES = 270, 991
"""Samples between two frames (the filters, and three poolings of three), and in one frame before
the LSTM layers, at 16 kHz: 17 and 62 ms."""
SPEAKERS: Final = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.float32
)
"""(7, 3): the people in each of the seven sets of which the model gives the probability."""
WINDOW_SAMPLES = 160_000
"""10 s: the length of window that the model was trained on."""
BATCH = 8
"""Windows in one run: a quarter faster than one by one; the largest layer has 41 MB."""


class Segmenter:
    """Runs the segmentation model.  Safe to share among threads.

    - `session`: ``waveform`` (N, samples) in, ``log_probs`` (N, frames, 7) out.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    def open(cls, installed: InstalledModel, engine: EngineOptions) -> Self:
        """Load the installed model; see :meth:`voiceid.models.runtime.Session.open`."""
        session = Session.open(
            installed.path,
            inputs={"waveform": 2},
            outputs=["log_probs"],
            sha256=installed.sha256,
            engine=engine,
        )
        return cls(session)

    @staticmethod
    def frames(n_samples: int) -> int:
        """Return how many frames there are in so many samples."""
        return max(0, 1 + (n_samples - LEAST_SAMPLES) // STEP_SAMPLES)

    def windows(self, samples: Float32Array) -> Iterator[tuple[int, Float32Array]]:
        """Yield the first frame of each window, and its log probabilities (frames, 7).

        `samples` (n,) at 16 kHz; frame i starts at sample 270 i.  Windows are as few as possible,
        all of one length; the last may overlap the one before it by a few frames.  Fewer than 991
        samples yield nothing.  Raises `ModelRuntimeError`.
        """
        n_frames = self.frames(len(samples))
        count = -(-n_frames // self.frames(WINDOW_SAMPLES))
        size = -(-n_frames // max(1, count))
        starts = [min(at * size, n_frames - size) for at in range(count)]
        n_samples = (size - 1) * STEP_SAMPLES + LEAST_SAMPLES
        for at in range(0, count, BATCH):
            some = starts[at : at + BATCH]
            cut = [samples[first * STEP_SAMPLES :][:n_samples] for first in some]
            yield from zip(some, self.log_probabilities(np.stack(cut)), strict=True)

    def log_probabilities(self, windows: Float32Array) -> Float32Array:
        """Return the log probabilities (n, frames, 7) of windows (n, samples) of one length.

        Raises `ModelRuntimeError`.
        """
        [log_probs] = self._session.run({"waveform": windows})
        if not np.all(np.isfinite(log_probs)):
            raise ModelRuntimeError(
                "the segmentation model gave a value that is not a probability",
                hint="Run `voiceid models verify segmentation`.",
            )
        return log_probs
