"""FAISS: inner product over unit vectors, exact (``IndexIDMap2`` over ``IndexFlatIP``).

One thread: for a single query two threads are slower than one.
OpenMP keeps that number per thread, so each call sets it, for the thread it runs in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from voiceid.domain import CentroidTable, Float32Array
from voiceid.errors import IndexFault
from voiceid.index.base import ROUNDING, Hits, Ids, checked, nothing, ranked

try:
    import faiss as faiss  # noqa: PLC0414 - `codes` imports it from here
except (ImportError, OSError) as error:
    raise IndexFault(f"FAISS cannot be loaded: {error}", hint="Install voiceid again.") from error

_SPARE = 16
"""Extra hits, to find equal scores at the end of the list."""


class FaissIndex:
    """A flat inner-product index of unit vectors (dim,) under the caller's ids."""

    def __init__(self, dim: int) -> None:
        self._flat: Any = faiss.IndexFlatIP(dim)
        self._index: Any = faiss.IndexIDMap2(self._flat)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> Ids:
        """Return the ids (n,) in the index, in any order."""
        ids: Ids = faiss.vector_to_array(self._index.id_map)
        return ids

    def add(self, ids: Ids, vectors: Float32Array) -> None:
        """Put (n, dim) vectors under (n,) different ids, in place of old ones; ValueError."""
        vectors = checked(ids, vectors, self._flat.d)
        self.remove(ids)
        if len(ids):
            self._index.add_with_ids(vectors, np.ascontiguousarray(ids))

    def remove(self, ids: Ids) -> None:
        """Remove the vectors of these ids; unknown ids are ignored."""
        faiss.omp_set_num_threads(1)
        there = ids[np.isin(ids, self.ids())]
        if len(there):
            self._index.remove_ids(there)

    def search(self, query: Float32Array, k: int, among: Ids | None = None) -> Hits:
        """Return ids and cosines of the ``k`` (or all) nearest, best first, equal ones by id.

        With ``among`` only these ids are searched; unknown ids are ignored.
        """
        n = len(self) if among is None else min(len(self), len(among))
        if n == 0 or k < 1:
            return nothing()
        faiss.omp_set_num_threads(1)
        only = None
        if among is not None:
            parameters: Any = faiss.SearchParameters  # keeps the selector alive when it makes it
            only = parameters(sel=faiss.IDSelectorBatch(np.ascontiguousarray(among)))
        row = np.ascontiguousarray(query[None], dtype=np.float32)
        asked = min(n, k + _SPARE)
        while True:
            scores, ids = self._index.search(row, asked, params=only)
            there = ids[0] >= 0  # hits beyond the last vector have the id -1
            ids, scores = ids[:, there], scores[:, there]
            exhausted = asked == n or ids.shape[1] < asked
            if exhausted or scores[0, -1] < scores[0, k - 1] - ROUNDING:
                break
            asked = min(n, 4 * asked)
        return ranked(ids[0], self._index.reconstruct_batch(ids[0]), query, k)

    def vectors(self) -> Float32Array:
        """Return the vectors (n, dim) in the order of :meth:`ids`."""
        codes = faiss.vector_to_array(self._flat.codes).view(np.float32)
        vectors: Float32Array = codes.reshape(len(self), self._flat.d)
        return vectors


def nearest_to_each(
    queries: Float32Array, tables: Iterable[CentroidTable], k: int
) -> tuple[Ids, Float32Array]:
    """Return ids and cosines (n, k) of the nearest to each of (n, dim) queries, best first.

    Exact; one table is in memory at a time.  If there are fewer than ``k``, the id is -1.
    """
    nearest: Any = faiss.ResultHeap(len(queries), k, keep_max=True)
    for table in tables:
        few = min(k, len(table.ids))
        scores, rows = faiss.knn(queries, table.vectors, few, faiss.METRIC_INNER_PRODUCT)
        nearest.add_result(scores, table.ids[rows])
    nearest.finalize()
    return nearest.I, nearest.D
