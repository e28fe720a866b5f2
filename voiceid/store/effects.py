"""What one change did beside its rows."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import Connection, insert, or_, update

from voiceid.decision.transforms import Transform
from voiceid.domain import JobState
from voiceid.domain.audit_chain import AuditOptions
from voiceid.store.protection import Protection
from voiceid.store.tables import changes, erasures, jobs, kept_answers, speakers
from voiceid.store.value_list import in_list

IS_OVER = jobs.c.state.in_([state.value for state in JobState if state.is_over])
"""The condition that a job's row is one that ended."""
_FORGOTTEN_RESULTS = (
    update(jobs)
    .where(or_(IS_OVER & jobs.c.result.is_not(None), jobs.c.state == JobState.RUNNING.value))
    .values(result=None, pictures=None, is_forgotten=1)
)
"""Drops the results of jobs, also those of jobs that are running."""
_FORGOTTEN_ANSWERS = update(kept_answers).values(answer=None, is_forgotten=1)
"""Drops the texts of all kept answers; the record that the requests were made stays."""

Target: TypeAlias = tuple[str, Transform | None]
"""A space in which samples have a centroid, and the transform to it from their own space."""


class Effects:
    """What one change did beside its rows; all writers of the change share it.

    ``now`` is the time of all its rows, ISO 8601 in UTC; ``touched`` are the ids of the spaces
    with changed centroids, adapted ones too; ``erased_vectors`` are the removed sample vectors as
    stored; ``erased`` says whether rows of voices were removed; ``new_speakers`` are the ids of
    added speakers without samples yet, ``enrolled`` those of speakers who got samples; ``targets``
    are the spaces in which samples of a space have a centroid, if they were read; ``protection``
    is the protection after the change; ``audit`` says what is recorded.
    """

    def __init__(
        self, connection: Connection, protection: Protection, audit: AuditOptions | None = None
    ) -> None:
        self.connection, self.protection = connection, protection
        self.audit = audit or AuditOptions()
        self.now = datetime.now(UTC).isoformat()
        self.touched: set[str] = set()
        self.erased_vectors: list[bytes] = []
        self.erased = False
        self.new_speakers: set[int] = set()
        self.enrolled: set[int] = set()
        self.targets: dict[str, list[Target]] = {}
        self._stamped: set[int] = set()
        self._forgot = False

    @property
    def moved(self) -> bool:
        """Whether voices were changed or removed: then the feed has moved, or will move."""
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
        """Record, once a change, that voices were removed; their traces are cleared later."""
        self.erased_vectors += vectors
        if self.erased_vectors:
            self.forget()
        if not self.erased:
            self.erased = True
            self.connection.execute(insert(erasures).values(created_at=self.now))

    def forget(self) -> None:
        """Drop the kept answers of a service, once a change: they may name an erased person."""
        if not self._forgot:
            self._forgot = True
            for forgotten in (_FORGOTTEN_RESULTS, _FORGOTTEN_ANSWERS):
                self.connection.execute(forgotten)

    def stamped(self, speaker_ids: Iterable[int]) -> None:
        """Record that the rows of speakers have the time of this change."""
        self._stamped.update(speaker_ids)

    def stamp(self, speaker_ids: Collection[int]) -> None:
        """Give speakers the time of this change, once a change."""
        new = set(speaker_ids) - self._stamped
        if new:
            theirs = in_list(self.connection, speakers.c.id, new)
            self.connection.execute(update(speakers).where(theirs).values(updated_at=self.now))
            self.stamped(new)
