"""Samples: each is one recording of one speaker in one embedding space."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace

from sqlalchemy import ColumnElement, delete, insert, select

from voiceid.domain import EmbeddingSpace, NewSample, Sample, SpeakerRef
from voiceid.store import stored_rows
from voiceid.store.centroid_table import CentroidWriter
from voiceid.store.fingerprint_table import FingerprintWriter
from voiceid.store.learned_from import LearnedFrom
from voiceid.store.protection import NAMED
from voiceid.store.snapshot import Rows, Snapshot
from voiceid.store.tables import samples, speakers
from voiceid.store.value_list import in_list


class Samples(Rows):
    """Reads samples; a damaged row is a StoreError."""

    def of(self, speaker_id: int, space_id: str | None = None) -> list[Sample]:
        """Return a speaker's samples, oldest first: of all spaces, or of one."""
        return self._where(samples.c.speaker_id == speaker_id, space_id)

    def of_speakers(
        self, speaker_ids: Sequence[int], space_id: str | None = None
    ) -> dict[int, list[Sample]]:
        """Return the samples of speakers, by speaker; see :meth:`of`."""
        by_speaker: dict[int, list[Sample]] = {id_: [] for id_ in speaker_ids}
        theirs = in_list(self._connection, samples.c.speaker_id, speaker_ids)
        for sample in self._where(theirs, space_id):
            by_speaker[sample.speaker_id].append(sample)
        return by_speaker

    def owners(self, digests: Collection[str]) -> dict[str, list[SpeakerRef]]:
        """Return the speakers with a sample of each recording, by the recording's SHA-256.

        Recordings without a sample are left out.
        """
        stored = {self._protection.recording(digest): digest for digest in digests}
        query = (
            select(samples.c.pcm_sha256, speakers.c.id, *NAMED)
            .join_from(samples, speakers)
            .where(in_list(self._connection, samples.c.pcm_sha256, list(stored)))
            .distinct()
        )
        owners: dict[str, list[SpeakerRef]] = {}
        for row in self._protection.named(self._connection.execute(query).all()):
            owners.setdefault(stored[row.pcm_sha256], []).append(SpeakerRef(row.id, row.name))
        return owners

    def stored_hashes(self, among: Collection[str]) -> set[str]:
        """Return the stored hashes of recordings, among some, that have a sample."""
        query = select(samples.c.pcm_sha256).distinct()
        query = query.where(in_list(self._connection, samples.c.pcm_sha256, among))
        return set(self._connection.execute(query).scalars())

    def with_copies(self, chosen: Sequence[Sample]) -> list[Sample]:
        """Return samples, with those that a switch of the model added for the same recordings."""
        spaces = {
            space_id: self._snapshot.spaces.joined(space_id)
            for space_id in {s.space_id for s in chosen}
        }
        if all(len(joined) == 1 for joined in spaces.values()):
            return list(chosen)
        recordings = {
            (sample.speaker_id, space_id, sample.pcm_sha256)
            for sample in chosen
            for space_id in spaces[sample.space_id]
        }
        speaker_ids = {sample.speaker_id for sample in chosen}
        return [
            sample
            for sample in self._where(in_list(self._connection, samples.c.speaker_id, speaker_ids))
            if (sample.speaker_id, sample.space_id, sample.pcm_sha256) in recordings
        ]

    def are_owned(self, owners: Mapping[int, int]) -> bool:
        """Whether samples are there, by id, and each is of the same speaker."""
        query = select(samples.c.id, samples.c.speaker_id)
        query = query.where(in_list(self._connection, samples.c.id, list(owners)))
        return {row.id: row.speaker_id for row in self._connection.execute(query)} == dict(owners)

    def counts(self) -> dict[str, int]:
        """Return the number of samples in each embedding space that has any."""
        return stored_rows.counts(self._connection, samples.c.space_id)

    def _where(self, condition: ColumnElement[bool], space_id: str | None = None) -> list[Sample]:
        query = select(samples).where(condition).order_by(samples.c.id)
        if space_id is not None:
            query = query.where(samples.c.space_id == space_id)
        rows = self._protection.samples(self._connection.execute(query).all())
        return [stored_rows.sample(row) for row in rows]


