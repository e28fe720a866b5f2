"""The protocol of an index, and the code that all kinds share."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array
from voiceid.errors import ConfigError, IndexFault

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader

Ids: TypeAlias = npt.NDArray[np.int64]
Hits: TypeAlias = tuple[Ids, Float32Array]
"""Ids and cosines, best first."""

GENUINE_COSINE = 0.6
"""Cosine of the queries that losses are measured with: that of a short clip with its speaker."""
_MIXED = 8
"""Number of voices in the other part of such a query: like the gallery, not near any speaker."""
ROUNDING = 1e-5
"""More than the difference of two ways to sum a cosine in float32: some 1e-7 at 512 components."""


class Tier(enum.StrEnum):
    """How a gallery is searched."""

    EXACT = "exact"
    """Every vector, float32."""
    COMPACT = "compact"
    """8-bit codes of all, then exact scores of those who may be nearest: no speaker is lost."""
    TWO_STAGE = "two-stage"
    """4-bit codes of all, 8-bit codes of some, then exact scores: see `MissRate`."""


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

    - `kind`: ``auto``: by size and loss; or a `Tier`; or ``hnsw``, with PostgreSQL alone.
    - `max_miss_rate`: 0 to 1: a tier is used only if the 95 % upper bound of its rate is lower.
    """

    kind: str = "auto"
    max_miss_rate: float = 0.001

    KINDS: ClassVar[tuple[str, ...]] = _KINDS

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError(
                f"there is no index of kind {self.kind!r}; use one of {', '.join(_KINDS)}"
            )

    def tier(self, size: int, dim: int) -> Tier:
        """Return the tier for a gallery of ``size`` vectors of ``dim`` components."""
        by_size = Tier.COMPACT if size < _TWO_STAGE_FROM else Tier.TWO_STAGE
        tier = by_size if self.kind == "auto" else Tier(self.kind)
        if size < (_COMPACT_FROM if self.kind == "auto" else 1):
            return Tier.EXACT
        if tier is Tier.TWO_STAGE and (dim % _PAIRED_CODES or self.max_miss_rate <= 0):
            return Tier.COMPACT
        return tier


@dataclass(frozen=True, slots=True)
class MissRate:
    """The rate at which a search loses the speaker that an exact search would put first.

    The queries are made from the gallery itself, at a cosine of 0.6 with their mate.
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


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The state of the index of a space, compared with the database.

    Parameters
    ----------
    kind, path : str
        A `Tier`, and the file; or ``pgvector`` or ``hnsw``, and the database.
    state : str
        ``current``, ``behind`` (the next search updates it), ``missing`` or ``damaged``
        (the next search rebuilds it).
    vectors, enrolled : int or None
        Speakers in the index (None: it cannot be read), and in the database.
    revision, database_revision : int or None
        Of the change feed: the revision of the index, and that of the database.
    is_due : bool
        Whether so much has changed that the file must be written again, in the background.
    miss_rate, miss_rate_upper : float or None
        The rate at which a search loses the speaker that an exact search would put first, measured
        when the index was made, and its 95 % upper bound; None if no speaker can be lost.
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
    """The searchable centroids of one embedding space; safe to share among threads."""

    def prepare(self) -> None:
        """Load what a search needs in the background, when the caller has other work first."""

    def search(
        self, reader: Reader, query: Float32Array, k: int, group: str | None = None
    ) -> list[tuple[int, float]]:
        """Return (centroid id, cosine) of the ``k`` nearest, best first, in the reader's snapshot.

        With ``group``, only its members are compared.  Raises IndexFault for an unfit query.
        """

    def size(self, reader: Reader, group: str | None = None) -> int:
        """Return how many centroids :meth:`search` compares."""

    def sync(self, reader: Reader) -> bool:
        """Follow the database to the reader's snapshot; return whether all erased rows are gone."""

    def rebuild(self, reader: Reader) -> None:
        """Rebuild the index from the rows."""

    def save(self) -> None:
        """Write the file that lets later processes start faster; a failure is not an error."""

    def status(self, reader: Reader) -> IndexStatus:
        """Compare the index with the database; nothing is changed."""


