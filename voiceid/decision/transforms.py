"""Fit a transform of embeddings to those of known speakers; write it and read it.

It subtracts the mean of the speakers' means, moved towards zero by its uncertainty (James and
Stein, 1961, positive part), and multiplies by the inverse square root of the within-class
covariance (Hatch, Kajarekar and Stolcke, Interspeech 2006), ``(1 - s) W + s tr(W) / dim I``.
Every speaker weighs the same in both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array

METHODS: Final = ("none", "centring", "wccn")

_MIN_VARIANCE: Final = 1e-6
"""Least share of the mean variance within speakers that float32 vectors can show."""

_DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors of reading bytes that are not a transform."""

_MAGIC: Final = b"voiceid transform 1\n"

Floats: TypeAlias = npt.NDArray[np.float64]
Ids: TypeAlias = npt.NDArray[np.intp]
Names: TypeAlias = Sequence[Any] | npt.NDArray[Any]
"""One label for each vector: text or numbers, compared for equality only."""


class AdaptationRefused(ValueError):
    """There are too few speakers or samples to learn from, or to measure with."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to fit: one of `METHODS`, and the shrinkage (0 to 1) of WCCN."""

    method: str
    shrinkage: float = 1.0

    def __post_init__(self) -> None:
        if self.method not in METHODS or not 0.0 <= self.shrinkage <= 1.0:
            raise ValueError(f"there is no method {self.method} with shrinkage {self.shrinkage}")

    def __str__(self) -> str:
        return f"{self.method} {self.shrinkage:g}" if self.method == "wccn" else self.method


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A map of embeddings: minus `mean` (dim,), times `matrix` (dim, dim), to unit length.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    shrinkage : float
        0 to 1; 1 unless the method is ``wccn``.
    n_speakers, n_samples : int
        What it was fitted to.
    """

    method: str
    shrinkage: float
    n_speakers: int
    n_samples: int
    mean: Float32Array
    matrix: Float32Array

    @property
    def dim(self) -> int:
        """Components of a vector, before and after."""
        return len(self.mean)

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, 64 hex digits: its part of an embedding space's identity."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def apply(self, vectors: Float32Array) -> Float32Array:
        """Return its embeddings (..., dim), of unit length; ValueError: the vectors do not fit."""
        if vectors.shape[-1:] != (self.dim,):
            raise ValueError(f"a transform of {self.dim} components, not of {vectors.shape}")
        moved = (vectors.astype(np.float64) - self.mean) @ self.matrix
        return unit(moved.astype(np.float32))

    def to_bytes(self) -> bytes:
        """Return a line of name, a line of JSON, and little-endian float32: see `from_bytes`."""
        facts = {
            "method": self.method,
            "shrinkage": self.shrinkage,
            "n_speakers": self.n_speakers,
            "n_samples": self.n_samples,
            "dim": self.dim,
        }
        numbers = [part.astype("<f4").tobytes() for part in (self.mean, self.matrix)]
        return b"".join([_MAGIC, json.dumps(facts).encode("ascii"), b"\n", *numbers])

    @classmethod
    def from_bytes(cls, data: bytes) -> Transform:
        """Return the transform that `to_bytes` wrote; raises ValueError for damage."""
        head, _, body = data.removeprefix(_MAGIC).partition(b"\n")
        try:
            facts = json.loads(head)
            dim = facts.pop("dim")
            Candidate(facts["method"], facts["shrinkage"])
            numbers = np.frombuffer(body, dtype="<f4").astype(np.float32)
            mean, matrix = numbers[:dim], numbers[dim:].reshape(dim, dim)
            transform = cls(**facts, mean=mean, matrix=matrix)
        except _DAMAGE as error:
            raise ValueError("the bytes are not a transform") from error
        if not np.all(np.isfinite(numbers)) or transform.to_bytes() != data:
            raise ValueError("the bytes of a transform are damaged")
        return transform


def fit(
    vectors: Float32Array, speakers: Names, *, method: str, shrinkage: float = 1.0
) -> Transform:
    """Fit a transform to embeddings (n, dim), brought to unit length, of known speakers (n,).

    - `method`: ``none``; ``centring``: less the mean; ``wccn``: centring, and the inverse square
      root of the within-class covariance, shrunk by 0 to 1.

    Raises `AdaptationRefused`: no speaker has two samples that differ, or there is no inverse;
    `ValueError`: another method, or a vector without direction.
    """
    return Moments.of(unit(vectors), numbered(speakers)).fit(Candidate(method, shrinkage))


def numbered(names: Names) -> Ids:
    """Return the number (n,) of each name, in the order of the names."""
    return np.unique(np.asarray(names), return_inverse=True)[1]


@dataclass(frozen=True)
class Moments:
    """Sums over speakers, which add: of means, their squared lengths, and covariances."""

    n_speakers: int
    n_samples: int
    means: Floats
    squares: float
    covariances: Floats

    @classmethod
    def of(cls, vectors: Float32Array, who: Ids) -> Moments:
        """Return the moments of (n, dim) vectors of the speakers (n,), numbered in any way."""
        order = np.argsort(who, kind="stable")
        starts = np.flatnonzero(np.diff(who[order], prepend=-1))
        counts = np.diff(starts, append=len(order))
        rows = vectors[order].astype(np.float64)
        means = np.add.reduceat(rows, starts, axis=0) / counts[:, None]
        rows -= np.repeat(means, counts, axis=0)
        rows *= np.repeat(1.0 / np.sqrt(np.maximum(counts - 1, 1)), counts)[:, None]
        return cls(
            n_speakers=len(starts),
            n_samples=len(rows),
            means=np.sum(means, axis=0),
            squares=float(np.sum(means**2)),
            covariances=rows.T @ rows,
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.n_speakers + other.n_speakers,
            self.n_samples + other.n_samples,
            self.means + other.means,
            self.squares + other.squares,
            self.covariances + other.covariances,
        )

    @cached_property
    def mean(self) -> Floats:
        """(dim,) mean of the speakers' means, shrunk by its own uncertainty."""
        mean = self.means / self.n_speakers
        length = float(mean @ mean)
        if self.n_speakers == 1 or length == 0.0:
            return np.zeros_like(mean)
        spread = self.squares / self.n_speakers - length
        return np.asarray(mean * max(0.0, 1.0 - spread / (self.n_speakers - 1) / length))

    @cached_property
    def axes(self) -> tuple[Floats, Floats]:
        """(dim,) variances within speakers, mean 1, and their axes (dim, dim) as columns."""
        total = float(np.trace(self.covariances))
        if total <= 0.0:
            raise AdaptationRefused("no speaker has two samples that differ")
        variances, axes = np.linalg.eigh(self.covariances * (len(self.means) / total))
        return np.maximum(variances, 0.0), axes

    def fit(self, candidate: Candidate) -> Transform:
        """Return the transform; see `fit`."""
        dim = len(self.means)
        mean, matrix = self.mean, np.eye(dim)
        if candidate.method == "none":
            mean = np.zeros(dim)
        elif candidate.method == "wccn":
            variances, axes = self.axes
            shrunk = (1.0 - candidate.shrinkage) * variances + candidate.shrinkage
            if shrunk[0] < _MIN_VARIANCE:
                raise AdaptationRefused(
                    f"{self.n_samples} samples of {self.n_speakers} speakers do not span"
                    f" {dim} dimensions: the shrinkage must be above 0"
                )
            matrix = axes / np.sqrt(shrunk) @ axes.T
        return Transform(
            method=candidate.method,
            shrinkage=candidate.shrinkage if candidate.method == "wccn" else 1.0,
            n_speakers=self.n_speakers,
            n_samples=self.n_samples,
            mean=mean.astype(np.float32),
            matrix=matrix.astype(np.float32),
        )
