"""The encoder: speech in, unit-length embedding out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from voiceid.decision.aims import Target
from voiceid.decision.calibration import Conditions
from voiceid.decision.compensation import Compensation
from voiceid.decision.embeddings import centroid, cosine, unit
from voiceid.decision.operating_points import thresholds_at
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Condition, Embedding, EmbeddingSpace, Float32Array, Utterance
from voiceid.errors import AudioInvalid, ModelRuntimeError, NotEnoughSpeech, ThresholdUnavailable
from voiceid.models.frontends import FrontEnd, front_ends
from voiceid.models.providers import EngineOptions
from voiceid.models.runtime import Session
from voiceid.speech.pooling import Part, Pooling, chosen, one_thread_for_numpy

_MAX_PEAK = 1e6
"""No recording is 120 dB over full scale; far above it the powers of a spectrum overflow."""

_CHANNEL_FMR = 0.01
"""Two channels are one voice if they reach the threshold of this FMR (CAM++: .361).  A recording of
LibriSpeech and its copy through noise, rooms, clipping or 8 kHz, 2.5 s or whole, did in 311 of 311
cases (at least .63); of 45 pairs of people none did; with crosstalk of -20 dB 1, of -12 dB 4."""

_UNIT_TOLERANCE = 1e-3
"""float32 rounding over a few hundred components stays far below this."""


class Encoder:
    """Embeds speech.  Safe to share among threads.

    - `session`: a graph with ``waveform`` (N, samples) in and ``embedding`` (N, dim) out; with
      ``frames`` (N, channels, m) and ``projection`` (dim, 2 channels + 1) as well, parts of its
      input are embedded at little cost.
    - `space`: the space of its embeddings.
    - `rule`: has the operating points of the model's card.
    - `compensation`: applied to the embeddings; None: they are as the network makes them.
    """

    def __init__(
        self,
        session: Session,
        space: EmbeddingSpace,
        rule: DecisionRule | None = None,
        compensation: Compensation | None = None,
    ) -> None:
        self._session = session
        self._rule = rule
        self._compensation = compensation
        self.space = space
        front_end = front_ends().get(space.frontend, FrontEnd("waveform"))
        self.min_samples, self._max_samples = front_end.samples

    @classmethod
    def open(
        cls,
        path: Path,
        sha256: str,
        space: EmbeddingSpace,
        engine: EngineOptions = EngineOptions(),
        rule: DecisionRule | None = None,
        compensation: Compensation | None = None,
    ) -> Encoder:
        """Load an installed encoder; see :meth:`voiceid.models.runtime.Session.open`."""
        one_thread_for_numpy()
        session = Session.open(
            path, inputs={"waveform": 2}, outputs=["embedding"], sha256=sha256, engine=engine
        )
        return cls(session, space, rule, compensation)

    @property
    def raw(self) -> Encoder:
        """The same encoder, without compensation of its embeddings."""
        return Encoder(self._session, self.space.raw, self._rule)

    @property
    def makes_frames(self) -> bool:
        """Whether it embeds parts of its input from its frames, without another run."""
        return self._session.gives("frames") and self._session.gives("projection")

    def embed(self, samples: Float32Array) -> Embedding:
        """Return the embedding of (n,) samples at 16 kHz, -1 to 1.

        Speech that is too long for one run is cut into equal parts, whose vectors are averaged.

        Raises `NotEnoughSpeech`: fewer than ``min_samples`` samples; `AudioInvalid`: a sample is
        not finite, or absurdly large; `ModelRuntimeError`: the engine failed, or the vector is not
        one of unit length.
        """
        return self.encode(samples)[0]

    def encode(self, samples: Float32Array) -> tuple[Embedding, Float32Array | None]:
        """Return the embedding of :meth:`embed`, and the frames (channels, m) behind it.

        The frames are None if the encoder makes none, or the speech was cut.
        """
        self._require_speech(samples)
        parts = np.array_split(samples, -(-len(samples) // self._max_samples))
        heard = [self._heard(part) for part in parts]
        if len(heard) == 1:
            [(vector, frames)] = heard
        else:
            vector, frames = unit(np.mean([vector for vector, _ in heard], axis=0)), None
        return self._embeddings(vector[None])[0], frames

    def embed_parts(
        self, samples: Float32Array, frames: Float32Array | None, parts: Sequence[Part]
    ) -> list[Embedding]:
        """Return the embeddings of parts of (n,) samples, each of ``min_samples`` at least.

        - `frames`: those that :meth:`encode` made of the samples; None: each part is encoded.

        Raises as :meth:`embed`.
        """
        if frames is None or not parts:
            joined = (np.concatenate([samples[start:end] for start, end in part]) for part in parts)
            return [self.embed(part) for part in joined]
        return self.embed_frames(frames, len(samples), parts)

    def embed_frames(
        self, frames: Float32Array, n_samples: int, parts: Sequence[Part]
    ) -> list[Embedding]:
        """Return the embeddings of parts of so many samples, from what :meth:`encode` made of them.

        Raises `NotEnoughSpeech`.
        """
        which = chosen(parts, n_samples, frames.shape[1])
        if which.sum(axis=1).min() < 2:  # noqa: PLR2004 - one has no deviation
            raise NotEnoughSpeech("a part of the speech is too short for an embedding")
        return self._embeddings(self._pooling.vectors(frames, which))

    def _require_speech(self, samples: Float32Array) -> None:
        if len(samples) < self.min_samples:
            raise NotEnoughSpeech(
                f"{len(samples)} samples of speech are not enough for an embedding",
                hint=f"The network needs at least {self.min_samples} samples at 16 kHz.",
            )
        if not float(np.max(np.abs(samples))) <= _MAX_PEAK:  # NaN is not
            # A saturating network would turn even this into a vector of unit length.
            raise AudioInvalid("the samples are not finite, or absurdly large")

    def _embeddings(self, vectors: Float32Array) -> list[Embedding]:
        """Return the embeddings, read-only, of vectors (n, dim) as the network makes them."""
        embeddings = [Embedding(vector, self.space) for vector in vectors]
        if self._compensation is not None:
            embeddings = self._compensation.embeddings(vectors, self.space)
        for embedding in embeddings:
            embedding.vector.flags.writeable = False
        return embeddings

    def _heard(self, samples: Float32Array) -> tuple[Float32Array, Float32Array | None]:
        """Return the vector of the samples, and the frames or None."""
        feeds = {"waveform": samples[None].astype(np.float32, copy=False)}
        outputs = ["embedding", "frames"] if self.makes_frames else ["embedding"]
        vectors, *frames = self._session.run(feeds, outputs)
        length = float(np.linalg.norm(vectors))
        if vectors.shape != (1, self.space.dim) or not abs(length - 1.0) < _UNIT_TOLERANCE:
            raise ModelRuntimeError(
                f"{self.space.model} gave a vector of shape {vectors.shape} and length {length}",
                hint=f"Run `voiceid models verify {self.space.model}`.",
            )
        return vectors[0], frames[0][0] if frames else None

    @cached_property
    def _pooling(self) -> Pooling:
        silence = np.zeros((1, self.min_samples), np.float32)
        projection = self._session.run({"waveform": silence}, ["projection"])[0]
        return Pooling(projection)

    def parts_agree(
        self, left: Sequence[Embedding], right: Sequence[Embedding], net_speech_s: float, fmr: float
    ) -> bool:
        """Return whether two sides of one clip, embedded in windows, reach the card's threshold.

        True if the card has no threshold, or a side is empty.

        - `net_speech_s`: the net speech of the shorter side.
        - `fmr`: the false match rate of the threshold.
        """
        if self._rule is None or not (left and right):
            return True
        # One clip has one line: a telephone that makes voices alike does not raise the threshold.
        conditions = Conditions.of(Condition(net_speech_s, None, net_speech_s, 1, telephone=0.0))
        [threshold] = thresholds_at(self._rule.points, fmr, conditions).tolist()
        means = (centroid(np.stack([part.vector for part in side])) for side in (left, right))
        return math.isnan(threshold) or cosine(*means) >= threshold

    def may_be_one_voice(self, utterance: Utterance, other: Utterance) -> bool:
        """Return whether two utterances of one time and place may be one voice.

        They may not if their cosine is below the card's threshold for `_CHANNEL_FMR`.  True if the
        card has no threshold, or an utterance has no embedding.
        """
        if self._rule is None or utterance.embedding is None or other.embedding is None:
            return True
        try:
            threshold = self._rule.aimed(Target(_CHANNEL_FMR)).threshold(
                Condition.of_two(utterance.quality, other.quality)
            )
        except ThresholdUnavailable:
            return True
        score = cosine(utterance.embedding.vector, other.embedding.vector)
        return score >= threshold.value