class SampleWriter(Samples):
    """Changes samples; the centroids follow in the same transaction."""

    def __init__(self, snapshot: Snapshot, centroids: CentroidWriter) -> None:
        super().__init__(snapshot)
        self._centroids, self._fingerprints = centroids, FingerprintWriter(snapshot)

    def add(self, speaker_id: int, space: EmbeddingSpace, new: Sequence[NewSample]) -> None:
        """Add samples to a speaker.

        Raises ValueError for an utterance without a unit vector, SpaceMismatch for an utterance of
        another space, and StoreError when the speaker has a clip already, or does not exist.
        """
        self._snapshot.spaces.know(space)
        self._effects.enrolled.add(speaker_id)
        rows = [stored_rows.sample_row(speaker_id, space, s, self._effects.now) for s in new]
        if rows:
            stored = [self._protection.stored_sample(row) for row in rows]
            self._connection.execute(insert(samples), stored)
        written: dict[int, list[Sample]] = {}
        if speaker_id in self._effects.new_speakers:  # then these are all samples of the speaker
            self._effects.new_speakers.discard(speaker_id)
            written[speaker_id] = [stored_rows.sample(SimpleNamespace(id=0, **r)) for r in rows]
        self._centroids.derive([speaker_id], space.id, written)

    def remove_of(self, speaker_id: int, space_id: str) -> None:
        """Remove a speaker's samples of a space and of the spaces that switches join to it."""
        spaces = in_list(
            self._connection, samples.c.space_id, self._snapshot.spaces.joined(space_id)
        )
        self._remove((samples.c.speaker_id == speaker_id) & spaces)

    def remove(self, gone: Sequence[Sample]) -> None:
        """Remove samples, of any speakers and spaces."""
        self._remove(in_list(self._connection, samples.c.id, [sample.id for sample in gone]))

    def move(self, moved: Sequence[Sample], to_speaker_id: int) -> int:
        """Give samples to another speaker; return how many were dropped as repeats.

        Samples keep their ids and dates.  A recording that the other speaker already has in that
        space is removed instead.
        """
        self._effects.enrolled.add(to_speaker_id)
        already_there = {(s.space_id, s.pcm_sha256) for s in self.of(to_speaker_id)}
        kept = {s.id for s in moved if (s.space_id, s.pcm_sha256) not in already_there}
        theirs = in_list(self._connection, samples.c.id, [sample.id for sample in moved])
        rows = self._connection.execute(delete(samples).where(theirs).returning(samples)).all()
        if new := [self._protection.moved(row, to_speaker_id) for row in rows if row.id in kept]:
            self._connection.execute(insert(samples), new)
        if dropped := [row.vector for row in rows if row.id not in kept]:
            self._effects.erase(dropped)
        LearnedFrom(self._snapshot).moved({row.speaker_id for row in rows}, to_speaker_id)
        from_ids, recordings = {row.speaker_id for row in rows}, {row.pcm_sha256 for row in rows}
        self._fingerprints.move(from_ids, to_speaker_id, recordings)
        changed = {(row.speaker_id, row.space_id) for row in rows}
        self._derive(changed | {(to_speaker_id, row["space_id"]) for row in new})
        return len(dropped)

    def _remove(self, condition: ColumnElement[bool]) -> None:
        columns = (samples.c.vector, samples.c.speaker_id, samples.c.space_id)
        gone = self._connection.execute(delete(samples).where(condition).returning(*columns)).all()
        if gone:
            self._effects.erase(row.vector for row in gone)
            self._fingerprints.drop_unenrolled({row.speaker_id for row in gone})
            self._derive({(row.speaker_id, row.space_id) for row in gone})

    def _derive(self, changed: Collection[tuple[int, str]]) -> None:
        for space_id in sorted({space_id for _, space_id in changed}):
            ids = sorted(speaker_id for speaker_id, space in changed if space == space_id)
            self._centroids.derive(ids, space_id)
