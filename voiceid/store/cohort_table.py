"""Cohorts: vectors of strangers by which scores are normalised."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from voiceid.decision.calibration import StoredCohort
from voiceid.domain import EmbeddingSpace, Float32Array
from voiceid.store import stored_rows
from voiceid.store.change_feed import Effects
from voiceid.store.space_table import SpaceWriter
from voiceid.store.tables import cohorts, embedding_spaces


class Cohorts:
    """Reads cohorts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> list[StoredCohort]:
        """Return what is known of all cohorts, oldest first, without their vectors."""
        dim = embedding_spaces.c.dim
        size = (func.length(cohorts.c.vectors) / (4 * dim)).label("size")
        columns = (cohorts.c.id, cohorts.c.space_id, cohorts.c.created_at, cohorts.c.source, size)
        query = select(*columns).join(embedding_spaces).order_by(cohorts.c.id)
        return [
            StoredCohort(
                row.id,
                row.space_id,
                datetime.fromisoformat(row.created_at),
                row.source,
                int(row.size),
            )
            for row in self._connection.execute(query)
        ]

    def vectors(self, cohort_id: int, space: EmbeddingSpace) -> Float32Array | None:
        """Return the vectors (n, dim) of a cohort of a space, or None; StoreError if damaged."""
        mine = (cohorts.c.id == cohort_id) & (cohorts.c.space_id == space.id)
        row = self._connection.execute(select(cohorts).where(mine)).first()
        return None if row is None else stored_rows.cohort(row, space.dim)


class CohortWriter(Cohorts):
    """Changes cohorts."""

    def __init__(self, effects: Effects, spaces: SpaceWriter) -> None:
        super().__init__(effects.connection)
        self._now = effects.now
        self._spaces = spaces

    def add(self, space: EmbeddingSpace, vectors: Float32Array, source: str) -> int:
        """Add a cohort of vectors (n, dim), unit length, and return its number."""
        self._spaces.know(space)
        query = insert(cohorts).values(
            space_id=space.id,
            created_at=self._now,
            source=source,
            vectors=vectors.astype("<f4").tobytes(),
        )
        return int(self._connection.execute(query.returning(cohorts.c.id)).scalar_one())

    def remove(self, cohort_id: int) -> None:
        """Remove a cohort."""
        self._connection.execute(delete(cohorts).where(cohorts.c.id == cohort_id))
