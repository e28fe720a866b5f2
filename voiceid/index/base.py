"""What an index must do, what it needs of the database, and what all kinds share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import CentroidTable, Float32Array, Revision

Ids: TypeAlias = npt.NDArray[np.int64]

ROUNDING = 1e-5
"""More than two ways to add up a cosine in float32 differ: a few 1e-7 at 512 components."""


class VectorIndex(Protocol):
    """Unit vectors under ids of the caller's, searched by cosine, exactly.

    Every implementation passes the same tests, with brute force as their oracle.
    """

    def __init__(self, dim: int) -> None: ...

    def __len__(self) -> int: ...

    def ids(self) -> Ids:
        """Return the ids that are there, in any order."""

    def add(self, ids: Ids, vectors: Float32Array) -> None:
        """Put (n, dim) vectors under (n,) different ids, in place of what was there.

        Raises
        ------
        ValueError
            The shapes do not fit, an id comes twice, or a number is not finite.
        """

    def remove(self, ids: Ids) -> None:
        """Remove what is under these ids; ids that are not there do not matter."""

    def search(
        self, query: Float32Array, k: int, among: Ids | None = None
    ) -> tuple[Ids, Float32Array]:
        """Return ids and cosines of the ``k`` (or all) nearest to (dim,), best first.

        Equal cosines come in the order of their ids, and equal vectors have equal cosines.
        With ``among`` only these ids are looked at; those that are not there do not matter.
        """

    def to_bytes(self) -> bytes:
        """Return what :meth:`from_bytes` makes the same index of."""

    @classmethod
    def from_bytes(cls, data: bytes, dim: int) -> Self:
        """Read :meth:`to_bytes`; raises ValueError for anything else."""


class CentroidSource(Protocol):
    """The database as an index sees it: one snapshot of it."""

    def revision(self) -> Revision:
        """Return the newest point of the change feed."""

    def has_revision(self, revision: Revision) -> bool:
        """Whether the feed passed through this very point, token and all."""

    def changes_since(self, number: int) -> list[int]:
        """Return the ids of the centroids that changed after a revision, each once."""

    def count(self, space_id: str) -> int:
        """Return how many centroids a space has."""

    def centroids(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        """Return the centroids of a space: all, or those of ``ids`` that are left."""


def checked(ids: Ids, vectors: Float32Array, dim: int) -> Float32Array:
    """Return (n, dim) vectors as C-contiguous float32; ValueError unless they may be added."""
    if ids.dtype != np.int64 or ids.ndim != 1 or vectors.shape != (len(ids), dim):
        raise ValueError(f"ids {ids.shape} and vectors {vectors.shape} do not fit {dim} dimensions")
    if len(np.unique(ids)) != len(ids):
        raise ValueError("an id comes twice")
    if not np.all(np.isfinite(vectors)):
        raise ValueError("a vector is not finite")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def ranked(
    ids: Ids, vectors: Float32Array, query: Float32Array, k: int
) -> tuple[Ids, Float32Array]:
    """Return the ``k`` best of some candidates, best first, equal cosines by id.

    The products are added up anew in float64, row by row.  Fast kernels add in an order that
    depends on a row's place, so that equal vectors get scores that differ in the last bit.
    """
    wide = np.einsum("ij,j->i", vectors.astype(np.float64), query.astype(np.float64))
    scores = wide.astype(np.float32)
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def nothing() -> tuple[Ids, Float32Array]:
    """Return the answer of a search that finds nothing."""
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)


def pack(ids: Ids, vectors: Float32Array) -> bytes:
    """Return ids and vectors as bytes: (n,) int64, then (n, dim) float32, little-endian."""
    return ids.astype("<i8").tobytes() + vectors.astype("<f4").tobytes()


def unpack(data: bytes, dim: int) -> tuple[Ids, Float32Array]:
    """Read :func:`pack`; raises ValueError when the length does not fit."""
    n, rest = divmod(len(data), 8 + 4 * dim)
    if rest:
        raise ValueError(f"{len(data)} bytes are no ids and vectors of {dim} dimensions")
    ids = np.frombuffer(data, dtype="<i8", count=n).astype(np.int64)
    vectors = np.frombuffer(data, dtype="<f4", offset=8 * n).astype(np.float32)
    return ids, vectors.reshape(n, dim)
