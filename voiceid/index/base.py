"""What an index must do, what it needs of the database, and what all kinds share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    """The database as a gallery sees it: one snapshot of it."""

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

    def group(self, name: str, space_id: str) -> list[int]:
        """Return the ids of the centroids in a space of the members of a group."""


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The index file of a space against the database.

    Parameters
    ----------
    space : str
        Id of the embedding space.
    kind : str
        ``faiss`` or ``exact``.
    path : str
    state : str
        ``current``, ``behind`` (the next search catches up), ``missing`` or ``damaged``
        (the next search makes it anew).
    vectors, enrolled : int or None
        Speakers in the file (None: it cannot be told), and in the database.
    revision, database_revision : int or None
        Of the change feed: what the file has seen, and what there is.
    """

    space: str
    kind: str
    path: str
    state: str
    vectors: int | None
    enrolled: int
    revision: int | None
    database_revision: int


class Gallery(Protocol):
    """The searchable centroids of one embedding space, in step with every snapshot it is asked of.

    Safe to share among threads.
    """

    def prepare(self) -> None:
        """Load what a search needs in the background, when the caller has other work first."""

    def search(
        self, reader: CentroidSource, query: Float32Array, k: int, group: str | None = None
    ) -> list[tuple[int, float]]:
        """Return (centroid id, cosine) of the ``k`` nearest centroids, best first.

        Parameters
        ----------
        reader : CentroidSource
            The snapshot that the answer agrees with.
        query : (dim,) float32
            Unit length.
        k : int
        group : str, optional
            Whose members are looked at, and nobody else; everybody when omitted.

        Raises
        ------
        IndexFault
            The query is not a finite vector of this space's dimension.
        SpeakerDetailInvalid
            Nothing can be a group of that name.
        """

    def size(self, reader: CentroidSource, group: str | None = None) -> int:
        """Return how many centroids :meth:`search` looks at."""

    def sync(self, reader: CentroidSource) -> None:
        """Follow the database to the reader's snapshot."""

    def rebuild(self, reader: CentroidSource) -> None:
        """Make what is kept beside the rows anew, whatever it was."""

    def save(self) -> None:
        """Keep what later processes start sooner with; that it cannot be kept is no error."""

    def status(self, reader: CentroidSource) -> IndexStatus:
        """Compare what is kept with the database; nothing is changed."""


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
