"""The gallery of a PostgreSQL database: the server searches its rows itself.

There is no index file and nothing to catch up with: each search sees the rows of its own
snapshot, on every host alike.  What SQL finds is scored and ordered as every index does it.

All vectors are compared, until :meth:`PgvectorGallery.rebuild` has made codes of three bits for
each component (see `voiceid.store.pgvector`) and has measured that to compare by their vectors
only those who are nearest by code loses no more than ``index.max_miss_rate``.  pgvector's own HNSW
index loses far more of the enrolled, or is slower (docs/postgres.md), and is not used.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from voiceid.domain import CentroidTable, Float32Array, Revision
from voiceid.index.base import (
    CentroidSource,
    IndexOptions,
    IndexStatus,
    MissRate,
    genuine_queries,
    ranked,
    require_query,
    told,
)

EXACT_UP_TO = 10_000
"""Rows that are compared by their vectors in some milliseconds, so that codes are not worth it."""
_EXACT_GROUP_UP_TO = 2000
"""Members of a group whose rows are sooner found one by one than met among all codes."""
SHARES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Of a gallery: how many of the nearest by code may be compared by their vectors."""
_LEAST = 200
_SPARE = 16
"""Rows beyond those asked for: SQL adds cosines up in another order than `ranked` does."""
_SAMPLE, _QUERIES = 10_000, 10_000
_BATCH = 100


class Coding(Protocol):
    """How a space's codes are searched, and what that was measured to lose."""

    @property
    def share(self) -> float:
        """Of the gallery: how many of the nearest by code are compared by their vectors."""

    @property
    def missed(self) -> int:
        """How many queries that lost whom a search of all vectors finds..."""

    @property
    def queries(self) -> int:
        """...of so many."""


class SearchingSource(CentroidSource, Protocol):
    """A database that searches, as this gallery sees it: one snapshot of it."""

    def nearest(
        self,
        space_id: str,
        query: Float32Array,
        n: int,
        *,
        group: str | None = None,
        candidates: int | None = None,
    ) -> CentroidTable:
        """Return the ``n`` nearest: of so many that are nearest by code, or of all rows."""

    def count(self, space_id: str, group: str | None = None) -> int:
        """Return how many centroids a space has: all, or those of the members of a group."""

    def coding(self, space_id: str) -> Coding | None:
        """Return how a space is coded, or None."""


class CodeWriter(Protocol):
    """A change of such a database."""

    def count(self, space_id: str, group: str | None = None) -> int:
        """Return how many centroids a space has."""

    def mean_and_sample(self, space_id: str, n: int) -> tuple[Float32Array, Float32Array]:
        """Return the mean (dim,) of a space's centroids, and (n, dim) of them."""

    def code(
        self,
        space_id: str,
        mean: Float32Array,
        spread: Float32Array,
        share: float,
        *,
        missed: int,
        queries: int,
    ) -> None:
        """Code the centroids of a space, by their mean and standard deviations."""

    def drop_codes(self, space_id: str) -> None:
        """Leave a space without codes."""


