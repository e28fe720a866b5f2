"""What can be asked of the database and done to it, inside one transaction."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    func,
    insert,
    select,
    update,
)

from voiceid import embeddings
from voiceid.domain import (
    EMPTY_REVISION,
    CentroidTable,
    EmbeddingSpace,
    Float32Array,
    NewSample,
    Revision,
    Sample,
    Speaker,
    SpeakerRef,
    speaker_key,
    speaker_name,
)
from voiceid.errors import SpeakerExists, SpeakerNotFound
from voiceid.store import rows
from voiceid.store.tables import centroids, changes, embedding_spaces, samples, speakers

_BATCH = 500
"""Ids in one IN (...): SQLite's oldest limit on parameters is 999."""


class Reader:
    """Reads one snapshot of the database.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

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

    def changes_since(self, number: int) -> list[int]:
        """Return the ids of the centroids that changed after a revision, each once."""
        query = select(changes.c.centroid_id).where(changes.c.revision > number).distinct()
        return list(self._connection.execute(query).scalars())

    def faults(self) -> list[str]:
        """Return what SQLite's own checks of its pages and references find, in sentences."""
        pages = self._connection.exec_driver_sql("PRAGMA integrity_check").scalars()
        dangling = self._connection.exec_driver_sql("PRAGMA foreign_key_check")
        return [f"SQLite: {said}" for said in pages if said != "ok"] + [
            f"a row of {row[0]} refers to a {row[2]} that is not there" for row in dangling
        ]

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
        query = (
            select(centroids.c.id, centroids.c.vector)
            .where(centroids.c.space_id == space_id)
            .order_by(centroids.c.id)
        )
        dim = self.spaces().get(space_id, 0)
        found = (
            self._connection.execute(query).all()
            if ids is None
            else [
                row
                for batch in _batches(ids)
                for row in self._connection.execute(query.where(centroids.c.id.in_(batch)))
            ]
        )
        if any(not isinstance(row.vector, bytes) or len(row.vector) != 4 * dim for row in found):
            raise rows.damaged(space_id)
        joined = np.frombuffer(b"".join(row.vector for row in found), dtype="<f4")
        vectors = joined.reshape(len(found), dim).astype(np.float32)
        rows.require_unit(vectors, space_id)
        return CentroidTable(np.array([row.id for row in found], dtype=np.int64), vectors)

    def centroid(self, speaker_id: int, space_id: str) -> Float32Array | None:
        """Return a speaker's centroid (dim,) in a space, or None; raises StoreError if damaged."""
        found = self._connection.execute(
            select(centroids.c.id).where(
                centroids.c.speaker_id == speaker_id, centroids.c.space_id == space_id
            )
        ).scalar()
        return None if found is None else self.centroids(space_id, [found]).vectors[0]

    def count(self, space_id: str) -> int:
        """Return how many speakers have a centroid in a space."""
        query = select(func.count()).where(centroids.c.space_id == space_id)
        return int(self._connection.execute(query).scalar_one())

    def owners(self, centroid_ids: Sequence[int]) -> dict[int, SpeakerRef]:
        """Return whose centroids these are."""
        query = select(centroids.c.id, centroids.c.speaker_id, speakers.c.name).join(speakers)
        return {
            row.id: SpeakerRef(row.speaker_id, row.name)
            for batch in _batches(centroid_ids)
            for row in self._connection.execute(query.where(centroids.c.id.in_(batch)))
        }

    def narrowband_shares(self, speaker_ids: Sequence[int], space_id: str) -> dict[int, float]:
        """Return the share, 0 to 1, of each speaker's samples in a space that are narrowband."""
        query = select(
            centroids.c.speaker_id, centroids.c.n_narrowband, centroids.c.n_samples
        ).where(centroids.c.space_id == space_id)
        return {
            row.speaker_id: row.n_narrowband / row.n_samples
            for batch in _batches(speaker_ids)
            for row in self._connection.execute(query.where(centroids.c.speaker_id.in_(batch)))
        }

    def owner_of_clip(self, pcm_sha256: str) -> list[SpeakerRef]:
        """Return everybody who has a sample of this recording."""
        query = (
            select(speakers.c.id, speakers.c.name)
            .join(samples)
            .where(samples.c.pcm_sha256 == pcm_sha256)
            .distinct()
        )
        return [SpeakerRef(row.id, row.name) for row in self._connection.execute(query)]

    def speakers(self) -> list[Speaker]:
        """Return everybody, by name."""
        return self._speakers()

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

    def _speakers(self, where: ColumnElement[bool] | None = None) -> list[Speaker]:
        """Return speakers by name, in one query; the totals are kept beside the centroids."""
        query = (
            select(speakers, centroids.c.space_id, centroids.c.n_samples, centroids.c.net_speech_s)
            .outerjoin(centroids)
            .order_by(speakers.c.name_key, speakers.c.id, centroids.c.space_id)
        )
        found = self._connection.execute(query if where is None else query.where(where))
        by_speaker = itertools.groupby(found, lambda row: row.id)
        return [rows.speaker(list(mine)) for _, mine in by_speaker]


