"""A gallery in memory with all of its history: an index may be asked at any point of it.

It is what the database is to an index, its `Reader`, without the cost of one: so that a
property can be tried on hundreds of histories.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from random_voices import DIM, random_unit

from voiceid.domain import EMPTY_REVISION, CentroidTable, FeedEntry, Float32Array, Revision


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One point: the centroids, who of them is in the only group, and the feed up to there."""

    vectors: Mapping[int, Float32Array] = field(default_factory=dict)
    members: frozenset[int] = frozenset()
    entries: tuple[FeedEntry, ...] = ()

    @property
    def feed(self) -> Self:
        return self

    @property
    def centroids(self) -> Self:
        return self

    @property
    def protection(self) -> Self:
        return self

    @property
    def revision(self) -> Revision:
        return self.entries[-1].revision if self.entries else EMPTY_REVISION

    def has(self, revision: Revision) -> bool:
        return revision == EMPTY_REVISION or revision in [e.revision for e in self.entries]

    def since(self, number: int) -> list[FeedEntry]:
        return [entry for entry in self.entries if entry.revision.number > number]

    def after(self, revision: Revision) -> list[FeedEntry] | None:
        return self.since(revision.number) if self.has(revision) else None

    def count(self, space_id: str, group: str | None = None) -> int:
        return len(self.vectors) if group is None else len(self.group(group, space_id))

    def table(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        chosen = sorted(self.vectors if ids is None else self.vectors.keys() & set(ids))
        rows = np.array([self.vectors[i] for i in chosen], dtype=np.float32).reshape(-1, DIM)
        return CentroidTable(np.array(chosen, dtype=np.int64), rows)

    def as_stored(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        return self.table(space_id, ids)

    def turned(self, query: Float32Array, space_id: str) -> Float32Array:
        return query

    def ids(self, space_id: str) -> np.ndarray:
        return self.table(space_id).ids

    def batches(self, space_id: str) -> Iterator[CentroidTable]:
        ids = sorted(self.vectors)
        for first in range(0, len(ids), 5):
            yield self.table(space_id, ids[first : first + 5])

    def group(self, name: str, space_id: str, ids: Sequence[int] | None = None) -> list[int]:
        return sorted(
            self.members & self.vectors.keys() & set(self.vectors if ids is None else ids)
        )

    def nearest(
        self, query: Float32Array, k: int, group: str | None = None
    ) -> list[tuple[int, float]]:
        """Return what a search must answer, by brute force."""
        chosen = self.vectors if group is None else self.group(group, "")
        hits = [(i, _cosine(self.vectors[i], query)) for i in chosen]
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k]


class History:
    """The points that a gallery went through."""

    def __init__(self, points: Sequence[Snapshot] = (Snapshot(),), name: str = "a") -> None:
        self.points, self._name = list(points), name

    @property
    def now(self) -> Snapshot:
        """The newest point."""
        return self.points[-1]

    def change(
        self, centroid_id: int, vector: Float32Array | None, *, member: bool = False
    ) -> None:
        """Give a centroid a vector, and take it into the group or out of it; None: it is gone."""
        now = self.now
        vectors = {i: v for i, v in now.vectors.items() if i != centroid_id}
        members = now.members - {centroid_id}
        if vector is not None:
            vectors[centroid_id] = vector
            members |= {centroid_id} if member else set()
        number = now.revision.number + 1
        entry = FeedEntry(Revision(number, f"{self._name}{number}"), centroid_id)
        self.points.append(Snapshot(vectors, members, (*now.entries, entry)))

    def fork(self, n_points: int, name: str) -> History:
        """Return another future of an earlier point, as a backup that is put back has."""
        return History(self.points[:n_points], name)


def _cosine(vector: Float32Array, query: Float32Array) -> float:
    wide = np.einsum("j,j->", vector.astype(np.float64), query.astype(np.float64))
    return float(np.clip(np.float32(wide), -1, 1))


def random_history(rng: np.random.Generator, n: int) -> History:
    """Return how n speakers came, every third of them into the group."""
    history = History()
    for number, vector in enumerate(random_unit(rng, n) if n else ()):
        history.change(number + 1, vector, member=number % 3 == 0)
    return history
