"""Brute force in NumPy: the oracle of the others, and enough for some thousands."""

from __future__ import annotations

from typing import Self

import numpy as np

from voiceid.domain import Float32Array
from voiceid.index.base import ROUNDING, Ids, checked, nothing, pack, ranked, unpack


class ExactIndex:
    """A sorted array of ids beside their vectors."""

    def __init__(self, dim: int) -> None:
        self._ids: Ids = np.empty(0, dtype=np.int64)
        self._vectors: Float32Array = np.empty((0, dim), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self) -> Ids:
        """See `VectorIndex`."""
        return self._ids

    def add(self, ids: Ids, vectors: Float32Array) -> None:
        """See `VectorIndex`."""
        vectors = checked(ids, vectors, self._vectors.shape[1])
        self.remove(ids)
        joined = np.concatenate([self._ids, ids])
        order = np.argsort(joined)
        self._vectors = np.concatenate([self._vectors, vectors])[order]
        self._ids = joined[order]

    def remove(self, ids: Ids) -> None:
        """See `VectorIndex`."""
        kept = ~np.isin(self._ids, ids)
        if not kept.all():
            self._ids, self._vectors = self._ids[kept], self._vectors[kept]

    def search(
        self, query: Float32Array, k: int, among: Ids | None = None
    ) -> tuple[Ids, Float32Array]:
        """See `VectorIndex`."""
        ids, vectors = self._ids, self._vectors
        if among is not None:
            chosen = np.isin(ids, among)
            ids, vectors = ids[chosen], vectors[chosen]
        n = len(ids)
        if n == 0 or k < 1:
            return nothing()
        if k >= n:
            return ranked(ids, vectors, query, k)
        scores = vectors @ query
        worst = np.partition(scores, n - k)[n - k]
        rows = np.flatnonzero(scores >= worst - ROUNDING)
        return ranked(ids[rows], vectors[rows], query, k)

    def to_bytes(self) -> bytes:
        """See `VectorIndex`."""
        return pack(self._ids, self._vectors)

    @classmethod
    def from_bytes(cls, data: bytes, dim: int) -> Self:
        """See `VectorIndex`."""
        made = cls(dim)
        made.add(*unpack(data, dim))
        return made
