"""What an index must do, and what it needs of the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import CentroidTable, Float32Array, Revision

Ids: TypeAlias = npt.NDArray[np.int64]


class VectorIndex(Protocol):
    """Unit vectors under ids of the caller's, searched by cosine, exactly.

    Every implementation passes the same tests, with brute force as their oracle.
    """

    def __init__(self, dim: int) -> None: ...

    def __len__(self) -> int: ...

    def add(self, ids: Ids, vectors: Float32Array) -> None:
        """Put (n, dim) vectors under (n,) different ids, in place of what was there."""

    def remove(self, ids: Ids) -> None:
        """Remove what is under these ids; ids that are not there do not matter."""

    def search(self, query: Float32Array, k: int) -> tuple[Ids, Float32Array]:
        """Return ids and cosines of the ``k`` (or all) nearest to (dim,), best first.

        Equal cosines come in the order of their ids.
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
        """Return the ids of the centroids that changed after a revision."""

    def count(self, space_id: str) -> int:
        """Return how many centroids a space has."""

    def centroids(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        """Return the centroids of a space: all, or those of ``ids`` that are left."""


def ordered(ids: Ids, scores: Float32Array, k: int) -> tuple[Ids, Float32Array]:
    """Return the ``k`` best of some hits, best first, equal scores by id."""
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]
