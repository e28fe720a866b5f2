"""The change feed, which the indexes follow, and what one change did beside its rows."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, update

from voiceid.domain import EMPTY_REVISION, FeedEntry, Revision
from voiceid.store.tables import changes, erasures, speakers
from voiceid.store.value_list import in_list


class Feed:
    """Reads the change feed, as a snapshot has it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._newest: Revision | None = None

    def revision(self) -> Revision:
        """Return the newest point of the feed."""
        if self._newest is None:  # read once a snapshot
            self._newest = self._read_newest()
        return self._newest

    def _read_newest(self) -> Revision:
        row = self._connection.execute(
            select(changes.c.revision, changes.c.token).order_by(changes.c.revision.desc()).limit(1)
        ).first()
        return EMPTY_REVISION if row is None else Revision(row.revision, row.token)

    def has(self, revision: Revision) -> bool:
        """Whether the feed passed through this very point, token and all."""
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
        found = self._connection.execute(query)
        return [FeedEntry(Revision(row.revision, row.token), row.centroid_id) for row in found]


class MovingFeed(Feed):
    """Reads the change feed in a change, which appends to it."""

    def revision(self) -> Revision:
        """Return the newest point of the feed."""
        return self._read_newest()


class Effects:
    """What one change did beside its rows; all writers of the change share it.

    Attributes
    ----------
    now : str
        The time of the change, ISO 8601, UTC: every row of it has this one.
    touched : set of str
        Ids of the embedding spaces of which centroids changed, adapted ones too.
    erased_vectors : list of bytes
        The sample vectors that were removed, as they were stored.
    erased : bool
        Whether rows of voices were removed.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now = datetime.now(UTC).isoformat()
        self.touched: set[str] = set()
        self.erased_vectors: list[bytes] = []
        self.erased = False
        self._stamped: set[int] = set()

    def changed(self, made: Iterable[tuple[int, str]]) -> None:
        """Append centroids, by id and space, to the feed."""
        entries = []
        for centroid_id, space_id in made:
            self.touched.add(space_id)
            entries.append({"centroid_id": centroid_id, "token": secrets.token_hex(8)})
        if entries:
            self.connection.execute(insert(changes), entries)

    def erase(self, vectors: Iterable[bytes]) -> None:
        """Write down, once a change, that voices were removed; their traces are still to go."""
        self.erased_vectors += vectors
        if not self.erased:
            self.erased = True
            self.connection.execute(insert(erasures).values(created_at=self.now))

    def stamped(self, speaker_ids: Iterable[int]) -> None:
        """Note that the rows of speakers have the time of this change."""
        self._stamped.update(speaker_ids)

    def stamp(self, speaker_ids: Collection[int]) -> None:
        """Give speakers the time of this change, once a change."""
        new = set(speaker_ids) - self._stamped
        if new:
            mine = in_list(self.connection, speakers.c.id, new)
            self.connection.execute(update(speakers).where(mine).values(updated_at=self.now))
            self.stamped(new)
