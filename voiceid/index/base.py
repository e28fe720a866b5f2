"""What an index must do, what it needs of the database, and what all kinds share."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import CentroidTable, FeedEntry, Float32Array, Revision
from voiceid.errors import ConfigError, IndexFault

Ids: TypeAlias = npt.NDArray[np.int64]
Hits: TypeAlias = tuple[Ids, Float32Array]
"""Ids and cosines, best first."""

GENUINE_COSINE = 0.6
"""Of the queries that losses are measured with: what a short clip has with its speaker."""
_MIXED = 8
"""Voices that the other part of such a query is mixed of: of the gallery's kind, near nobody."""
ROUNDING = 1e-5
"""More than two ways to add up a cosine in float32 differ: a few 1e-7 at 512 components."""


class Tier(enum.StrEnum):
    """How a gallery is searched."""

    EXACT = "exact"
    """Every vector, float32."""
    COMPACT = "compact"
    """8-bit codes of all, then exactly those who may be nearest: nobody is lost."""
    TWO_STAGE = "two-stage"
    """4-bit codes of all, 8-bit codes of some, then exactly: see `MissRate`."""


HNSW = "hnsw"
"""pgvector's own index, for a gallery in PostgreSQL alone: see `ServerGallery`."""
_KINDS = ("auto", *Tier, HNSW)
_COMPACT_FROM = 50_000
"""Speakers from which exact search takes longer than a millisecond."""
_TWO_STAGE_FROM = 200_000
_PAIRED_CODES = 8
"""Two codes of four components make a byte."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How galleries are searched.

    Parameters
    ----------
    kind : str
        ``auto``: by size and loss; or a `Tier`; or ``hnsw``, with PostgreSQL alone.
    max_miss_rate : float
        Loss budget, 0 to 1: a tier of which the upper bound of 95 % of the miss rate is higher is
        not used.

    Raises
    ------
    ConfigError
        There is no such kind.
    """

    kind: str = "auto"
    max_miss_rate: float = 0.001

    KINDS: ClassVar[tuple[str, ...]] = _KINDS

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError(
                f"there is no index of kind {self.kind!r}; there are {', '.join(_KINDS)}"
            )

    def tier(self, size: int, dim: int) -> Tier:
        """Return the tier that a gallery of ``size`` vectors of ``dim`` components is to have."""
        tier = Tier.TWO_STAGE if self.kind == "auto" else Tier(self.kind)
        if self.kind == "auto" and size < _TWO_STAGE_FROM:
            tier = Tier.COMPACT
        if size < (_COMPACT_FROM if self.kind == "auto" else 1):
            return Tier.EXACT
        if tier is Tier.TWO_STAGE and (dim % _PAIRED_CODES or self.max_miss_rate <= 0):
            return Tier.COMPACT
        return tier


@dataclass(frozen=True, slots=True)
class MissRate:
    """How often a search loses the mate whom an exact search would put first.

    Parameters
    ----------
    missed, queries : int
        Of queries made from the gallery itself, at a cosine of 0.6 with their mate.
    """

    missed: int
    queries: int

    @property
    def rate(self) -> float:
        """Their share, 0 to 1."""
        return self.missed / self.queries

    @property
    def upper(self) -> float:
        """The upper bound of 95 % of the rate, 0 to 1; 3 / n when none was lost."""
        from voiceid.metrics import rate_upper_bound  # noqa: PLC0415 - no search needs it

        return rate_upper_bound(self.missed, self.queries)


class ChangeFeed(Protocol):
    """The change feed of the database, in one snapshot of it."""

    def revision(self) -> Revision:
        """Return the newest point of the feed."""

    def has(self, revision: Revision) -> bool:
        """Whether the feed passed through this very point, token and all."""

    def since(self, number: int) -> list[FeedEntry]:
        """Return the feed after a revision's number, oldest first."""


