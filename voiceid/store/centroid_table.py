"""Centroids: each derived from the samples of one speaker in one embedding space."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, func, select

from voiceid.decision.transforms import Transform
from voiceid.domain import (
    CentroidTable,
    EmbeddingSpace,
    Enrolled,
    EnrolledVoice,
    Float32Array,
    Sample,
    speaker_key,
    tag,
    telephone_share,
)
from voiceid.store import stored_rows
from voiceid.store.bound_rows import plain_row
from voiceid.store.effects import Target
from voiceid.store.protection import NAMED
from voiceid.store.snapshot import Rows
from voiceid.store.tables import (
    adaptations,
    centroids,
    embedding_spaces,
    memberships,
    samples,
    speaker_keys,
    speakers,
)
from voiceid.store.value_list import in_list, is_listed, listed

_STREAMED = 4096
"""Rows in memory at once when all rows of a space are read."""
_DERIVED = 2000
"""Speakers whose centroids are derived at once."""

_OWNERS = select(
    *(centroids.c.id, centroids.c.speaker_id, centroids.c.telephone, centroids.c.n_samples),
    *(centroids.c.net_speech_s, centroids.c.space_id, *NAMED, speakers.c.consents),
).join(speakers)
"""Built once: every decision runs it."""
_IS_REPLAY = (
    select(samples.c.id).where(samples.c.pcm_sha256 == bindparam("pcm_sha256")).exists()
).label("is_replay")
_SPACE = select(embedding_spaces.c.dim).where(embedding_spaces.c.id == bindparam("space_id"))
_DIM = _SPACE.scalar_subquery().label("dim")
_VECTORS = select(centroids, _DIM).order_by(centroids.c.id)
_VOICES = _OWNERS.add_columns(centroids.c.vector, _DIM, _IS_REPLAY)
"""As `_OWNERS`; one look-up in an index of the samples answers `_IS_REPLAY` for all rows."""
_WRAPPED = (
    select(speaker_keys.c.wrapped)
    .where(speaker_keys.c.speaker_id == centroids.c.speaker_id)
    .scalar_subquery()
    .label("wrapped")
)
"""The key of a centroid's speaker: a statement of its own takes longer than to open the row."""
_ID_OF = select(centroids.c.id).where(
    centroids.c.space_id == bindparam("space_id"), centroids.c.speaker_id == bindparam("speaker_id")
)

_ID_NAMED = (
    select(centroids.c.id)
    .join(speakers)
    .where(
        centroids.c.space_id == bindparam("space_id"), speakers.c.name_key == bindparam("name_key")
    )
)


