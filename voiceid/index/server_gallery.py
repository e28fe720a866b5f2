"""The gallery of a PostgreSQL database: the server searches its rows itself.

With ``index.kind: hnsw``, :meth:`ServerGallery.rebuild` builds pgvector's HNSW index and measures
what it loses.  A search uses it only if that keeps ``index.max_miss_rate``, and never for a group:
pgvector would filter the candidates instead of the members.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from voiceid.domain import Float32Array, Revision
from voiceid.index.base import (
    GENUINE_COSINE,
    HNSW,
    ROUNDING,
    IndexOptions,
    IndexStatus,
    MissRate,
    answer,
    genuine_queries,
    ranked,
    require_query,
)

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader, Writer

_SPARE = 16
"""Extra rows: SQL sums cosines in another order than `ranked` does."""
EF_SEARCH = (100, 200, 400, 1000)
"""Candidates of a search by HNSW, of which the least that keeps the budget is used; pgvector
takes at most 1000."""
_SAMPLE = 10_000
_QUERIES = 3000
"""None of this many queries may be lost to show 0.1 %."""


class ServerGallery:
    """The searchable centroids of one embedding space; safe to share among threads."""

    def __init__(
        self,
        space_id: str,
        dim: int,
        database: str,
        write: Callable[[], AbstractContextManager[Writer]],
        options: IndexOptions | None = None,
    ) -> None:
        self._space_id, self._dim, self._database, self._write = space_id, dim, database, write
        self._options = options or IndexOptions()
        self._counted: tuple[Revision, int] | None = None

    def prepare(self) -> None:
        """See `Gallery`: there is nothing to load."""

    def search(
        self, reader: Reader, query: Float32Array, k: int, group: str | None = None
    ) -> list[tuple[int, float]]:
        """See `Gallery`."""
        require_query(query, self._space_id, self._dim)
        if k < 1:
            return []
        n, used = k + _SPARE, None if group is not None else self._hnsw(reader)
        ef_search = None if used is None or n > used[0] else used[0]
        turned = reader.protection.turned(query, self._space_id)
        table = reader.search.nearest(self._space_id, turned, n, group, ef_search)
        return answer(ranked(table.ids, table.vectors, turned, k))

    def size(self, reader: Reader, group: str | None = None) -> int:
        """See `Gallery`; a server counts slowly, so the whole is counted once per revision."""
        if group is not None:
            return reader.centroids.count(self._space_id, group)
        counted, now = self._counted, reader.revision
        if counted is None or counted[0] != now:
            counted = self._counted = now, reader.centroids.count(self._space_id)
        return counted[1]

    def sync(self, reader: Reader) -> bool:  # noqa: ARG002
        """See `Gallery`: there is nothing to follow."""
        return True

    def rebuild(self, reader: Reader) -> None:
        """Build and measure the HNSW index if the settings name it, else drop it; writers wait."""
        del reader
        # Dropped in its own change: readers wait until it ends.
        with self._write() as writer:
            writer.search.drop_hnsw(self._space_id)
        if self._options.kind != HNSW:
            return
        with self._write() as writer:
            if not writer.centroids.count(self._space_id):
                return
            writer.search.build_hnsw(self._space_id, self._dim)
            measured = self._measured(writer)
            if measured is None:
                writer.search.drop_hnsw(self._space_id)
            else:
                writer.search.note_hnsw(self._space_id, *measured, _QUERIES)

    def save(self) -> None:
        """See `Gallery`: there is no file."""

    def status(self, reader: Reader) -> IndexStatus:
        """See `Gallery`: every row is in every search."""
        now, size = reader.revision, self.size(reader)
        used = self._hnsw(reader)
        return IndexStatus(
            space=self._space_id,
            kind="pgvector" if used is None else HNSW,
            path=self._database,
            state="current",
            vectors=size,
            enrolled=size,
            revision=now.number,
            database_revision=now.number,
            miss_rate=None if used is None else used[1] / used[2],
            miss_rate_upper=None if used is None else _upper(*used[1:]),
        )

    def _hnsw(self, reader: Reader) -> tuple[int, int, int] | None:
        """Return how the HNSW index is searched, if it is wanted and keeps the budget."""
        noted = reader.search.hnsw(self._space_id) if self._options.kind == HNSW else None
        if noted is None or _upper(*noted[1:]) > self._options.max_miss_rate:
            return None
        return noted

    def _measured(self, reader: Reader) -> tuple[int, int] | None:
        """Return the least ef_search that keeps the budget, and the misses; None: there is none."""
        ids = reader.centroids.ids(self._space_id)
        drawn = np.random.default_rng(0).permutation(ids)[:_SAMPLE]
        voices = reader.centroids.as_stored(self._space_id, drawn.tolist()).vectors
        queries, _ = genuine_queries(voices, _QUERIES)
        budget = self._options.max_miss_rate
        for ef_search in EF_SEARCH:
            missed = 0
            for query in queries:
                table = reader.search.nearest(self._space_id, query, 1, None, ef_search)
                _, cosines = ranked(table.ids, table.vectors, query, 1)
                missed += not np.any(cosines >= GENUINE_COSINE - ROUNDING)  # the mate, or nearer
                if missed > budget * len(queries):
                    break
            else:
                if _upper(missed, len(queries)) <= budget:
                    return ef_search, missed
        return None


@functools.lru_cache(maxsize=64)
def _upper(missed: int, queries: int) -> float:
    """Return `MissRate.upper`, cached: it takes milliseconds, and every search needs it."""
    return MissRate(missed, queries).upper