def require_query(query: Float32Array, space_id: str, dim: int) -> None:
    """Raise IndexFault unless a query is a finite vector (dim,)."""
    if query.shape != (dim,) or not np.all(np.isfinite(query)):
        raise IndexFault(
            f"a query of shape {query.shape} cannot be searched for in {space_id}",
            hint=f"Pass a finite vector of {dim} components.",
        )


def answer(hits: Hits) -> list[tuple[int, float]]:
    """Return (centroid id, cosine) of hits, as a `Gallery` answers."""
    ids, scores = hits
    cosines = np.clip(scores.astype(np.float64), -1.0, 1.0)
    return [(int(i), float(s)) for i, s in zip(ids, cosines, strict=True)]


def checked(ids: Ids, vectors: Float32Array, dim: int) -> Float32Array:
    """Return (n, dim) vectors as C-contiguous float32; ValueError unless they may be added."""
    if ids.dtype != np.int64 or ids.ndim != 1 or vectors.shape != (len(ids), dim):
        raise ValueError(f"ids {ids.shape} and vectors {vectors.shape} do not fit {dim} dimensions")
    if len(np.unique(ids)) != len(ids):
        raise ValueError("an id occurs twice")
    if not np.all(np.isfinite(vectors)):
        raise ValueError("a vector is not finite")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def ranked(ids: Ids, vectors: Float32Array, query: Float32Array, k: int) -> Hits:
    """Return the ``k`` best of some candidates, best first, equal cosines by id.

    The products are added up again in float64, row by row.  Fast kernels add in an order that
    depends on a row's place, so that equal vectors get scores that differ in the last bit.
    """
    wide = np.einsum("ij,j->i", vectors.astype(np.float64), query.astype(np.float64))
    return _best(ids, wide.astype(np.float32), k)


def merged(first: Hits, second: Hits, k: int) -> Hits:
    """Return the ``k`` best of two answers, best first, equal cosines by id."""
    return _best(np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]]), k)


def _best(ids: Ids, scores: Float32Array, k: int) -> Hits:
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def confirmed(
    hits: Sequence[tuple[int, float]],
    ids: Sequence[int],
    vectors: Float32Array,
    query: Float32Array,
) -> list[tuple[int, float]] | None:
    """Return hits with the cosines of their rows (n, dim) in the database, best first.

    None: the rows are not those of the hits, or their scores differ from those of the index.
    """
    scored = answer(ranked(as_ids(ids), vectors, query, len(ids)))
    there = dict(scored)
    same = [abs(score - there.get(id_, np.inf)) <= ROUNDING for id_, score in hits]
    return scored if all(same) and len(hits) == len(ids) else None


def as_ids(ids: Sequence[int]) -> Ids:
    """Return ids (n,) as an array."""
    return np.array(ids, dtype=np.int64)


def nothing() -> Hits:
    """Return no hits."""
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)


def genuine_queries(voices: Float32Array, n: int) -> tuple[Float32Array, Ids]:
    """Return queries (n, dim) at `GENUINE_COSINE` to their mates, and the rows of the mates."""
    rng = np.random.default_rng(n)
    mates = rng.integers(0, len(voices), n)
    others = voices[rng.integers(0, len(voices), (n, _MIXED))]
    away = np.einsum("qmd,qm->qd", others, rng.standard_normal((n, _MIXED)))
    mate = voices[mates]
    away -= np.einsum("qd,qd->q", away, mate)[:, None] * mate
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    queries = GENUINE_COSINE * mate + np.sqrt(1 - GENUINE_COSINE**2) * away
    return queries.astype(np.float32), mates


def nearest_of_rows(
    reader: Reader, space_id: str, query: Float32Array, k: int, group: str | None
) -> Hits:
    """Search every row of a snapshot that the index cannot follow to."""
    among = None if group is None else as_ids(reader.centroids.group(group, space_id))
    best = nothing()
    for table in reader.centroids.batches(space_id):
        chosen = slice(None) if among is None else np.isin(table.ids, among)
        best = merged(best, ranked(table.ids[chosen], table.vectors[chosen], query, k), k)
    return best
