"""Changes of the model: which space took the place of which, and what is left to bring over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Exists, delete, exists, func, insert, select, update

from voiceid.domain import EmbeddingSpace, ModelChange, Sample, joined, space_in_use
from voiceid.errors import SpaceMismatch
from voiceid.store import rows
from voiceid.store.fitted import FittedReader, FittedWriter
from voiceid.store.tables import centroids, embedding_spaces, model_changes, samples, speakers

_new = samples.alias("new")

_SWITCHES = (
    select(model_changes.c.from_space, model_changes.c.to_space)
    .where(model_changes.c.switched_at.is_not(None))
    .order_by(model_changes.c.id)
)
"""Built once: it is asked with every question."""


@dataclass(frozen=True, slots=True)
class BroughtOver:
    """One sample of the old space: whose it is, and whether the new one has it.

    ``net_speech_s`` is of the sample; ``had_s`` and ``has_s`` are of all samples of the speaker,
    in the old space and in the new one.
    """

    speaker_id: int
    name: str
    pcm_sha256: str
    net_speech_s: float
    done: bool
    had_s: float
    has_s: float


class ModelChangesReader(FittedReader):
    """Reads changes of the model, in one snapshot of the database."""

    def model_changes(self) -> list[ModelChange]:
        """Return all changes, oldest first; raises StoreError if damaged."""
        found = self._connection.execute(select(model_changes).order_by(model_changes.c.id))
        return [rows.model_change(row) for row in found]

    def space_in_use(self, space_id: str) -> str:
        """Return the space that took the place of ``space_id``, or itself."""
        return space_in_use(space_id, ((a, b) for a, b in self._connection.execute(_SWITCHES)))

    def require_in_use(self, space_id: str) -> None:
        """Raise SpaceMismatch when another space has taken the place of this one."""
        now = self.space_in_use(space_id)
        if now != space_id:
            raise SpaceMismatch(
                f"the gallery was switched from {space_id} to {now}",
                hint="Ask again; a vector or a file must be of the space that is in use.",
            )

    def model_of(self, space_id: str) -> str:
        """Return the name of the model that a space was made by."""
        facts = select(embedding_spaces.c.facts).where(embedding_spaces.c.id == space_id)
        return str(json.loads(self._connection.execute(facts).scalar_one())["model"])

    def spaces_joined(self, space_id: str) -> set[str]:
        """Return the spaces that changes of the model join to one, itself included."""
        return joined(space_id, self.model_changes())

    def with_copies(self, found: Sequence[Sample]) -> list[Sample]:
        """Return samples, and those of the same recordings that a change of the model made."""
        changes = self.model_changes()
        if not changes:
            return list(found)
        wanted = {
            (one.speaker_id, space_id, one.pcm_sha256)
            for one in found
            for space_id in joined(one.space_id, changes)
        }
        query = select(samples).order_by(samples.c.id)
        return [
            rows.sample(row)
            for speaker_id in {one.speaker_id for one in found}
            for row in self._connection.execute(
                query.where(samples.c.speaker_id == speaker_id)
            ).mappings()
            if (row["speaker_id"], row["space_id"], row["pcm_sha256"]) in wanted
        ]

    def brought_over(self, change: ModelChange) -> Iterator[BroughtOver]:
        """Yield every sample of the old space, by speaker."""
        was, now = centroids.alias("was"), centroids.alias("now")
        query = (
            select(
                samples.c.speaker_id,
                speakers.c.name,
                samples.c.pcm_sha256,
                samples.c.net_speech_s,
                _is_done(change).label("done"),
                was.c.net_speech_s.label("had_s"),
                func.coalesce(now.c.net_speech_s, 0.0).label("has_s"),
            )
            .join(speakers, speakers.c.id == samples.c.speaker_id)
            .join(
                was,
                (was.c.speaker_id == samples.c.speaker_id) & (was.c.space_id == change.from_space),
            )
            .outerjoin(
                now,
                (now.c.speaker_id == samples.c.speaker_id) & (now.c.space_id == change.to_space),
            )
            .where(samples.c.space_id == change.from_space)
            .order_by(speakers.c.name_key, samples.c.id)
        )
        for row in self._connection.execute(query):
            yield BroughtOver(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

    def waiting(self, change: ModelChange, after: int, limit: int) -> list[tuple[int, str]]:
        """Return ids and recordings of samples that the new space lacks, by id, above ``after``."""
        query = (
            select(samples.c.id, samples.c.pcm_sha256)
            .where(samples.c.space_id == change.from_space, samples.c.id > after)
            .where(~_is_done(change))
            .order_by(samples.c.id)
            .limit(limit)
        )
        return [(row.id, row.pcm_sha256) for row in self._connection.execute(query)]

    def lacking(self, change: ModelChange, recordings: Sequence[str]) -> list[Sample]:
        """Return the samples of these recordings that the new space lacks, whoever has them."""
        query = (
            select(samples)
            .where(samples.c.space_id == change.from_space)
            .where(samples.c.pcm_sha256.in_(recordings))
            .where(~_is_done(change))
            .order_by(samples.c.id)
        )
        return [rows.sample(row) for row in self._connection.execute(query).mappings()]

    def prepared(self, change: ModelChange, limit: int) -> list[Sample]:
        """Return some of the samples that a change made."""
        query = (
            select(samples)
            .join(
                _new,
                (_new.c.speaker_id == samples.c.speaker_id)
                & (_new.c.pcm_sha256 == samples.c.pcm_sha256)
                & (_new.c.space_id == change.from_space),
            )
            .where(samples.c.space_id == change.to_space, samples.c.id > change.after_sample)
            .limit(limit)
        )
        return [rows.sample(row) for row in self._connection.execute(query).mappings()]

    def left_over(self, space_id: str, limit: int) -> list[Sample]:
        """Return some samples in spaces that ``space_id`` took the place of.

        Speakers who are not in ``space_id`` yet keep theirs.
        """
        old = self.spaces_joined(space_id) - {space_id}
        here = exists().where(
            centroids.c.speaker_id == samples.c.speaker_id, centroids.c.space_id == space_id
        )
        query = select(samples).where(samples.c.space_id.in_(old), here).limit(limit)
        return [rows.sample(row) for row in self._connection.execute(query).mappings()]


class ModelChangesWriter(FittedWriter, ModelChangesReader):
    """Begins, makes and takes back changes of the model."""

    def begin_change(self, from_space: str, to_space: EmbeddingSpace) -> ModelChange:
        """Write down that a change is being prepared, and return it."""
        self.know_space(to_space)
        newest = self._connection.execute(select(func.max(samples.c.id))).scalar()
        self._connection.execute(
            insert(model_changes).values(
                from_space=from_space,
                to_space=to_space.id,
                after_sample=newest or 0,
                started_at=datetime.now(UTC).isoformat(),
            )
        )
        return self.model_changes()[-1]

    def switch(self, change: ModelChange) -> None:
        """Let the new space take the place of the old one, for every process, from now on."""
        self._connection.execute(
            update(model_changes)
            .where(model_changes.c.id == change.id)
            .values(switched_at=datetime.now(UTC).isoformat())
        )

    def forget_change(self, change: ModelChange) -> None:
        """Remove a change that was not made."""
        self._connection.execute(delete(model_changes).where(model_changes.c.id == change.id))


def _is_done(change: ModelChange) -> Exists:
    """Whether the speaker of a sample has its recording in the new space."""
    return exists().where(
        _new.c.speaker_id == samples.c.speaker_id,
        _new.c.pcm_sha256 == samples.c.pcm_sha256,
        _new.c.space_id == change.to_space,
    )
