"""Maintenance of the enrolled speakers: duplicate speakers, and samples that do not fit.

Every change is one transaction, and is checked on the snapshot that it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from voiceid.decision.agreement import odd_ones
from voiceid.decision.embeddings import cosine
from voiceid.decision.rule import DecisionRule
from voiceid.domain import (
    Candidate,
    Condition,
    EmbeddingSpace,
    Inspection,
    Likeness,
    Merge,
    Sample,
    Speaker,
    SpeakerDetails,
    Split,
    speaker_key,
)
from voiceid.errors import ChangeRefused, SampleNotFound, SpaceMismatch
from voiceid.index.base import Gallery
from voiceid.observability import ChangeKind

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader, Store
    from voiceid.store.change import Door


@dataclass(frozen=True, slots=True)
class Curator:
    """Maintains the enrolled speakers.  Safe to share among threads."""

    space: EmbeddingSpace  # in which voices are compared
    store: Store
    gallery: Gallery
    rule_of: Callable[[Reader], DecisionRule]  # read in the transaction that uses it
    door: Door

    def inspect(self, name: str) -> Inspection:
        """Compare the samples of a speaker with each other, and the speaker with all others."""
        with self.store.read() as reader:
            return self._inspect(reader, reader.speakers.get(name))

    def merge(self, into: str, other: str, *, force: bool, dry_run: bool) -> Merge:
        """Give all samples of ``other`` to ``into``, and remove ``other``.

        The groups and consents of both are joined; for metadata of both, the value of ``into``
        stays.  The stricter standing holds: the earlier expiry, and disabled if either is.
        """
        if dry_run:
            with self.store.read() as reader:
                return self._merge_plan(reader, into, other)
        with self.door(ChangeKind.MERGE) as change:
            writer = change.writer
            plan = self._merge_plan(writer, into, other)
            if not force:
                _require_alike(plan)
            first, second = plan.into, plan.other
            n_repeats = writer.samples.move(writer.samples.of(second.id), first.id)
            writer.attempts.rename(speaker_key(second.name), speaker_key(first.name))
            writer.speakers.remove(second.id)
            writer.speakers.edit(first.id, _joined(first, second))
            if withdrawn := [s for s in (first, second) if s.withdrawn_at is not None]:
                by = withdrawn[0].consents[-1].withdrawn_by
                writer.speakers.withdraw(writer.speakers.get(first.name), by)
            merged = writer.speakers.get(first.name)
            change.record(
                speaker=merged.name,
                speaker_id=merged.id,
                other=second.name,
                other_id=second.id,
                samples=second.n_samples,
            )
        return replace(plan, merged=merged, n_repeats=n_repeats)

    def split(
        self, name: str, new_name: str, sample_ids: Sequence[int], *, force: bool, dry_run: bool
    ) -> Split:
        """Move samples of a speaker to a new one: the chosen ones, or those that do not fit.

        The new one has the same standing: expiry, disabled, withdrawn.  Groups stay.
        """
        if dry_run:
            with self.store.read() as reader:
                return Split(None, None, tuple(self._split_plan(reader, name, sample_ids)))
        with self.door(ChangeKind.SPLIT) as change:
            writer = change.writer
            moved = self._split_plan(writer, name, sample_ids)
            if not force:
                writer.speakers.require_distinct([new_name])
            new = writer.speakers.add(new_name)
            writer.samples.move(writer.samples.with_copies(moved), new.id)
            speaker = writer.speakers.get(name)
            barred = None if speaker.disabled_at is None else False
            details = SpeakerDetails(expires_at=speaker.expires_at, enabled=barred)
            writer.speakers.edit(new.id, details)
            if speaker.withdrawn_at is not None:
                writer.speakers.withdraw(new, speaker.consents[-1].withdrawn_by)
            new = writer.speakers.get(new_name)
            change.record(
                speaker=speaker.name,
                speaker_id=speaker.id,
                other=new.name,
                other_id=new.id,
                samples=len(moved),
            )
        return Split(speaker, new, tuple(moved))

    def remove_samples(self, name: str, sample_ids: Sequence[int]) -> tuple[Sample, ...]:
        """Erase samples of a speaker, and return them."""
        with self.door(ChangeKind.REMOVE_SAMPLES) as change:
            writer = change.writer
            speaker = writer.speakers.get(name)
            gone = _named(writer, speaker, sample_ids)
            _require_rest(writer, speaker, gone, "`voiceid speakers remove` removes the speaker.")
            writer.samples.remove(writer.samples.with_copies(gone))
            change.record(speaker=speaker.name, speaker_id=speaker.id, samples=len(gone))
        return tuple(gone)

    def _merge_plan(self, reader: Reader, into: str, other: str) -> Merge:
        first, second = reader.speakers.get(into), reader.speakers.get(other)
        if first.id == second.id:
            raise ChangeRefused(
                f"{into} and {other} are the same speaker", hint="Name two speakers."
            )
        kept, new = (reader.samples.of(s.id, self.space.id) for s in (first, second))
        likeness = self._likeness(reader, first, second)
        if likeness is None:
            return Merge(first, second, None)
        samples = [*kept, *new]
        vectors = np.array([sample.vector for sample in samples], dtype=np.float32)
        qualities = [sample.quality for sample in samples]
        odd, _ = odd_ones(vectors, qualities, self.rule_of(reader), range(len(kept)))
        return Merge(
            first, second, likeness, tuple(samples[i].id for voice in odd for i in voice.indices)
        )

    def _split_plan(self, reader: Reader, name: str, sample_ids: Sequence[int]) -> list[Sample]:
        speaker = reader.speakers.get(name)
        moved = self._chosen(reader, speaker, sample_ids)
        _require_rest(reader, speaker, moved, "`voiceid speakers rename` renames it.")
        return moved

    def _inspect(self, reader: Reader, speaker: Speaker) -> Inspection:
        samples = reader.samples.of(speaker.id, self.space.id)
        if not samples:
            raise SpaceMismatch(
                f"{speaker.name} has no samples in {self.space.id}",
                hint="Inspect with the model and the speech settings of the enrolment.",
            )
        vectors = np.array([sample.vector for sample in samples], dtype=np.float32)
        odd, agreements = odd_ones(
            vectors, [sample.quality for sample in samples], self.rule_of(reader)
        )
        nearest = self._nearest(reader, speaker)
        likeness = None
        if nearest is not None:
            likeness = self._likeness(reader, speaker, reader.speakers.get(nearest.speaker.name))
        return Inspection(
            speaker=speaker,
            samples=tuple(samples),
            scores=np.clip(vectors @ vectors.T, -1.0, 1.0),
            agreements={samples[i].id: score for i, score in agreements.items()},
            outliers={samples[i].id: outlier.needed for outlier in odd for i in outlier.indices},
            nearest=nearest,
            likeness=likeness,
        )

    def _nearest(self, reader: Reader, speaker: Speaker) -> Candidate | None:
        centroid = reader.centroids.of(speaker.id, self.space.id)
        if centroid is None:
            return None
        hits = self.gallery.search(reader, centroid, 2)
        owners = reader.centroids.owners([centroid_id for centroid_id, _ in hits])
        others = [
            Candidate(owners[hit].speaker, score)
            for hit, score in hits
            if owners[hit].speaker.id != speaker.id
        ]
        return others[0] if others else None

    def _likeness(self, reader: Reader, a: Speaker, b: Speaker) -> Likeness | None:
        """Compare two speakers, like a clip with the speech of the speaker who has less of it."""
        centroids = [reader.centroids.of(speaker.id, self.space.id) for speaker in (a, b)]
        if centroids[0] is None or centroids[1] is None:
            return None
        score = cosine(centroids[0], centroids[1])
        shorter, longer = sorted(
            (reader.samples.of(speaker.id, self.space.id) for speaker in (a, b)),
            key=lambda samples: sum(sample.quality.net_speech_s for sample in samples),
        )
        both = [[sample.quality for sample in samples] for samples in (shorter, longer)]
        return Likeness(score, self.rule_of(reader).threshold(Condition.of_joined(*both)))

    def _chosen(self, reader: Reader, speaker: Speaker, ids: Sequence[int]) -> list[Sample]:
        if ids:
            return _named(reader, speaker, ids)
        inspection = self._inspect(reader, speaker)
        odd = [sample for sample in inspection.samples if sample.id in inspection.outliers]
        if not odd:
            raise ChangeRefused(
                f"all {len(inspection.samples)} samples of {speaker.name} agree with each other",
                hint="Name the samples to move: `voiceid samples list` shows them.",
            )
        return odd


def _require_alike(plan: Merge) -> None:
    alike = plan.likeness
    if alike is not None and alike.same_voice and not plan.odd:
        return
    names = f"{plan.into.name} and {plan.other.name}"
    message = f"the voices of {names} cannot be compared: they share no embedding space in use"
    if alike is not None and alike.same_voice:
        numbers = ", ".join(map(str, plan.odd))
        message = f"samples of {plan.other.name} do not agree with {plan.into.name}: {numbers}"
    elif alike is not None:
        message = (
            f"{names} are not one voice: score {alike.score:.3f} < threshold"
            f" {alike.threshold.value:g} ({alike.threshold.source})"
        )
    raise ChangeRefused(message, hint="Nothing was changed. --force merges them nevertheless.")


def _joined(into: Speaker, other: Speaker) -> SpeakerDetails:
    """Return the details of two speakers after a merge."""
    expiries: list[datetime] = [s.expires_at for s in (into, other) if s.expires_at is not None]
    barred = into.disabled_at is not None or other.disabled_at is not None
    return SpeakerDetails(
        groups=tuple(dict.fromkeys([*into.groups, *other.groups])),
        metadata={**other.metadata, **into.metadata},
        expires_at=min(expiries, default=None),
        enabled=False if barred else None,
        consents=other.consents,
    )


def _named(reader: Reader, speaker: Speaker, ids: Sequence[int]) -> list[Sample]:
    """Return samples of a speaker by id; raises SampleNotFound."""
    samples = {sample.id: sample for sample in reader.samples.of(speaker.id)}
    if missing := [str(number) for number in ids if number not in samples]:
        raise SampleNotFound(f"{speaker.name} has no sample {', '.join(missing)}")
    return [samples[number] for number in dict.fromkeys(ids)]


def _require_rest(reader: Reader, speaker: Speaker, gone: Sequence[Sample], hint: str) -> None:
    """Raise ChangeRefused if the speaker would have no sample left."""
    if len(reader.samples.with_copies(gone)) >= len(reader.samples.of(speaker.id)):
        raise ChangeRefused(
            f"{speaker.name} would have no sample left; nothing was changed", hint=hint
        )
