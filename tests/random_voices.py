"""Random points on the unit sphere in the clothes of enrolled utterances.

For the store and the index a voice is a vector like any other; real speech is for the tests
of whole paths.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from voiceid import VoiceID
from voiceid.decision.calibration import CalibratedPoint, Calibration, HeldOut
from voiceid.decision.compensation import Compensation
from voiceid.decision.transforms import fit
from voiceid.domain import (
    Embedding,
    EmbeddingSpace,
    Float32Array,
    NewSample,
    QualityReport,
    Utterance,
)
from voiceid.speech.speaker_model import SpeakerModel

DIM = 24
SPACE = EmbeddingSpace("test", DIM, "0" * 64, "none v1", "whole", "none")
OTHER_SPACE = EmbeddingSpace("test", DIM, "1" * 64, "none v1", "whole", "none")
QUALITY = QualityReport(3.5, 2.25, 31.5, 0.0, 7400.0, 16_000, -21.5, ("noisy",))

NOBODY = 65_534


def random_unit(rng: np.random.Generator, n: int | None = None) -> Float32Array:
    """Return (dim,) or (n, dim) float32 of unit length."""
    v = rng.standard_normal((n or 1, DIM))
    v = (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)
    return v if n else v[0]


def sample(
    vector: Float32Array, clip: str | None = None, space: EmbeddingSpace = SPACE
) -> NewSample:
    """Return a sample whose recording has the hash of ``clip``, or of the vector."""
    digest = hashlib.sha256(clip.encode() if clip else vector.tobytes()).hexdigest()
    return NewSample(Utterance(f"{clip or 'clip'}.wav", digest, QUALITY, Embedding(vector, space)))


def random_compensation(rng: np.random.Generator) -> Compensation:
    """Return one that removes a direction, and knows a telephone by another."""
    means = (0.1 * rng.standard_normal((2, DIM))).astype(np.float32)
    directions = [random_unit(rng)[None].astype(np.float32) for _ in range(2)]
    weights = np.append(20 * random_unit(rng), 0.5).astype(np.float32)
    return Compensation(weights, means, *directions)


def model_of(space: EmbeddingSpace, compensation: Compensation | None = None) -> SpeakerModel:
    """Return a model without files, of which no more is asked than what it makes of vectors."""
    model = object.__new__(SpeakerModel)
    vars(model).update(space=space, compensation=compensation)
    return model


def files_with(folder: Path, vector: Float32Array) -> set[str]:
    """Return the names of the files in which any eight components of a vector stand."""
    data = vector.astype("<f4").tobytes()
    return files_holding(folder, [data[i : i + 32] for i in range(0, len(data) - 31, 4)])


def files_holding(folder: Path, pieces: Sequence[bytes]) -> set[str]:
    """Return the names of the files in which any of the pieces stands.

    A piece has 7 bytes or more: sealed bytes and their base64 hold shorter ones by chance.
    """
    assert all(len(piece) >= 7 for piece in pieces)
    return {
        path.name
        for path in folder.rglob("*")
        if path.is_file()
        for content in [path.read_bytes()]
        if any(piece in content for piece in pieces)
    }


def fitted(vid: VoiceID, *, adapted: bool = True) -> int:
    """Have a calibration of some figures, and an adaptation of the same number; return it."""
    space, rng = vid.models.space, np.random.default_rng(1)
    point = CalibratedPoint(0.001, 2.0, (0.0, 0.01), 0.01, (0.0, 0.1))
    calibration = Calibration(10.0, -4.0, (), (0.0, 1.0), 1.0, (point,), 3000)
    held_out = HeldOut(10, 100, 1000, 0.01, 0.1, 0.1, {"0.01": 0.1}, {"0.01": 0.1})
    vectors = rng.standard_normal((60, space.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    transform = fit(vectors, np.repeat(np.arange(20), 3), method="wccn", shrinkage=0.5)
    with vid._session.store.write() as writer:
        number = writer.calibrations.add(space, calibration, held_out, "site", None)
        if adapted:
            assert writer.adaptations.add(space, transform, {}, "site") == number
    return number


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user whom permissions bind: for root, the user `nobody`."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
