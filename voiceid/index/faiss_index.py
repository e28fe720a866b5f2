"""FAISS: inner product over unit vectors, exact (``IndexIDMap2`` over ``IndexFlatIP``).

The only door to FAISS.  One thread: for a single query two threads are slower than one.
"""

from __future__ import annotations

from typing import Any, Self

import faiss
import numpy as np

from voiceid.domain import Float32Array
from voiceid.index.base import Ids, ordered

faiss.omp_set_num_threads(1)


class FaissIndex:
    """A flat inner-product index with ids of the caller's."""

    def __init__(self, dim: int) -> None:
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: Ids, vectors: Float32Array) -> None:
        """See `VectorIndex`."""
        self.remove(ids)
        self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), ids)

    def remove(self, ids: Ids) -> None:
        """See `VectorIndex`."""
        if len(ids) and len(self):
            self._index.remove_ids(np.ascontiguousarray(ids, dtype=np.int64))

    def search(self, query: Float32Array, k: int) -> tuple[Ids, Float32Array]:
        """See `VectorIndex`."""
        n = min(k, len(self))
        if n == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores, ids = self._index.search(np.ascontiguousarray(query[None], dtype=np.float32), n)
        return ordered(ids[0], scores[0], k)

    def to_bytes(self) -> bytes:
        """See `VectorIndex`."""
        return bytes(faiss.serialize_index(self._index).tobytes())

    @classmethod
    def from_bytes(cls, data: bytes, dim: int) -> Self:
        """See `VectorIndex`."""
        made = cls(dim)
        try:
            made._index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        except RuntimeError as error:
            raise ValueError("not the bytes of a FAISS index") from error
        if made._index.d != dim or not hasattr(made._index, "id_map"):
            raise ValueError(f"a FAISS index of {made._index.d} dimensions where {dim} are needed")
        return made