class Centroids(Rows):
    """Reads centroids; what is damaged is a StoreError."""

    def table(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        """Return the centroids of a space, by id: all, or the ones of ``ids`` that still exist."""
        stored = self.as_stored(space_id, ids)
        return replace(stored, vectors=self._plain(stored.vectors, space_id))

    def as_stored(self, space_id: str, ids: Sequence[int] | None = None) -> CentroidTable:
        """Return the same as :meth:`table`, rotated if the gallery is: for an index."""
        if ids is None:
            rows = self._connection.execute(_vectors_of(space_id)).all()
        else:
            rows = self._of_ids(_VECTORS, space_id, ids)
        return self._table(space_id, rows)

    def _of_ids(
        self, query: Select[Any], space_id: str, ids: Sequence[int], **more: str
    ) -> Sequence[Any]:
        """Return the rows of a query for centroids of a space that have some ids."""
        parameters = {"space_id": space_id, "ids": listed(self._connection, ids), **more}
        is_sealed = self._protection.sealing is not None
        query = _among(query, self._connection.dialect.name, with_keys=is_sealed)
        rows = self._connection.execute(query, parameters).all()
        if is_sealed:
            self._protection.take(rows)
        return rows

    def _plain(self, vectors: Float32Array, space_id: str) -> Float32Array:
        return self._protection.turned(vectors, space_id, back=True)

    def ids(self, space_id: str, speaker_ids: Sequence[int] | None = None) -> npt.NDArray[np.int64]:
        """Return the ids (n,), rising, of the centroids of a space: of all or of some speakers."""
        query = select(centroids.c.id).where(centroids.c.space_id == space_id)
        if speaker_ids is not None:
            query = query.where(in_list(self._connection, centroids.c.speaker_id, speaker_ids))
        query = query.order_by(centroids.c.id).execution_options(yield_per=_STREAMED)
        return np.fromiter(self._connection.execute(query).scalars(), dtype=np.int64)

    def batches(self, space_id: str) -> Iterator[CentroidTable]:
        """Yield the centroids of a space as stored, by rising ids, some thousand at a time."""
        query = _vectors_of(space_id).execution_options(yield_per=_STREAMED)
        for rows in self._connection.execute(query).partitions():
            yield self._table(space_id, rows)

    def _table(self, space_id: str, rows: Sequence[Any]) -> CentroidTable:
        ids = np.array([row.id for row in rows], dtype=np.int64)
        return CentroidTable(ids, self._vectors(rows, space_id))

    def _vectors(self, rows: Sequence[Any], space_id: str) -> Float32Array:
        """Return the vectors (n, dim) of rows, opened but still rotated."""
        dim = rows[0].dim if rows else self._snapshot.spaces.dims().get(space_id)
        return stored_rows.vectors(self._protection.centroids.opened(rows), dim or 0, space_id)

    def of_speakers(self, speaker_ids: Sequence[int], space_id: str) -> dict[int, Float32Array]:
        """Return the centroids (dim,) of speakers in a space, by speaker."""
        theirs = in_list(self._connection, centroids.c.speaker_id, speaker_ids)
        rows = self._connection.execute(_vectors_of(space_id).where(theirs)).all()
        vectors = self._plain(self._vectors(rows, space_id), space_id)
        return {row.speaker_id: vector for row, vector in zip(rows, vectors, strict=True)}

    def totals(self, speaker_ids: Sequence[int], space_id: str) -> dict[int, tuple[int, float]]:
        """Return the number of samples and the telephone share that each centroid states."""
        query = select(centroids.c.speaker_id, centroids.c.n_samples, centroids.c.telephone)
        theirs = in_list(self._connection, centroids.c.speaker_id, speaker_ids)
        rows = self._connection.execute(query.where(centroids.c.space_id == space_id, theirs))
        return {row.speaker_id: (row.n_samples, row.telephone) for row in rows}

    def of(self, speaker_id: int, space_id: str) -> Float32Array | None:
        """Return a speaker's centroid (dim,) in a space, or None."""
        return self.of_speakers([speaker_id], space_id).get(speaker_id)

    def id_of(self, speaker_id: int, space_id: str) -> int | None:
        """Return the id of a speaker's centroid in a space, or None."""
        asked = {"space_id": space_id, "speaker_id": speaker_id}
        return self._connection.execute(_ID_OF, asked).scalar()

    def id_named(self, name: str, space_id: str) -> int | None:
        """Return the id of the centroid in a space of the speaker of a name, or None."""
        asked = {"space_id": space_id, "name_key": self._protection.name_key(speaker_key(name))}
        return self._connection.execute(_ID_NAMED, asked).scalar()

    def first_id(self, space_id: str) -> int | None:
        """Return the lowest id of a centroid in a space, or None."""
        query = select(func.min(centroids.c.id)).where(centroids.c.space_id == space_id)
        return self._connection.execute(query).scalar()

    def ids_of(self, speaker_ids: Sequence[int], space_id: str) -> list[int]:
        """Return the ids of the centroids of speakers in a space, rising."""
        theirs = in_list(self._connection, centroids.c.speaker_id, speaker_ids)
        query = select(centroids.c.id).where(centroids.c.space_id == space_id, theirs)
        return list(self._connection.execute(query.order_by(centroids.c.id)).scalars())

    def count(self, space_id: str, group: str | None = None) -> int:
        """Return the number of speakers with a centroid in a space: of all, or of a group."""
        query = select(func.count()).select_from(centroids).where(centroids.c.space_id == space_id)
        if group is not None:
            query = query.where(_is_member(group))
        return int(self._connection.execute(query).scalar_one())

    def counts(self) -> dict[str, int]:
        """Return the number of centroids in each embedding space that has any."""
        return stored_rows.counts(self._connection, centroids.c.space_id)

    def owners(self, centroid_ids: Sequence[int]) -> dict[int, Enrolled]:
        """Return the speakers of centroids and how they were enrolled, by centroid id."""
        query = _OWNERS.where(in_list(self._connection, centroids.c.id, centroid_ids))
        rows = self._protection.named(self._connection.execute(query).all(), "speaker_id")
        owners = {row.id: stored_rows.enrolled(row) for row in rows}
        if missing := [id_ for id_ in centroid_ids if id_ not in owners]:
            raise stored_rows.damaged_row(f"the centroid {missing[0]}")
        return owners

    def voices(
        self, centroid_ids: Sequence[int], space: EmbeddingSpace, pcm_sha256: str = ""
    ) -> dict[int, EnrolledVoice]:
        """Return the enrolments of centroids of a space, by id; removed centroids are left out.

        ``pcm_sha256`` is the hash of the recording to decide on, or empty.
        """
        recording = self._protection.recording(pcm_sha256)
        rows = self._of_ids(_VOICES, space.id, centroid_ids, pcm_sha256=recording)
        vectors = self._plain(self._vectors(rows, space.id), space.id)
        return stored_rows.voices(self._protection.named(rows, "speaker_id"), vectors)

    def group(self, name: str, space_id: str, ids: Sequence[int] | None = None) -> list[int]:
        """Return the ids, rising, of a group's centroids in a space: all, or among ``ids``."""
        query = select(centroids.c.id).where(centroids.c.space_id == space_id, _is_member(name))
        query = query.order_by(centroids.c.id)
        if ids is not None:
            query = query.where(in_list(self._connection, centroids.c.id, ids))
        return list(self._connection.execute(query).scalars())


class CentroidWriter(Centroids):
    """Derives centroids."""

    def targets(self, space_id: str) -> list[Target]:
        """Return the spaces in which samples of a space have a centroid: itself, adapted ones."""
        by_space = self._effects.targets
        if space_id not in by_space:  # read once a change
            query = select(adaptations).where(adaptations.c.space_id == space_id)
            rows = self._connection.execute(query.order_by(adaptations.c.id))
            plain = (plain_row(self._protection, adaptations, row) for row in rows.all())
            adapted = map(stored_rows.adaptation, plain)
            by_space[space_id] = [(space_id, None), *((a.adapted_id, a.transform) for a in adapted)]
        return by_space[space_id]

    def derive(
        self,
        speaker_ids: Sequence[int],
        space_id: str,
        known: Mapping[int, Sequence[Sample]] | None = None,
    ) -> None:
        """Derive centroids of speakers from their samples of a space; remove those without samples.

        ``known``: all samples of these speakers, if the caller has just written them.
        """
        self._derive(speaker_ids, space_id, self.targets(space_id), known)

    def adapt(self, space_id: str, adapted_id: str, transform: Transform) -> None:
        """Derive the centroids in a new adapted space, of all speakers in the space."""
        self._effects.targets.pop(space_id, None)
        query = select(centroids.c.speaker_id).where(centroids.c.space_id == space_id)
        speaker_ids = self._connection.execute(query.order_by(centroids.c.id)).scalars().all()
        for i in range(0, len(speaker_ids), _DERIVED):
            self._derive(speaker_ids[i : i + _DERIVED], space_id, [(adapted_id, transform)])

    def remove_space(self, space_id: str) -> None:
        """Remove all centroids of an adapted space."""
        self._effects.targets.clear()
        gone = self._connection.execute(
            delete(centroids).where(centroids.c.space_id == space_id).returning(centroids.c.id)
        )
        self._effects.changed([(id_, space_id) for id_ in gone.scalars()])

    def _samples(self, speaker_ids: Sequence[int], space_id: str) -> dict[int, list[Sample]]:
        theirs = in_list(self._connection, samples.c.speaker_id, speaker_ids)
        query = select(samples).where(theirs, samples.c.space_id == space_id)
        by_speaker: dict[int, list[Sample]] = {}
        rows = self._connection.execute(query.order_by(samples.c.id)).all()
        for row in self._protection.samples(rows):
            by_speaker.setdefault(row.speaker_id, []).append(stored_rows.sample(row))
        return by_speaker

    def _derive(
        self,
        speaker_ids: Sequence[int],
        space_id: str,
        targets: Sequence[Target],
        known: Mapping[int, Sequence[Sample]] | None = None,
    ) -> None:
        by_speaker = known or self._samples(speaker_ids, space_id)
        changed: list[tuple[int, str]] = []
        if by_speaker:
            rows = [
                self._protection.centroids.stored(_row(by_speaker[speaker_id], target))
                for speaker_id in sorted(by_speaker)
                for target in targets
            ]
            upserted = self._connection.execute(_upserting(self._connection), rows)
            changed += [(row.id, row.space_id) for row in upserted]
        if empty := [id_ for id_ in speaker_ids if id_ not in by_speaker]:
            gone = self._connection.execute(
                delete(centroids)
                .where(in_list(self._connection, centroids.c.speaker_id, empty))
                .where(centroids.c.space_id.in_([target for target, _ in targets]))
                .returning(centroids.c.id, centroids.c.space_id)
            )
            changed += [(row.id, row.space_id) for row in gone]
        self._effects.changed(changed)
        self._effects.stamp(speaker_ids)


def _is_member(group: str) -> ColumnElement[bool]:
    """Whether the speaker of a centroid is in a group; raises SpeakerDetailInvalid."""
    is_named = memberships.c.group_name == tag("group", group)
    return centroids.c.speaker_id.in_(select(memberships.c.speaker_id).where(is_named))


def _row(of_speaker: Sequence[Sample], target: Target) -> dict[str, object]:
    """Return the row of a centroid."""
    space_id, transform = target
    return {
        "speaker_id": of_speaker[0].speaker_id,
        "space_id": space_id,
        "vector": stored_rows.centroid_of(of_speaker, transform).astype("<f4").tobytes(),
        "n_samples": len(of_speaker),
        "telephone": telephone_share([sample.quality.telephone for sample in of_speaker]),
        "net_speech_s": sum(sample.quality.net_speech_s for sample in of_speaker),
    }


def _upserting(connection: Connection) -> Any:
    """Return the statement that inserts or updates centroids, and returns their ids."""
    dialect = importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    new = dialect.insert(centroids)
    facts = ("vector", "telephone", "n_samples", "net_speech_s")
    return new.on_conflict_do_update(
        index_elements=[centroids.c.speaker_id, centroids.c.space_id],
        set_={name: new.excluded[name] for name in facts},
    ).returning(centroids.c.id, centroids.c.space_id)


def _vectors_of(space_id: str) -> Select[Any]:
    return _VECTORS.where(centroids.c.space_id == bindparam("space_id")).params(space_id=space_id)


@functools.cache
def _among(query: Select[Any], dialect: str, *, with_keys: bool) -> Select[Any]:
    """Return a query for rows of ``ids`` in ``space_id``, built once: it is asked each time."""
    query = query.add_columns(_WRAPPED) if with_keys else query
    query = query.where(centroids.c.space_id == bindparam("space_id"))
    return query.where(is_listed(dialect, centroids.c.id, "ids"))
