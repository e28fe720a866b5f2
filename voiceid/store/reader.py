"""What can be asked of the database, inside one transaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Row, Select, func, select

from voiceid.domain import (
    EMPTY_REVISION,
    CentroidTable,
    Enrolled,
    FeedEntry,
    Float32Array,
    Revision,
    Sample,
    Speaker,
    SpeakerRef,
    speaker_key,
    speaker_name,
    tag,
)
from voiceid.errors import SpeakerNotFound
from voiceid.store import rows
from voiceid.store.among import among
from voiceid.store.checked import CheckedReader
from voiceid.store.counted import CountedReader
from voiceid.store.model_changes import ModelChangesReader
from voiceid.store.searching import SearchingReader
from voiceid.store.tables import (
    adaptations,
    centroids,
    changes,
    embedding_spaces,
    memberships,
    samples,
    speakers,
)

_STREAMED = 4096
"""Rows that are in memory at once, where all of a space are read."""
_PAGE = 2000
"""Speakers that are read at once: a few megabytes with their samples."""


class Reader(ModelChangesReader, CountedReader, CheckedReader, SearchingReader):
    """Reads one snapshot of the database.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    """

    def revision(self) -> Revision:
        """Return the newest point of the change feed."""
        row = self._connection.execute(
            select(changes.c.revision, changes.c.token).order_by(changes.c.revision.desc()).limit(1)
        ).first()
        return EMPTY_REVISION if row is None else Revision(row.revision, row.token)

    def has_revision(self, revision: Revision) -> bool:
        """Whether the feed passed through this very point, token and all."""
        if revision == EMPTY_REVISION:
            return True
        token = self._connection.execute(
            select(changes.c.token).where(changes.c.revision == revision.number)
        ).scalar()
        return token == revision.token

    def changes_since(self, number: int) -> list[FeedEntry]:
        """Return the feed after a revision's number, oldest first."""
        query = (
            select(changes.c.revision, changes.c.token, changes.c.centroid_id)
            .where(changes.c.revision > number)
            .order_by(changes.c.revision)
        )
        found = self._connection.execute(query)
        return [FeedEntry(Revision(row.revision, row.token), row.centroid_id) for row in found]

    def spaces(self) -> dict[str, int]:
        """Return the dimension of each embedding space that was ever enrolled in."""
        found = self._connection.execute(select(embedding_spaces.c.id, embedding_spaces.c.dim))
        return {row.id: row.dim for row in found}

    def centroids(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        """Return the centroids of a space, by id: all of them, or those of ``ids`` that are left.

        Raises
        ------
        StoreError
            A vector is damaged.
        """
        query = _vectors_of(space_id)
        if ids is None:
            return self._table(space_id, self._connection.execute(query).all())
        mine = query.where(among(self._connection, centroids.c.id, ids))
        return self._table(space_id, self._connection.execute(mine).all())

    def centroid_ids(self, space_id: str) -> npt.NDArray[np.int64]:
        """Return the ids (n,) of all centroids of a space, rising."""
        mine = select(centroids.c.id).where(centroids.c.space_id == space_id)
        query = mine.order_by(centroids.c.id).execution_options(yield_per=_STREAMED)
        return np.fromiter(self._connection.execute(query).scalars(), dtype=np.int64)

    def centroid_batches(self, space_id: str) -> Iterator[CentroidTable]:
        """Yield the centroids of a space by rising ids, some thousand at a time.

        Raises
        ------
        StoreError
            A vector is damaged.
        """
        query = _vectors_of(space_id).execution_options(yield_per=_STREAMED)
        for found in self._connection.execute(query).partitions():
            yield self._table(space_id, found)

    def _table(self, space_id: str, found: Sequence[Row[Any]]) -> CentroidTable:
        """Return centroids of rows; raises StoreError when a vector is damaged."""
        return rows.centroids(found, self.spaces().get(space_id, 0), space_id)

    def centroids_of(self, speaker_ids: Sequence[int], space_id: str) -> dict[int, Float32Array]:
        """Return the centroids (dim,) of speakers in a space, by speaker; StoreError if damaged."""
        query = select(centroids.c.speaker_id, centroids.c.vector).where(
            centroids.c.space_id == space_id,
            among(self._connection, centroids.c.speaker_id, speaker_ids),
        )
        found = self._connection.execute(query).all()
        dim = self.spaces().get(space_id, 0)
        vectors = rows.vectors([row.vector for row in found], dim, space_id)
        return {row.speaker_id: vector for row, vector in zip(found, vectors, strict=True)}

    def centroid_id(self, speaker_id: int, space_id: str) -> int | None:
        """Return the id of a speaker's centroid in a space, or None."""
        return self._connection.execute(
            select(centroids.c.id).where(
                centroids.c.speaker_id == speaker_id, centroids.c.space_id == space_id
            )
        ).scalar()

    def centroid(self, speaker_id: int, space_id: str) -> Float32Array | None:
        """Return a speaker's centroid (dim,) in a space, or None; raises StoreError if damaged."""
        found = self.centroid_id(speaker_id, space_id)
        return None if found is None else self.vector(found, space_id)

    def vector(self, centroid_id: int, space_id: str) -> Float32Array:
        """Return a centroid (dim,) that this snapshot has; raises StoreError if damaged."""
        table = self.centroids(space_id, [centroid_id])
        if len(table.ids) != 1:
            raise rows.lost(centroid_id)
        return table.vectors.reshape(-1)

    def count(self, space_id: str, group: str | None = None) -> int:
        """Return how many speakers have a centroid in a space: all, or the members of a group.

        Raises
        ------
        SpeakerDetailInvalid
            Nothing can be a group of that name.
        """
        query = select(func.count()).select_from(centroids).where(centroids.c.space_id == space_id)
        if group is not None:
            query = query.join(
                memberships, memberships.c.speaker_id == centroids.c.speaker_id
            ).where(memberships.c.group_name == tag("group", group))
        return int(self._connection.execute(query).scalar_one())

    def enrolled(self, centroid_ids: Sequence[int]) -> dict[int, Enrolled]:
        """Return whose centroids these are, and how they were enrolled.

        Raises
        ------
        StoreError
            A row is damaged.
        """
        query = select(
            centroids.c.id,
            centroids.c.speaker_id,
            centroids.c.n_narrowband,
            centroids.c.n_samples,
            centroids.c.net_speech_s,
            speakers.c.name,
            speakers.c.expires_at,
            speakers.c.disabled_at,
        ).join(speakers)
        mine = query.where(among(self._connection, centroids.c.id, centroid_ids))
        return {row.id: rows.enrolled(row) for row in self._connection.execute(mine)}

    def owners(self, centroid_ids: Sequence[int]) -> dict[int, Enrolled]:
        """Return whose centroids these are that were found in this snapshot; see `enrolled`.

        Raises
        ------
        StoreError
            A row is damaged, or a centroid is nobody's.
        """
        found = self.enrolled(centroid_ids)
        if missing := [one for one in centroid_ids if one not in found]:
            raise rows.lost(missing[0])
        return found

    def group(self, name: str, space_id: str, ids: Sequence[int] | None = None) -> list[int]:
        """Return the ids of the centroids in a space of the members of a group, by id.

        With ``ids``, of those among them.

        Raises
        ------
        SpeakerDetailInvalid
            Nothing can be a group of that name.
        """
        query = (
            select(centroids.c.id)
            .join(memberships, memberships.c.speaker_id == centroids.c.speaker_id)
            .where(memberships.c.group_name == tag("group", name))
            .where(centroids.c.space_id == space_id)
            .order_by(centroids.c.id)
        )
        if ids is not None:
            query = query.where(among(self._connection, centroids.c.id, ids))
        return list(self._connection.execute(query).scalars())

    def owner_of_clip(self, pcm_sha256: str) -> list[SpeakerRef]:
        """Return everybody who has a sample of this recording."""
        query = (
            select(speakers.c.id, speakers.c.name)
            .join(samples)
            .where(samples.c.pcm_sha256 == pcm_sha256)
            .distinct()
        )
        return [SpeakerRef(row.id, row.name) for row in self._connection.execute(query)]

    def owners_of_clips(self, digests: Sequence[str]) -> dict[str, list[SpeakerRef]]:
        """Return who has a sample of each recording; recordings of nobody are left out."""
        query = (
            select(samples.c.pcm_sha256, speakers.c.id, speakers.c.name)
            .join_from(samples, speakers)
            .where(among(self._connection, samples.c.pcm_sha256, digests))
            .distinct()
        )
        found: dict[str, list[SpeakerRef]] = {}
        for row in self._connection.execute(query):
            found.setdefault(row.pcm_sha256, []).append(SpeakerRef(row.id, row.name))
        return found

    def holders_of_names(self, keys: Sequence[str]) -> dict[str, SpeakerRef]:
        """Return who has each name, by its key; names that are free are left out."""
        query = select(speakers.c.name_key, speakers.c.id, speakers.c.name)
        mine = query.where(among(self._connection, speakers.c.name_key, keys))
        return {
            row.name_key: SpeakerRef(row.id, row.name) for row in self._connection.execute(mine)
        }

    def speakers(self) -> list[Speaker]:
        """Return everybody, by name; see :meth:`each_speaker` for a gallery of any size."""
        return list(self.each_speaker())

    def each_speaker(self) -> Iterator[Speaker]:
        """Yield everybody, by name, in constant memory."""
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[list[Speaker]]:
        """Yield everybody, by name, two thousand at a time."""
        page = self.page()
        while page:
            yield page
            page = self.page(after=page[-1].name)

    def page(self, after: str | None = None, limit: int = _PAGE) -> list[Speaker]:
        """Return the next ``limit`` speakers by name: the first ones, or those after a name.

        Raises
        ------
        SpeakerNameInvalid
        """
        query = select(speakers.c.id).order_by(speakers.c.name_key).limit(limit)
        if after is not None:
            query = query.where(speakers.c.name_key > speaker_key(after))
        return self._speakers(speakers.c.id.in_(query))

    def newest_change(self) -> datetime | None:
        """Return when anybody was last changed, or None when nobody is there; StoreError."""
        newest = self._connection.execute(select(func.max(speakers.c.updated_at))).scalar()
        return None if newest is None else rows.moment_of(newest)

    def expired(self, now: datetime) -> list[Speaker]:
        """Return whose expiry has come, by name, however they stand otherwise."""
        some = speakers.c.id.in_(select(speakers.c.id).where(speakers.c.expires_at.is_not(None)))
        found = self._speakers(some)
        return [one for one in found if one.expires_at is not None and now >= one.expires_at]

    def find_speaker(self, name: str) -> Speaker | None:
        """Return the speaker of that name, or None; raises SpeakerNameInvalid."""
        found = self._speakers(speakers.c.name_key == speaker_key(name))
        return found[0] if found else None

    def speaker(self, name: str) -> Speaker:
        """Return the speaker of that name; raises SpeakerNotFound, SpeakerNameInvalid."""
        found = self.find_speaker(name)
        if found is None:
            raise SpeakerNotFound(f"nobody called {speaker_name(name)!r} is enrolled")
        return found

    def samples(self, speaker_id: int, space_id: str | None = None) -> list[Sample]:
        """Return a speaker's samples, oldest first: of all spaces, or of one.

        Raises
        ------
        StoreError
            A row is damaged.
        """
        query = select(samples).where(samples.c.speaker_id == speaker_id).order_by(samples.c.id)
        if space_id is not None:
            query = query.where(samples.c.space_id == space_id)
        return [rows.sample(row) for row in self._connection.execute(query).mappings()]

    def samples_of(
        self, speaker_ids: Sequence[int], space_id: str | None = None
    ) -> dict[int, list[Sample]]:
        """Return the samples of speakers, each one's oldest first; see :meth:`samples`.

        Raises
        ------
        StoreError
            A row is damaged.
        """
        query = select(samples).order_by(samples.c.id)
        if space_id is not None:
            query = query.where(samples.c.space_id == space_id)
        found: dict[int, list[Sample]] = {id_: [] for id_ in speaker_ids}
        mine = query.where(among(self._connection, samples.c.speaker_id, speaker_ids))
        for row in self._connection.execute(mine).mappings():
            found[row["speaker_id"]].append(rows.sample(row))
        return found

    def _speakers(self, where: ColumnElement[bool]) -> list[Speaker]:
        """Return speakers by name, in one query; the totals are kept beside the centroids.

        An adapted space is no other enrolment: its centroids are of the same samples.
        """
        adapted = centroids.c.space_id.in_(select(adaptations.c.adapted_id))
        mine = (centroids.c.speaker_id == speakers.c.id) & ~adapted
        query = (
            select(speakers, centroids.c.space_id, centroids.c.n_samples, centroids.c.net_speech_s)
            .select_from(speakers.outerjoin(centroids, mine))
            .order_by(speakers.c.name_key, speakers.c.id, centroids.c.space_id)
        )
        found = self._connection.execute(query.where(where)).all()
        groups = self._groups(list({row.id for row in found}))
        by_speaker = itertools.groupby(found, lambda row: row.id)
        return [rows.speaker(list(mine), groups.get(key, ())) for key, mine in by_speaker]

    def _groups(self, speaker_ids: Sequence[int]) -> dict[int, list[str]]:
        """Return the groups of speakers, by speaker."""
        query = (
            select(memberships.c.speaker_id, memberships.c.group_name)
            .where(among(self._connection, memberships.c.speaker_id, speaker_ids))
            .order_by(memberships.c.group_name)
        )
        groups: dict[int, list[str]] = {}
        for row in self._connection.execute(query):
            groups.setdefault(row.speaker_id, []).append(row.group_name)
        return groups


def _vectors_of(space_id: str) -> Select[tuple[int, bytes]]:
    mine = centroids.c.space_id == space_id
    return select(centroids.c.id, centroids.c.vector).where(mine).order_by(centroids.c.id)
