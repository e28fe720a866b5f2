"""The change feed, which the indexes follow, and erasures."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, String, cast, delete, func, select

from voiceid.domain import EMPTY_REVISION, FeedEntry, Revision
from voiceid.store import stored_rows
from voiceid.store.snapshot import Rows
from voiceid.store.tables import changes, erasures


class Feed(Rows):
    """Reads the change feed."""

    def has(self, revision: Revision) -> bool:
        """Whether the feed passed through exactly this point, with the same token."""
        if revision == EMPTY_REVISION:
            return True
        token = self._connection.execute(
            select(changes.c.token).where(changes.c.revision == revision.number)
        ).scalar()
        return token == revision.token

    def since(self, number: int) -> list[FeedEntry]:
        """Return the feed after a revision's number, oldest first."""
        query = (
            select(changes.c.revision, changes.c.token, changes.c.centroid_id)
            .where(changes.c.revision > number)
            .order_by(changes.c.revision)
        )
        rows = self._connection.execute(query)
        return [FeedEntry(Revision(row.revision, row.token), row.centroid_id) for row in rows]

    def after(self, revision: Revision) -> list[FeedEntry] | None:
        """Return the feed after a point, oldest first; None if the feed never had that point."""
        if revision == EMPTY_REVISION:
            return self.since(0)
        entries = self.since(revision.number - 1)
        return entries[1:] if entries and entries[0].revision == revision else None


def random_token(connection: Connection) -> ColumnElement[str]:
    """Return the expression that makes 16 random hex digits for each row."""
    if connection.dialect.name == "sqlite":
        return func.lower(func.hex(func.randomblob(8)))
    return func.right(func.replace(cast(func.gen_random_uuid(), String), "-", ""), 16)


class Erasures(Rows):
    """Reads the removals that may have left traces in files beside the database's rows."""

    def pending(self) -> datetime | None:
        """Return when the oldest unfinished erasure began, or None.

        An erasure that the current change begins is not included.
        """
        oldest = self._snapshot.state.erasing_since
        return None if oldest is None else stored_rows.moment_of(oldest)

    def newest(self) -> int:
        """Return the id of the newest unfinished erasure, or 0."""
        return int(self._connection.execute(select(func.max(erasures.c.id))).scalar() or 0)

    def clear(self, up_to_id: int) -> None:
        """Record, in a change, that the erasures up to an id are finished."""
        self._connection.execute(delete(erasures).where(erasures.c.id <= up_to_id))
