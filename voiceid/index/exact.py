"""Brute force in NumPy: the oracle of the others, and enough for some thousands."""

from __future__ import annotations

import io
from typing import Self

import numpy as np

from voiceid.domain import Float32Array
from voiceid.index.base import Ids, ordered


class ExactIndex:
    """A sorted array of ids beside their vectors."""

    def __init__(self, dim: int) -> None:
        self._ids: Ids = np.empty(0, dtype=np.int64)
        self._vectors: Float32Array = np.empty((0, dim), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Ids, vectors: Float32Array) -> None:
        """See `VectorIndex`."""
        self.remove(ids)
        joined = np.concatenate([self._ids, ids])
        order = np.argsort(joined)
        self._vectors = np.concatenate([self._vectors, vectors])[order]
        self._ids = joined[order]

    def remove(self, ids: Ids) -> None:
        """See `VectorIndex`."""
        kept = ~np.isin(self._ids, ids)
        self._ids, self._vectors = self._ids[kept], self._vectors[kept]

    def search(self, query: Float32Array, k: int) -> tuple[Ids, Float32Array]:
        """See `VectorIndex`."""
        return ordered(self._ids, self._vectors @ query, k)

    def to_bytes(self) -> bytes:
        """See `VectorIndex`."""
        buffer = io.BytesIO()
        np.savez(buffer, ids=self._ids, vectors=self._vectors)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, dim: int) -> Self:
        """See `VectorIndex`."""
        index = cls(dim)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                ids, vectors = arrays["ids"], arrays["vectors"]
        except (OSError, KeyError, EOFError) as error:
            raise ValueError("not the bytes of an exact index") from error
        if ids.dtype != np.int64 or vectors.shape != (len(ids), dim):
            raise ValueError("the arrays are not those of an exact index")
        index._ids, index._vectors = ids, vectors.astype(np.float32)
        return index
