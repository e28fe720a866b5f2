"""Vectors of as many speakers as wanted, where no corpus has so many: made up, and said to be.

"speaker-like": the spectrum and the mean of campplus's embeddings, as its network makes them, of
250 speakers of LibriSpeech train-clean-100 (share of the k-th principal component about
exp(-k / 30), mean of length 0.28; cosine of two speakers 0.08 on average, standard deviation 0.11).
"uniform": points anywhere on the sphere, with which nothing can be guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voiceid.domain import CentroidTable, FeedEntry, Float32Array, Revision

DIM = 192
KINDS = ("speaker-like", "uniform")
_DECAY = 30.0
_MEAN_LENGTH = 0.28
_BATCH = 50_000


def crowd(kind: str, n: int, seed: int) -> Iterator[Float32Array]:
    """Yield unit vectors (n, 192) in batches; batches of one seed are always the same."""
    shares = np.exp(-np.arange(DIM) / _DECAY)
    scale = np.sqrt((1 - _MEAN_LENGTH**2) * shares / shares.sum()).astype(np.float32)
    mean = np.zeros(DIM, dtype=np.float32)
    mean[0] = _MEAN_LENGTH
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((DIM, DIM)))[0].astype(np.float32)
    for batch, first in enumerate(range(0, n, _BATCH)):
        rng = np.random.default_rng((seed, batch))
        vectors = rng.standard_normal((min(_BATCH, n - first), DIM), dtype=np.float32)
        if kind == "speaker-like":
            vectors = (vectors * scale + mean) @ turn
        yield unit(vectors)


def unit(vectors: Float32Array) -> Float32Array:
    """Return (n, dim) vectors at unit length."""
    found: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def queries(kind: str, mates: Float32Array, cosine: float = 0.6) -> Float32Array:
    """Return a query (n, dim) of each mate, at a cosine with it; the rest is of strangers."""
    others = np.concatenate(list(crowd(kind, len(mates), seed=99)))
    others -= np.einsum("ij,ij->i", others, mates)[:, None] * mates
    made = cosine * mates + np.sqrt(1 - cosine**2) * unit(others)
    return np.ascontiguousarray(made, dtype=np.float32)


@dataclass(frozen=True)
class Crowd:
    """A gallery's database without a database: a crowd in memory, float16 when it is large.

    Every hundredth is a member of the one group that there is.
    """

    kind: str
    n: int
    vectors: npt.NDArray[np.floating] = field(init=False)

    def __post_init__(self) -> None:
        dtype = np.float32 if self.n <= 2_000_000 else np.float16
        vectors = np.empty((self.n, DIM), dtype=dtype)
        first = 0
        for batch in crowd(self.kind, self.n, seed=1):
            vectors[first : first + len(batch)] = batch
            first += len(batch)
        object.__setattr__(self, "vectors", vectors)

    @property
    def feed(self) -> Crowd:
        """See `voiceid.store.Reader`."""
        return self

    @property
    def centroids(self) -> Crowd:
        """See `voiceid.store.Reader`."""
        return self

    @property
    def protection(self) -> Crowd:
        """See `voiceid.store.Reader`."""
        return self

    @property
    def revision(self) -> Revision:
        """See `voiceid.store.Reader`."""
        return Revision(1, "crowd")

    def has(self, revision: Revision) -> bool:
        """See `voiceid.store.Reader`."""
        return revision == self.revision

    def since(self, number: int) -> list[FeedEntry]:  # noqa: ARG002 - as the others take it
        """See `voiceid.store.Reader`: nothing ever changes."""
        return []

    def after(self, revision: Revision) -> list[FeedEntry] | None:
        """See `voiceid.store.Reader`."""
        return [] if self.has(revision) else None

    def count(self, space_id: str, group: str | None = None) -> int:  # noqa: ARG002
        """See `voiceid.store.Reader`."""
        return self.n

    def as_stored(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        """See `voiceid.store.Reader`: vectors are stored as they are."""
        return self.table(space_id, ids)

    def turned(self, query: Float32Array, space_id: str) -> Float32Array:  # noqa: ARG002
        """See `voiceid.store.Reader`: vectors are stored as they are."""
        return query

    def ids(self, space_id: str) -> npt.NDArray[np.int64]:  # noqa: ARG002
        """See `voiceid.store.Reader`."""
        return np.arange(self.n, dtype=np.int64)

    def table(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        """See `voiceid.store.Reader`."""
        rows = self.ids(space_id) if ids is None else np.array(ids, dtype=np.int64)
        return CentroidTable(rows, self.vectors[rows].astype(np.float32))

    def batches(self, space_id: str) -> Iterator[CentroidTable]:
        """See `voiceid.store.Reader`."""
        for first in range(0, self.n, _BATCH):
            yield self.table(space_id, range(first, min(first + _BATCH, self.n)))

    def group(
        self,
        name: str,  # noqa: ARG002
        space_id: str,  # noqa: ARG002
        ids: Sequence[int] | None = None,  # noqa: ARG002
    ) -> list[int]:
        """See `voiceid.store.Reader`."""
        return list(range(0, self.n, 100))
