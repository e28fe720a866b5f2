"""Switches of the model: which space replaces which, and the samples to convert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from voiceid.domain import EmbeddingSpace, ModelSwitch, Sample
from voiceid.store import stored_rows
from voiceid.store.protection import NAMED
from voiceid.store.snapshot import Rows
from voiceid.store.tables import centroids, model_changes, samples, speakers

_new = samples.alias("new")
_READ_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class BroughtOver:
    """One sample of the old space: its speaker, and whether the new space has it.

    ``had_s`` and ``has_s`` are the speaker's net speech in the old space and in the new one.
    """

    speaker_id: int
    name: str
    pcm_sha256: str
    net_speech_s: float
    done: bool
    had_s: float
    has_s: float


class Switches(Rows):
    """Reads switches of the model; a damaged row is a StoreError."""

    def brought_over(self, change: ModelSwitch) -> Iterator[BroughtOver]:
        """Yield every sample of the old space, by speaker."""
        was, now = centroids.alias("was"), centroids.alias("now")
        query = (
            select(
                *samples.c,
                *NAMED,
                _is_done(change).label("done"),
                was.c.net_speech_s.label("had_s"),
                func.coalesce(now.c.net_speech_s, 0.0).label("has_s"),
            )
            .join(speakers, speakers.c.id == samples.c.speaker_id)
            .join(was, _of_speaker(was) & (was.c.space_id == change.from_space))
            .outerjoin(now, _of_speaker(now) & (now.c.space_id == change.to_space))
            .where(samples.c.space_id == change.from_space)
            .order_by(speakers.c.name_key, samples.c.id)
        )
        query = query.execution_options(yield_per=_READ_AT_ONCE)
        for rows in self._connection.execute(query).partitions():
            plain_rows = self._protection.named(rows, "speaker_id")
            for row, digest in zip(plain_rows, self._protection.digests(rows), strict=True):
                facts = (row.net_speech_s, row.done, row.had_s, row.has_s)
                yield BroughtOver(row.speaker_id, row.name, digest, *facts)

    def waiting(self, change: ModelSwitch, after: int, limit: int) -> list[tuple[int, str]]:
        """Return ids and recordings of samples that the new space lacks, by id, above ``after``."""
        query = select(samples).where(*_lacks(change), samples.c.id > after)
        rows = self._connection.execute(query.order_by(samples.c.id).limit(limit)).all()
        return list(zip([row.id for row in rows], self._protection.digests(rows), strict=True))

    def lacking(self, change: ModelSwitch, recordings: Sequence[str]) -> list[Sample]:
        """Return the samples of these recordings that the new space lacks."""
        stored = list(map(self._protection.recording, recordings))
        query = select(samples).where(samples.c.pcm_sha256.in_(stored), *_lacks(change))
        return self._samples(query.order_by(samples.c.id))

    def prepared(self, change: ModelSwitch, limit: int) -> list[Sample]:
        """Return up to ``limit`` of the samples that a switch added."""
        query = (
            select(samples)
            .join(_new, _is_same_recording() & (_new.c.space_id == change.from_space))
            .where(samples.c.space_id == change.to_space, samples.c.id > change.after_sample)
            .limit(limit)
        )
        return self._samples(query)

    def left_over(self, space_id: str, limit: int) -> list[Sample]:
        """Return up to ``limit`` samples in spaces that ``space_id`` replaced.

        Samples of speakers who are not in ``space_id`` yet are left out.
        """
        old = self._snapshot.spaces.joined(space_id) - {space_id}
        moved = exists().where(
            centroids.c.speaker_id == samples.c.speaker_id, centroids.c.space_id == space_id
        )
        return self._samples(select(samples).where(samples.c.space_id.in_(old), moved).limit(limit))

    def _samples(self, query: Select[Any]) -> list[Sample]:
        rows = self._protection.samples(self._connection.execute(query).all())
        return [stored_rows.sample(row) for row in rows]

    def list(self) -> list[ModelSwitch]:
        """Return all switches, completed or prepared, oldest first."""
        rows = self._connection.execute(select(model_changes).order_by(model_changes.c.id))
        return list(map(stored_rows.model_change, rows))


class SwitchWriter(Switches):
    """Begins, completes and removes switches of the model."""

    def begin(self, from_space: str, to_space: EmbeddingSpace) -> ModelSwitch:
        """Store that a switch is being prepared, and return it."""
        self._snapshot.spaces.know(to_space)
        newest = select(func.coalesce(func.max(samples.c.id), 0)).scalar_subquery()
        spaces = {"from_space": from_space, "to_space": to_space.id}
        new = insert(model_changes).values(
            **spaces, after_sample=newest, started_at=self._effects.now
        )
        row = self._connection.execute(new.returning(model_changes)).one()
        return stored_rows.model_change(row)

    def switch(self, change: ModelSwitch) -> None:
        """Let the new space replace the old one, for every process, from now on."""
        query = update(model_changes).where(model_changes.c.id == change.id)
        self._connection.execute(query.values(switched_at=self._effects.now))
        self._snapshot.spaces.switched()

    def forget(self, change: ModelSwitch) -> None:
        """Remove a switch that was not completed."""
        self._connection.execute(delete(model_changes).where(model_changes.c.id == change.id))


def _is_done(change: ModelSwitch) -> ColumnElement[bool]:
    """Whether the speaker of a sample has its recording in the new space."""
    return exists().where(_is_same_recording(), _new.c.space_id == change.to_space)


def _lacks(change: ModelSwitch) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Whether a sample of the old space is not in the new one yet."""
    return samples.c.space_id == change.from_space, ~_is_done(change)


def _is_same_recording() -> ColumnElement[bool]:
    return _of_speaker(_new) & (_new.c.pcm_sha256 == samples.c.pcm_sha256)


def _of_speaker(table: FromClause) -> ColumnElement[bool]:
    return table.c.speaker_id == samples.c.speaker_id
