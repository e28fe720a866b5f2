"""The change feed, which the indexes follow, erasures, and what a change did beside its rows."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, cast, delete, func, insert, select, update

from voiceid.domain import EMPTY_REVISION, FeedEntry, Revision
from voiceid.domain.audit_chain import AuditOptions
from voiceid.store import stored_rows
from voiceid.store.answer_table import forget_answers
from voiceid.store.job_table import forget_results
from voiceid.store.snapshot import Rows, Snapshot, read_state
from voiceid.store.tables import changes, erasures, speakers
from voiceid.store.value_list import in_list


class Feed(Rows):
    """Reads the change feed."""

    def revision(self) -> Revision:
        """Return the newest point of the feed."""
        return _revision(self._snapshot.state)

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
        rows = self._connection.execute(query)
        return [FeedEntry(Revision(row.revision, row.token), row.centroid_id) for row in rows]

    def after(self, revision: Revision) -> list[FeedEntry] | None:
        """Return the feed after a point, oldest first; None when it did not pass through it."""
        if revision == EMPTY_REVISION:
            return self.since(0)
        entries = self.since(revision.number - 1)
        return entries[1:] if entries and entries[0].revision == revision else None


def random_token(connection: Connection) -> ColumnElement[str]:
    """Return what makes 16 random hex digits for each row."""
    if connection.dialect.name == "sqlite":
        return func.lower(func.hex(func.randomblob(8)))
    return func.right(func.replace(cast(func.gen_random_uuid(), String), "-", ""), 16)


class Erasures(Rows):
    """Reads which removals may have left traces in files beside the database's rows."""

    def pending(self) -> datetime | None:
        """Return when the oldest erasure began that is not finished, or None.

        One that the change under way begins is not among them.
        """
        oldest = self._snapshot.state.erasing_since
        return None if oldest is None else stored_rows.moment_of(oldest)

    def newest(self) -> int:
        """Return the id of the newest erasure that is not finished, or 0."""
        return int(self._connection.execute(select(func.max(erasures.c.id))).scalar() or 0)

    def clear(self, up_to_id: int) -> None:
        """Note, in a change, that erasures are finished, up to one."""
        self._connection.execute(delete(erasures).where(erasures.c.id <= up_to_id))


class Effects:
    """What one change did beside its rows; all writers of the change share it.

    ``now`` is the time of all its rows, ISO 8601 in UTC; ``touched`` are the ids of the spaces
    whose centroids changed, adapted ones too; ``erased_vectors`` are the removed sample vectors as
    they were stored; ``erased`` says whether rows of voices were removed;
    ``new_speakers`` are the ids of added speakers who have no sample yet, ``enrolled`` those of
    speakers who got samples; ``protection`` is what the change leaves; ``audit`` says what is
    recorded.
    """

    def __init__(self, snapshot: Snapshot, audit: AuditOptions | None = None) -> None:
        self.snapshot = snapshot
        self.connection, self.protection = snapshot.connection, snapshot.protection
        self.audit = audit or AuditOptions()
        self.now = datetime.now(UTC).isoformat()
        self.touched: set[str] = set()
        self.erased_vectors: list[bytes] = []
        self.erased = False
        self.new_speakers: set[int] = set()
        self.enrolled: set[int] = set()
        self._stamped: set[int] = set()
        self._forgot = False

    @property
    def moved(self) -> bool:
        """Whether voices were changed or removed: then the feed has moved, or is about to."""
        return self.erased or bool(self.touched)

    def changed(self, changed: Iterable[tuple[int, str]]) -> None:
        """Append centroids, by id and space, to the feed."""
        entries = []
        for centroid_id, space_id in changed:
            self.touched.add(space_id)
            entries.append({"centroid_id": centroid_id, "token": secrets.token_hex(8)})
        if entries:
            self.connection.execute(insert(changes), entries)

    def erase(self, vectors: Iterable[bytes]) -> None:
        """Write down, once a change, that voices were removed; their traces are still to go."""
        self.erased_vectors += vectors
        if self.erased_vectors:
            self.forget()
        if not self.erased:
            self.erased = True
            self.connection.execute(insert(erasures).values(created_at=self.now))

    def forget(self) -> None:
        """Drop what a service keeps of its answers, which may name who is erased, once a change."""
        if not self._forgot:
            self._forgot = True
            forget_results(self.connection)
            forget_answers(self.connection)

    def stamped(self, speaker_ids: Iterable[int]) -> None:
        """Note that the rows of speakers have the time of this change."""
        self._stamped.update(speaker_ids)

    def stamp(self, speaker_ids: Collection[int]) -> None:
        """Give speakers the time of this change, once a change."""
        new = set(speaker_ids) - self._stamped
        if new:
            theirs = in_list(self.connection, speakers.c.id, new)
            self.connection.execute(update(speakers).where(theirs).values(updated_at=self.now))
            self.stamped(new)


class FeedOfChange(Feed):
    """The same in a change, which appends to it."""

    def __init__(self, effects: Effects) -> None:
        super().__init__(effects.snapshot)
        self._effects = effects

    def revision(self) -> Revision:
        """Return the newest point of the feed, with what the change appended."""
        if self._effects.moved:
            return _revision(read_state(self._connection))
        return super().revision()


def _revision(state: Any) -> Revision:
    return EMPTY_REVISION if state.revision is None else Revision(state.revision, state.token)