class CentroidRows(Protocol):
    """The centroids of the database, in one snapshot of it."""

    def count(self, space_id: str, group: str | None = None) -> int:
        """Return how many centroids a space has: all, or those of the members of a group."""

    def table(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        """Return the centroids of a space: all, or those of ``ids`` that are left."""

    def ids(self, space_id: str) -> Ids:
        """Return the ids (n,) of all centroids of a space, rising."""

    def batches(self, space_id: str) -> Iterator[CentroidTable]:
        """Yield the centroids of a space by rising ids, some thousand at a time."""

    def group(self, name: str, space_id: str, ids: Sequence[int] | None = None) -> list[int]:
        """Return the ids of the members of a group, rising: all, or those among ``ids``."""


class CentroidSource(Protocol):
    """The database as a gallery sees it: one snapshot of it."""

    @property
    def feed(self) -> ChangeFeed:
        """The change feed."""

    @property
    def centroids(self) -> CentroidRows:
        """The centroids."""


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The index of a space against the database.

    Parameters
    ----------
    space : str
        Id of the embedding space.
    kind : str
        The `Tier`, which is a file; or the database itself: ``pgvector``, or ``hnsw``.
    path : str
        The file, or the database.
    state : str
        ``current``, ``behind`` (the next search catches up), ``missing`` or ``damaged``
        (the next search makes it anew).
    vectors, enrolled : int or None
        Speakers in the index (None: it cannot be told), and in the database.
    revision, database_revision : int or None
        Of the change feed: what the index has seen, and what there is.
    is_due : bool
        Whether so much has changed that the file is to be written again, in the background.
    miss_rate, miss_rate_upper : float or None
        How often a search loses the mate whom an exact search would put first, measured when the
        index was made, and the upper bound of 95 %; None where nobody can be lost.
    """

    space: str
    kind: str
    path: str
    state: str
    vectors: int | None
    enrolled: int
    revision: int | None
    database_revision: int
    is_due: bool = False
    miss_rate: float | None = None
    miss_rate_upper: float | None = None


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

    def sync(self, reader: CentroidSource) -> bool:
        """Follow the database to the reader's snapshot.

        Returns
        -------
        bool
            Whether nothing is left of centroids that changed or were removed.
        """

    def rebuild(self, reader: CentroidSource) -> None:
        """Make what is kept beside the rows anew, whatever it was."""

    def save(self) -> None:
        """Keep what later processes start sooner with; that it cannot be kept is no error."""

    def status(self, reader: CentroidSource) -> IndexStatus:
        """Compare what is kept with the database; nothing is changed."""


def require_query(query: Float32Array, space_id: str, dim: int) -> None:
    """Raise IndexFault unless a query is a finite vector (dim,)."""
    if query.shape != (dim,) or not np.all(np.isfinite(query)):
        raise IndexFault(
            f"a query of shape {query.shape} cannot be searched for in {space_id}",
            hint=f"It takes finite vectors of {dim} components.",
        )


def told(found: Hits) -> list[tuple[int, float]]:
    """Return (centroid id, cosine) of a search, as a `Gallery` answers."""
    ids, scores = found
    cosines = np.clip(scores.astype(np.float64), -1.0, 1.0)
    return [(int(i), float(s)) for i, s in zip(ids, cosines, strict=True)]


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


def merged(one: Hits, other: Hits, k: int) -> Hits:
    """Return the ``k`` best of two answers, best first, equal cosines by id."""
    ids, scores = np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def as_ids(ids: Sequence[int]) -> Ids:
    """Return ids (n,) as an array."""
    return np.array(ids, dtype=np.int64)


def nothing() -> tuple[Ids, Float32Array]:
    """Return the answer of a search that finds nothing."""
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)


def genuine_queries(voices: Float32Array, n: int) -> tuple[Float32Array, Ids]:
    """Return queries to measure losses with: short clips of some of the gallery, as it were.

    Parameters
    ----------
    voices : (m, dim) float32
        Some of the gallery, unit length.
    n : int

    Returns
    -------
    queries : (n, dim) float32
        Each at `GENUINE_COSINE` to its mate, and otherwise in a direction mixed of other voices.
    mates : (n,) int64
        Whom each is of: a row of ``voices``.
    """
    rng = np.random.default_rng(n)
    mates = rng.integers(0, len(voices), n)
    others = voices[rng.integers(0, len(voices), (n, _MIXED))]
    away = np.einsum("qmd,qm->qd", others, rng.standard_normal((n, _MIXED)))
    mate = voices[mates]
    away -= np.einsum("qd,qd->q", away, mate)[:, None] * mate
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    queries = GENUINE_COSINE * mate + np.sqrt(1 - GENUINE_COSINE**2) * away
    return queries.astype(np.float32), mates
