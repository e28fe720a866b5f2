"""Removal of the effect of line and microphone from a model's embeddings.  Pure.

A telephone moves the embeddings of all speakers the same way. The embedding itself shows whether it
came over one, so the mean of its line is subtracted: no measurement of the audio switches between
the two, so noise cannot switch them. Then those directions are removed in which one speaker's
embeddings differ most between lines, rooms and noises (nuisance attribute projection: Solomonoff,
Campbell and Boardman, ICASSP 2005). A telephone has its own directions: they also hold information
about the speaker, which wideband speech keeps. A compensation is learned once for a model, from
recordings that were sent through such lines, and stored beside its card.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from voiceid.decision.embeddings import unit
from voiceid.domain import Embedding, EmbeddingSpace, Float32Array

MOST_BYTES = 16 << 20
"""Limit of a file and of its contents: 1024 directions of 1024 components take 4.2 MB."""
_DAMAGE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""Errors of reading bytes that are not a compensation, beside ValueError."""


@dataclass(frozen=True, eq=False)  # no slots: the digest is computed once
class Compensation:
    """A map of embeddings: minus the mean of the line, minus some directions, to unit length.

    Parameters
    ----------
    weights : (dim + 1,) float32
        ``weights[:-1] @ embedding + weights[-1]`` are the log odds that the speech came over a
        telephone.
    means : (2, dim) float32
        The mean embedding of wideband speech, and of a telephone's.
    wideband_directions, telephone_directions : (k, dim) float32
        The directions removed from each: unit length, orthogonal; may be none.
    """

    weights: Float32Array
    means: Float32Array
    wideband_directions: Float32Array
    telephone_directions: Float32Array

    @property
    def dim(self) -> int:
        """Components of an embedding, before and after."""
        return int(self.means.shape[-1])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the numbers, 64 hex digits: its part of an embedding space's identity."""
        parts = (getattr(self, field.name).astype("<f4").tobytes() for field in fields(self))
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def telephone(self, vectors: Float32Array) -> Float32Array:
        """Return the posterior (...,) of a telephone for embeddings (..., dim) of unit length."""
        odds = vectors @ self.weights[:-1] + self.weights[-1]
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds), dtype=np.float32)

    def apply(self, vectors: Float32Array) -> Float32Array:
        """Return the embeddings (..., dim), of unit length, of a model's embeddings (..., dim).

        Raises `ValueError`: other components, or a vector that has no direction here.
        """
        if vectors.shape[-1:] != (self.dim,):
            raise ValueError(f"a compensation of {self.dim} components, not of {vectors.shape}")
        vectors = unit(vectors)
        share = self.telephone(vectors)[..., None]
        moved = vectors - (1.0 - share) * self.means[0] - share * self.means[1]
        wideband = _projection(moved, self.wideband_directions)
        telephone = _projection(moved, self.telephone_directions)
        left = moved - wideband - share * (telephone - wideband)
        return unit(np.asarray(left, np.float32))

    def embedding(self, vector: Float32Array, space: EmbeddingSpace) -> Embedding:
        """Return the embedding in ``space`` of a model's embedding (dim,) of unit length."""
        return self.embeddings(vector[None], space)[0]

    def embeddings(self, vectors: Float32Array, space: EmbeddingSpace) -> list[Embedding]:
        """Return the embeddings in ``space`` of a model's embeddings (n, dim) of unit length."""
        both = zip(self.apply(vectors), self.telephone(vectors).tolist(), strict=True)
        return [Embedding(vector, space, telephone) for vector, telephone in both]

    def to_bytes(self) -> bytes:
        """Return an archive of NumPy arrays."""
        file = io.BytesIO()
        arrays = {field.name: getattr(self, field.name).astype("<f4") for field in fields(self)}
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Compensation:
        """Return the compensation of `to_bytes`; raises ValueError for anything else."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                sizes = [member.file_size for member in archive.infolist()]
            if len(data) > MOST_BYTES or sum(sizes) > MOST_BYTES:
                raise ValueError(f"it is larger than {MOST_BYTES} bytes")
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                parts = {f.name: np.asarray(arrays[f.name], np.float32) for f in fields(cls)}
        except _DAMAGE as error:
            raise ValueError("the bytes are not a compensation") from error
        compensation = cls(**parts)
        compensation._require_sound()
        return compensation

    def _require_sound(self) -> None:
        dim, both = self.dim, (self.wideband_directions, self.telephone_directions)
        fits = self.weights.shape == (dim + 1,) and self.means.shape == (2, dim)
        if not fits or any(part.shape[1:] != (dim,) for part in both):
            raise ValueError("the arrays of a compensation do not fit each other")
        if not all(np.isfinite(getattr(self, field.name)).all() for field in fields(self)):
            raise ValueError("a number of a compensation is not finite")
        if not all(np.allclose(part @ part.T, np.eye(len(part)), atol=1e-3) for part in both):
            raise ValueError("the directions of a compensation are not orthogonal")


def _projection(vectors: Float32Array, directions: Float32Array) -> Float32Array:
    """Return the part (..., dim) of vectors (..., dim) that lies in directions (k, dim)."""
    return np.asarray(vectors @ directions.T @ directions)
