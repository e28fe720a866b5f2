"""Erasures: removals of which traces may be left in files beside the database's rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from voiceid.store import stored_rows
from voiceid.store.tables import erasures


class Erasures:
    """Reads which erasures are not finished."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pending(self) -> datetime | None:
        """Return when the oldest erasure began that is not finished, or None."""
        oldest = self._connection.execute(select(func.min(erasures.c.created_at))).scalar()
        return None if oldest is None else stored_rows.moment_of(oldest)

    def newest(self) -> int:
        """Return the id of the newest erasure that is not finished, or 0."""
        return int(self._connection.execute(select(func.max(erasures.c.id))).scalar() or 0)


class ErasureWriter(Erasures):
    """Takes erasures off the list."""

    def clear(self, up_to_id: int) -> None:
        """Note that erasures are finished, up to one."""
        self._connection.execute(delete(erasures).where(erasures.c.id <= up_to_id))
