"""Pure arithmetic of embeddings; they are scaled to unit length before any average."""

from __future__ import annotations

import base64
import binascii

import numpy as np

from voiceid.domain import Float32Array

_MIN_NORM = 1e-12
"""Below this length float32 cannot represent the direction of a vector."""
_MAX_NORM = float(np.finfo(np.float32).max) ** 0.5
"""Above this length the square of a length is infinite in float32, in which networks compute."""
_UNIT_TOLERANCE = 1e-3
"""Far above float32 rounding, far below any damage that matters."""


def unit(vectors: Float32Array) -> Float32Array:
    """Scale vectors (..., dim) to unit length; raises ValueError for one without a direction."""
    squares = np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64)
    norms = np.sqrt(squares)[..., None]
    if not np.all(np.isfinite(norms)) or np.any(norms < _MIN_NORM):
        raise ValueError("a vector is not finite or has zero length, so it has no direction")
    if np.any(norms > _MAX_NORM):
        raise ValueError("a vector is longer than float32 can compute with")
    scaled = np.empty(vectors.shape, dtype=np.float32)  # avoid a copy of all in float64
    np.divide(vectors, norms, out=scaled, casting="same_kind")
    return scaled


def is_unit(vectors: Float32Array) -> bool:
    """Whether vectors (..., dim) have unit length; one with a NaN does not."""
    with np.errstate(over="ignore", invalid="ignore"):  # damaged bytes make any number
        lengths = np.linalg.norm(vectors, axis=-1)
    return bool(np.all(np.abs(lengths - 1.0) < _UNIT_TOLERANCE))


def require_spread(vectors: Float32Array) -> None:
    """Raise ValueError if one component of a unit vector (..., dim) outweighs all others together.

    Then it is not of a voice: the largest component had at most .21 of the squared length in 1,376
    embeddings of four models, of read and telephone speech, meetings and digits.
    """
    if np.any(np.abs(vectors).max(axis=-1, initial=0.0) > 0.5**0.5):
        raise ValueError("one component of a vector outweighs all others: it is of no voice")


def to_base64(vector: Float32Array) -> str:
    """Return a vector (dim,) as base64 of little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def from_base64(text: str, dim: int) -> Float32Array:
    """Return the unit vector (dim,) of :func:`to_base64`; raises ValueError or TypeError."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("a vector is not base64") from error
    vector = np.frombuffer(data[: len(data) // 4 * 4], dtype="<f4")
    if len(data) != 4 * dim or not is_unit(vector):
        raise ValueError(f"a vector is not a unit vector of {dim} dimensions")
    return vector.astype(np.float32)


def cosine(a: Float32Array, b: Float32Array) -> float:
    """Return the cosine similarity, -1 to 1, of two unit vectors of shape (dim,)."""
    return float(np.clip(np.dot(a.astype(np.float64), b.astype(np.float64)), -1.0, 1.0))


def centroid(vectors: Float32Array) -> Float32Array:
    """Return the unit-length mean (dim,) of (n, dim) vectors, each brought to unit length.

    Raises `ValueError`: there are no vectors, or they cancel out.
    """
    if len(vectors) == 0:
        raise ValueError("a centroid needs at least one vector")
    return unit(unit(vectors).mean(axis=0, dtype=np.float64).astype(np.float32))