class Writer(Reader):
    """Reads and changes the database; everything is committed at once, or nothing.

    ``erased`` tells whether voices were removed, so that their remains are to be cleared.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.erased = False

    def add_speaker(self, name: str) -> Speaker:
        """Add a speaker without samples; raises SpeakerExists, SpeakerNameInvalid."""
        self._require_free(name)
        now = _now()
        self._connection.execute(
            insert(speakers).values(
                name=speaker_name(name), name_key=speaker_key(name), created_at=now, updated_at=now
            )
        )
        return self.speaker(name)

    def add_samples(self, speaker_id: int, space: EmbeddingSpace, new: Sequence[NewSample]) -> None:
        """Add samples to a speaker and derive the centroid anew.

        Raises
        ------
        ValueError
            An utterance has no embedding, or not one of unit length.
        SpaceMismatch
            An embedding is of another space.
        StoreError
            The speaker has one of the clips already, or there is no such speaker.
        """
        known = select(embedding_spaces.c.id).where(embedding_spaces.c.id == space.id)
        if self._connection.execute(known).first() is None:
            facts = json.dumps(space.to_dict())
            self._connection.execute(
                insert(embedding_spaces).values(id=space.id, dim=space.dim, facts=facts)
            )
        now = _now()
        made = [rows.sample_row(speaker_id, space, sample, now) for sample in new]
        if made:
            self._connection.execute(insert(samples), made)
        self._derive(speaker_id, space.id)

    def remove_samples(self, speaker_id: int, space_id: str) -> None:
        """Remove a speaker's samples and centroid of a space; other spaces stay."""
        self.erased = True
        self._connection.execute(
            delete(samples).where(
                samples.c.speaker_id == speaker_id, samples.c.space_id == space_id
            )
        )
        self._derive(speaker_id, space_id)

    def rename_speaker(self, speaker_id: int, new_name: str) -> None:
        """Give a speaker another name; raises SpeakerExists, SpeakerNameInvalid."""
        self._require_free(new_name, but_for=speaker_id)
        self._connection.execute(
            update(speakers)
            .where(speakers.c.id == speaker_id)
            .values(name=speaker_name(new_name), name_key=speaker_key(new_name), updated_at=_now())
        )

    def remove_speaker(self, speaker_id: int) -> None:
        """Erase a speaker with all samples and centroids."""
        self.erased = True
        mine = select(centroids.c.id).where(centroids.c.speaker_id == speaker_id)
        for centroid_id in list(self._connection.execute(mine).scalars()):
            self._changed(centroid_id)
        self._connection.execute(delete(speakers).where(speakers.c.id == speaker_id))

    def _derive(self, speaker_id: int, space_id: str) -> None:
        """Make a speaker's centroid of a space anew, and tell the feed."""
        mine = (centroids.c.speaker_id == speaker_id) & (centroids.c.space_id == space_id)
        old = self._connection.execute(select(centroids.c.id).where(mine)).scalar()
        left = self.samples(speaker_id, space_id)
        if not left:
            if old is not None:
                self._connection.execute(delete(centroids).where(mine))
                self._changed(old)
            return
        try:
            mean = embeddings.centroid(np.array([sample.vector for sample in left]))
        except ValueError as error:
            raise rows.damaged(space_id) from error
        values = {
            "vector": mean.astype("<f4").tobytes(),
            "n_samples": len(left),
            "n_narrowband": sum(sample.quality.narrowband for sample in left),
            "net_speech_s": sum(sample.quality.net_speech_s for sample in left),
        }
        if old is None:
            made = self._connection.execute(
                insert(centroids).values(speaker_id=speaker_id, space_id=space_id, **values)
            ).inserted_primary_key
            old = int(made[0]) if made else 0
        else:
            self._connection.execute(update(centroids).where(mine).values(**values))
        self._changed(old)
        self._connection.execute(
            update(speakers).where(speakers.c.id == speaker_id).values(updated_at=_now())
        )

    def _changed(self, centroid_id: int) -> None:
        token = secrets.token_hex(8)
        self._connection.execute(insert(changes).values(centroid_id=centroid_id, token=token))

    def _require_free(self, name: str, but_for: int | None = None) -> None:
        holder = self.find_speaker(name)
        if holder is not None and holder.id != but_for:
            raise SpeakerExists(
                f"the name {speaker_name(name)!r} is taken by the speaker {holder.name!r}",
                hint="Choose another name, or remove that speaker first.",
            )


def _batches(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[i : i + _BATCH] for i in range(0, len(ids), _BATCH))


def _now() -> str:
    return datetime.now(UTC).isoformat()
