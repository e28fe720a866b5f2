"""How many there are of what, counted where it lies: nothing is read but the counts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, case, func, or_, select, text

from voiceid.domain import Standing
from voiceid.store.fitted import FittedReader
from voiceid.store.tables import centroids, memberships, samples, speakers


class CountedReader(FittedReader):
    """Counts, in one snapshot of the database."""

    def count_speakers(self) -> int:
        """Return how many speakers there are, with samples or without."""
        query = select(func.count()).select_from(speakers)
        return int(self._connection.execute(query).scalar_one())

    def speakers_by_space(self) -> dict[str, int]:
        """Return how many speakers have a centroid in each embedding space that has any."""
        return self._count_by(centroids.c.space_id)

    def samples_by_space(self) -> dict[str, int]:
        """Return how many samples there are in each embedding space that has any."""
        return self._count_by(samples.c.space_id)

    def members_by_group(self) -> dict[str, int]:
        """Return how many members each group has, by the names of the groups."""
        return self._count_by(memberships.c.group_name)

    def speakers_by_standing(self, now: datetime) -> dict[Standing, int]:
        """Return how many speakers stand in which way at a moment in UTC."""
        told = case(
            (speakers.c.disabled_at.is_not(None), Standing.DISABLED.value),
            (
                or_(speakers.c.expires_at.is_(None), speakers.c.expires_at > now.isoformat()),
                Standing.ACTIVE.value,
            ),
            else_=Standing.EXPIRED.value,
        ).label("standing")
        query = select(told, func.count()).group_by(text("standing"))
        found = self._connection.execute(query).all()
        counts = {str(name): int(count) for name, count in found}
        return {standing: counts.get(standing.value, 0) for standing in Standing}

    def server_bytes(self) -> int:
        """Return how large the database is, where a server keeps it."""
        size = self._connection.exec_driver_sql("SELECT pg_database_size(current_database())")
        return int(size.scalar_one())

    def _count_by(self, column: Column[str]) -> dict[str, int]:
        query = select(column, func.count()).group_by(column).order_by(column)
        return {str(name): int(count) for name, count in self._connection.execute(query)}