class PgvectorGallery:
    """The searchable centroids of one embedding space.  Safe to share among threads.

    Parameters
    ----------
    space_id : str
    dim : int
    database : str
        As it may be shown.
    write : callable
        Begins a change of the database.
    max_miss_rate : float
        How often a search through codes may lose whom a search of all vectors finds.
    """

    def __init__(
        self,
        space_id: str,
        dim: int,
        database: str,
        write: Callable[[], AbstractContextManager[CodeWriter]],
        max_miss_rate: float = IndexOptions().max_miss_rate,
    ) -> None:
        self._space_id, self._dim, self._database, self._write = space_id, dim, database, write
        self._max_miss_rate = max_miss_rate
        self._counted: tuple[Revision, int] | None = None

    def prepare(self) -> None:
        """See `Gallery`: there is nothing to load."""

    def search(
        self, reader: CentroidSource, query: Float32Array, k: int, group: str | None = None
    ) -> list[tuple[int, float]]:
        """See `Gallery`."""
        require_query(query, self._space_id, self._dim)
        if k < 1:
            return []
        source = cast("SearchingSource", reader)
        found = source.nearest(
            self._space_id,
            query,
            k + _SPARE,
            group=group,
            candidates=self._candidates(source, group, k + _SPARE),
        )
        return told(ranked(found.ids, found.vectors, query, k))

    def size(self, reader: CentroidSource, group: str | None = None) -> int:
        """See `Gallery`; a server counts slowly, so the whole is counted once per revision."""
        if group is not None:
            return cast("SearchingSource", reader).count(self._space_id, group)
        counted, now = self._counted, reader.revision()
        if counted is None or counted[0] != now:
            counted = self._counted = now, reader.count(self._space_id)
        return counted[1]

    def sync(self, reader: CentroidSource) -> bool:  # noqa: ARG002
        """See `Gallery`: every transaction keeps the codes itself."""
        return True

    def rebuild(self, reader: CentroidSource) -> None:
        """Code a large gallery anew, and measure what is lost by it: too much, and all is dropped.

        Searches go on as they were meanwhile; writers wait.
        """
        del reader
        with self._write() as writer:
            if writer.count(self._space_id) > EXACT_UP_TO:
                mean, sample = writer.mean_and_sample(self._space_id, _SAMPLE)
                spread = sample.std(axis=0, dtype=np.float64).astype(np.float32)
                for share, loss in zip(SHARES, losses(sample, mean, spread), strict=True):
                    if loss.upper <= self._max_miss_rate:
                        counts = {"missed": loss.missed, "queries": loss.queries}
                        writer.code(self._space_id, mean, spread, share, **counts)
                        return
            writer.drop_codes(self._space_id)

    def save(self) -> None:
        """See `Gallery`: there is no file."""

    def status(self, reader: CentroidSource) -> IndexStatus:
        """See `Gallery`: every row is in every search."""
        now, size = reader.revision(), self.size(reader)
        coding = self._coding(cast("SearchingSource", reader), size)
        loss = None if coding is None else MissRate(coding.missed, coding.queries)
        return IndexStatus(
            space=self._space_id,
            kind="pgvector",
            path=self._database,
            state="current",
            vectors=size,
            enrolled=size,
            revision=now.number,
            database_revision=now.number,
            miss_rate=None if loss is None else loss.rate,
            miss_rate_upper=None if loss is None else loss.upper,
        )

    def _coding(self, source: SearchingSource, size: int) -> Coding | None:
        """Return how so many are searched; None: all of them, also where codes lose too many."""
        coding = source.coding(self._space_id) if size > _EXACT_GROUP_UP_TO else None
        if coding is None or _upper(coding.missed, coding.queries) > self._max_miss_rate:
            return None
        return coding

    def _candidates(self, source: SearchingSource, group: str | None, n: int) -> int | None:
        """Return how many are compared by their vectors; None for all."""
        size = self.size(source, group)
        coding = self._coding(source, size)
        if coding is None:
            return None
        return max(_LEAST, n, math.ceil(coding.share * size))


@functools.lru_cache(maxsize=64)
def _upper(missed: int, queries: int) -> float:
    """Return `MissRate.upper`, which takes milliseconds, and every search asks for it."""
    return MissRate(missed, queries).upper


def codes_of(
    vectors: Float32Array, mean: Float32Array, spread: Float32Array
) -> npt.NDArray[np.uint64]:
    """Return the codes of (n, dim) vectors as `voiceid.store.pgvector` has them, 64 bits a word."""
    middle = vectors - mean
    bits = np.concatenate([middle > spread, middle > 0, middle > -spread], axis=1)
    packed = np.packbits(np.pad(bits, ((0, 0), (0, -bits.shape[1] % 64))), axis=1)
    return packed.view(np.uint64)


def losses(vectors: Float32Array, mean: Float32Array, spread: Float32Array) -> list[MissRate]:
    """Measure how often the enrolled is not among each of `SHARES` of those nearest by code.

    Parameters
    ----------
    vectors : (n, dim) float32
        Some of the gallery, unit length.
    mean, spread : (dim,) float32
        Mean and standard deviations of the gallery.

    Returns
    -------
    list of MissRate
        Of :func:`genuine_queries`.
    """
    queries, mates = genuine_queries(vectors, _QUERIES)
    codes, of_queries = (codes_of(v, mean, spread) for v in (vectors, queries))
    farthest = np.bitwise_count(codes[mates] ^ of_queries).sum(axis=1, dtype=np.int64)
    shares = np.empty(len(queries))
    for start in range(0, len(queries), _BATCH):
        some = slice(start, start + _BATCH)
        apart = np.bitwise_count(codes[None] ^ of_queries[some, None]).sum(axis=2, dtype=np.int64)
        shares[some] = (apart <= farthest[some, None]).mean(axis=1)
    return [MissRate(int((shares > share).sum()), len(shares)) for share in SHARES]
