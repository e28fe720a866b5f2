"""What can be done to the database, inside one transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select, update

from voiceid.decision.adaptation import StoredAdaptation, adapted_space
from voiceid.decision.transforms import Transform
from voiceid.domain import (
    EmbeddingSpace,
    NewSample,
    Sample,
    Speaker,
    SpeakerDetails,
    speaker_key,
    speaker_name,
)
from voiceid.errors import SpeakerExists
from voiceid.store import rows
from voiceid.store.bulk import BulkWriter
from voiceid.store.model_changes import ModelChangesWriter
from voiceid.store.reader import Reader
from voiceid.store.searching import SearchingWriter
from voiceid.store.tables import (
    adaptations,
    calibrations,
    centroids,
    changes,
    memberships,
    samples,
    speakers,
)


class Writer(ModelChangesWriter, BulkWriter, SearchingWriter, Reader):
    """Reads and changes the database; everything is committed at once, or nothing.

    ``erased`` tells whether voices were removed, so that their remains are to be cleared.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.erased = False

    def add_speaker(self, name: str, created_at: datetime | None = None) -> Speaker:
        """Add a speaker without samples; raises SpeakerExists, SpeakerNameInvalid."""
        self._require_free(name)
        now = _now() if created_at is None else created_at.isoformat()
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
        self.know_space(space)
        now = _now()
        made = [rows.sample_row(speaker_id, space, sample, now) for sample in new]
        if made:
            self._connection.execute(insert(samples), made)
        self._derive(speaker_id, space.id)

    def remove_samples(self, speaker_id: int, space_id: str) -> None:
        """Remove a speaker's samples of a space, and of those that changes of the model join to it.

        Other spaces stay.
        """
        for one in self.spaces_joined(space_id):
            self.remove_some(self.samples(speaker_id, one))

    def remove_some(self, gone: Sequence[Sample]) -> None:
        """Remove samples, of whatever speakers and spaces, and derive the centroids anew."""
        self.erased = True
        for sample in gone:
            self._connection.execute(delete(samples).where(samples.c.id == sample.id))
        for speaker_id, space_id in {(one.speaker_id, one.space_id) for one in gone}:
            self._derive(speaker_id, space_id)

    def move_samples(self, moved: Sequence[Sample], to_speaker_id: int) -> int:
        """Give samples to another speaker; return how many were dropped there as repeats.

        They keep their ids and their dates.  A recording that the other speaker has already
        in that space is removed instead.
        """
        there = {(s.space_id, s.pcm_sha256) for s in self.samples(to_speaker_id)}
        kept = [s for s in moved if (s.space_id, s.pcm_sha256) not in there]
        ids = [sample.id for sample in kept]
        found = [
            dict(row) | {"speaker_id": to_speaker_id}
            for sample_id in ids
            for row in self._connection.execute(
                select(samples).where(samples.c.id == sample_id)
            ).mappings()
        ]
        self.remove_some(moved)
        if found:
            self._connection.execute(insert(samples), found)
        for space_id in {sample.space_id for sample in kept}:
            self._derive(to_speaker_id, space_id)
        return len(moved) - len(kept)

    def rename_speaker(self, speaker_id: int, new_name: str) -> None:
        """Give a speaker another name; raises SpeakerExists, SpeakerNameInvalid."""
        self._require_free(new_name, but_for=speaker_id)
        self._connection.execute(
            update(speakers)
            .where(speakers.c.id == speaker_id)
            .values(name=speaker_name(new_name), name_key=speaker_key(new_name), updated_at=_now())
        )

    def change_speaker(self, speaker_id: int, details: SpeakerDetails) -> None:
        """Bring what is known of a speaker to what ``details`` says."""
        if details.changes_nothing:
            return
        mine = speakers.c.id == speaker_id
        [before] = self._speakers(mine)
        metadata = {**before.metadata, **details.metadata}
        values: dict[str, object] = {
            "updated_at": _now(),
            "metadata": json.dumps({k: v for k, v in metadata.items() if v is not None}),
        }
        if details.expires_at is not None or details.never_expires:
            at = details.expires_at
            values["expires_at"] = None if at is None else at.isoformat()
        if details.enabled is not None:
            since = _now() if before.disabled_at is None else before.disabled_at.isoformat()
            values["disabled_at"] = None if details.enabled else since
        self._connection.execute(update(speakers).where(mine).values(**values))
        self._change_groups(speaker_id, details)

    def _change_groups(self, speaker_id: int, details: SpeakerDetails) -> None:
        named = memberships.c.group_name.in_([*details.groups, *details.not_groups])
        self._connection.execute(
            delete(memberships).where(memberships.c.speaker_id == speaker_id, named)
        )
        joined = [{"group_name": group, "speaker_id": speaker_id} for group in details.groups]
        if joined:
            self._connection.execute(insert(memberships), joined)
        if details.groups or details.not_groups:  # indexes keep groups, and follow the feed
            self._changed_all(speaker_id)

    def remove_speaker(self, speaker_id: int) -> None:
        """Erase a speaker with all samples and centroids."""
        self.erased = True
        self._changed_all(speaker_id)
        self._connection.execute(delete(speakers).where(speakers.c.id == speaker_id))

    def add_adaptation(
        self, space: EmbeddingSpace, transform: Transform, measured: dict[str, object], source: str
    ) -> int:
        """Add an adaptation of a space, which decides nothing yet, and return its number.

        Everybody who is enrolled in that space has a centroid in the adapted one from now on.

        Raises
        ------
        StoreError
            There is this very adaptation already, or a sample is damaged.
        """
        adapted = adapted_space(space, transform)
        self.know_space(space)
        self.know_space(adapted)
        facts = {"transform": transform.to_bytes(), "facts": json.dumps(measured)}
        number = self._added(adaptations, space.id, source, {"adapted_id": adapted.id, **facts})
        mine = select(centroids.c.speaker_id).where(centroids.c.space_id == space.id)
        for speaker_id in list(self._connection.execute(mine).scalars()):
            left = self.samples(speaker_id, space.id)
            self._derive_in(speaker_id, adapted.id, left, transform)
        return number

    def use_adaptation(self, space_id: str, adaptation_id: int | None) -> None:
        """Let decisions in a space be made by one adaptation, or None, from now on."""
        self._use(adaptations, space_id, adaptation_id)

    def remove_adaptation(self, gone: StoredAdaptation) -> None:
        """Remove an adaptation, its centroids and its calibrations."""
        mine = select(centroids.c.id).where(centroids.c.space_id == gone.adapted_id)
        for centroid_id in list(self._connection.execute(mine).scalars()):
            self._changed(centroid_id)
        for table in (centroids, calibrations):
            self._connection.execute(delete(table).where(table.c.space_id == gone.adapted_id))
        self._connection.execute(delete(adaptations).where(adaptations.c.id == gone.id))

    def _derive(self, speaker_id: int, space_id: str) -> None:
        """Make a speaker's centroids of a space and of its adaptations anew, and tell the feed."""
        left = self.samples(speaker_id, space_id)
        self._derive_in(speaker_id, space_id, left, None)
        for one in self.adaptations(space_id):
            self._derive_in(speaker_id, one.adapted_id, left, one.transform)

    def _derive_in(
        self, speaker_id: int, space_id: str, left: Sequence[Sample], transform: Transform | None
    ) -> None:
        mine = (centroids.c.speaker_id == speaker_id) & (centroids.c.space_id == space_id)
        old = self._connection.execute(select(centroids.c.id).where(mine)).scalar()
        if not left:
            if old is not None:
                self._connection.execute(delete(centroids).where(mine))
                self._changed(old)
            return
        values = {
            "vector": rows.centroid_of(left, transform).astype("<f4").tobytes(),
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

    def _changed_all(self, speaker_id: int) -> None:
        mine = select(centroids.c.id).where(centroids.c.speaker_id == speaker_id)
        for centroid_id in list(self._connection.execute(mine).scalars()):
            self._changed(centroid_id)

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


def _now() -> str:
    return datetime.now(UTC).isoformat()
