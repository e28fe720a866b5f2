"""The encoder: speech in, unit-length embedding out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voiceid.domain import EmbeddingSpace, Float32Array
from voiceid.errors import AudioInvalid, ModelRuntimeError, NotEnoughSpeech
from voiceid.models.providers import EngineOptions
from voiceid.models.runtime import Session

MIN_SAMPLES = 1600
"""0.1 s at 16 kHz: under a few frames, statistics over time do not exist."""

_MAX_PEAK = 1e6
"""No recording is 120 dB over full scale; far beyond it the powers of a spectrum overflow."""

_UNIT_TOLERANCE = 1e-3
"""float32 rounding over a few hundred components stays far below this."""


class Encoder:
    """Embeds speech.  Safe to share among threads.

    - `session`: a graph with ``waveform`` (N, samples) in and ``embedding`` (N, dim) out.
    - `space`: of its embeddings.
    """

    def __init__(self, session: Session, space: EmbeddingSpace) -> None:
        self._session = session
        self.space = space
        self.min_samples = MIN_SAMPLES

    @classmethod
    def open(
        cls, path: Path, sha256: str, space: EmbeddingSpace, engine: EngineOptions = EngineOptions()
    ) -> Encoder:
        """Load an installed encoder; see :meth:`voiceid.models.runtime.Session.open`."""
        session = Session.open(
            path, inputs={"waveform": 2}, outputs=["embedding"], sha256=sha256, engine=engine
        )
        return cls(session, space)

    def embed(self, samples: Float32Array) -> Float32Array:
        """Return the embedding (dim,), unit length, of (n,) samples at 16 kHz, -1 to 1.

        Raises `NotEnoughSpeech`: fewer than ``min_samples`` samples; `AudioInvalid`: a sample is
        not finite, or absurdly large; `ModelRuntimeError`: the engine failed, or the vector is not
        one of unit length.
        """
        if len(samples) < self.min_samples:
            raise NotEnoughSpeech(
                f"{len(samples)} samples of speech are too few for an embedding",
                hint=f"{self.min_samples} at 16 kHz are the least that the network takes.",
            )
        if not float(np.max(np.abs(samples))) <= _MAX_PEAK:  # NaN is not
            # A saturating network would turn even this into a vector of unit length.
            raise AudioInvalid("the samples are not finite, or absurdly large")
        [vectors] = self._session.run({"waveform": samples[None].astype(np.float32, copy=False)})
        length = float(np.linalg.norm(vectors))
        if vectors.shape != (1, self.space.dim) or not abs(length - 1.0) < _UNIT_TOLERANCE:
            raise ModelRuntimeError(
                f"{self.space.model} gave a vector of shape {vectors.shape} and length {length}",
                hint=f"Run `voiceid models verify {self.space.model}`.",
            )
        vector: Float32Array = vectors[0]
        vector.flags.writeable = False
        return vector
