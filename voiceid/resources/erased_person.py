"""Erasing a speaker with a receipt: the data before it, and the search for remains after it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from voiceid.decision.adaptation import StoredAdaptation
from voiceid.decision.calibration import StoredCalibration
from voiceid.domain import (
    RECEIPT_FORMAT,
    RECEIPT_VERSION,
    Backup,
    DatabaseUrl,
    Receipt,
    Sample,
    Speaker,
    Withdrawal,
    system_user,
)
from voiceid.erasure import older_copies
from voiceid.errors import ErasureIncomplete, StoreError
from voiceid.observability import ChangeKind
from voiceid.protection import SigningKey
from voiceid.remains import holding
from voiceid.resources.events import events_about
from voiceid.resources.gallery_signature import GallerySignature
from voiceid.session import Session

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader
    from voiceid.store.change import Change

_AUDIO = "audio"
_LEARNED = (
    "Calibrations and adaptations are statistics of many people, and hold no vector of one. Where"
    " `known` is true, this person was among the speakers whose samples it was learned from; else"
    " it is older than the record of that, and may have been. What was learned from recordings in"
    " files is not here: whose they were is not kept. "
)
_OF_LEARNED = {
    False: f"{_LEARNED}They are kept. To have it without the person: `voiceid adapt` or `voiceid"
    " calibrate`, then remove the old one.",
    True: f"{_LEARNED}Where `known` is true, the next run of retention removes it, and learns an"
    " adaptation that is in use again from those who remain (privacy.learn_again).",
}
_SEALED = (
    "The key of this speaker was destroyed in the gallery. A backup that was made before has a copy"
    " of it, sealed by the gallery's key {key_id}: who has the backup and that key can open it."
    " Once the gallery's key is changed (`voiceid keys gallery rotate`) and every copy of the old"
    " one is destroyed, no backup of before can be opened any more, by anybody, to restore it"
    " either."
)
_ROTATED = (
    "The gallery is not sealed. In backups that were made before, names are readable, and vectors"
    " are rotated by a secret that the gallery's key {key_id} opens, until they are destroyed."
)
_PLAIN = (
    "The gallery is not sealed. Backups that were made before hold the person readably until they"
    " are destroyed."
)
_OF_BACKUPS = {"sealed": _SEALED, "rotated": _ROTATED, "none": _PLAIN}


@dataclass(frozen=True, slots=True)
class ErasedPerson:
    """The data of a speaker before the erasure.

    - `needles`: bytes that identify remains: vectors, plain and as stored.
    - `recordings`: kept recordings, by the hashes in their file names.
    - `counts`: the numbers of erased objects beside samples.
    - `learned`: see `learned_from`.
    - `backups`: the backups since the enrolment.
    - `kind`, `key_id`: the protection of the gallery.
    """

    speaker: Speaker
    samples: Sequence[Sample]
    needles: Sequence[bytes]
    recordings: Mapping[str, str]
    counts: Mapping[str, int]
    learned: Sequence[Mapping[str, Any]]
    backups: Sequence[Backup]
    kind: str
    key_id: str | None

    @classmethod
    def of(cls, reader: Reader, speaker: Speaker, session: Session) -> Self:
        """Collect the data of a speaker, in the change that erases it."""
        audio = session.kept_audio
        samples = reader.samples.of(speaker.id)
        plain = [sample.vector.astype("<f4").tobytes() for sample in samples]
        stored, heard = reader.mentions.vectors(speaker), reader.mentions.fingerprints(speaker)
        vocabulary = reader.spoken.of(speaker.id)
        row = reader.protection.row
        hashes = dict.fromkeys(sample.pcm_sha256 for sample in samples)
        return cls(
            speaker=speaker,
            samples=samples,
            needles=[*plain, *stored, *heard, *reader.spoken.stored(speaker.id)],
            recordings={h: audio.path(h).stem for h in hashes if audio.path(h).exists()},
            counts={
                "centroids": len(stored) - len(samples),
                "fingerprints": len(heard),
                "attempts": len(reader.mentions.attempts(speaker.name)),
                "consents": len(speaker.consents),
                "metadata": len(speaker.metadata),
                "memberships": len(speaker.groups),
                "words": 0 if vocabulary is None else len(vocabulary.words),
            },
            learned=learned_from(reader, speaker, again=session.config.privacy.learn_again),
            backups=backups_with(reader, speaker),
            kind="none" if row is None else row.kind,
            key_id=None if row is None else row.key_id,
        )

    def facts(self, session: Session, remains: Sequence[str]) -> dict[str, Any]:
        """Return the facts of a receipt after the erasure; ``remains`` is what it left."""
        where, n_found = str(session.database), self._in_rows(session)
        searched = [{"where": where, "what": kind, "found": n} for kind, n in n_found.items()]
        searched += self._searched(session)
        is_sealed = self.kind == "sealed"
        return {
            "format": RECEIPT_FORMAT,
            "version": RECEIPT_VERSION,
            "erased_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "speaker": {
                "id": self.speaker.id,
                "name": self.speaker.name,
                "enrolled_at": self.speaker.created_at.isoformat(),
            },
            "erased": {
                "samples": [_sample(sample) for sample in self.samples],
                "recordings": list(self.recordings),
                **self.counts,
                "key": "destroyed" if is_sealed else "none: the gallery is not sealed",
            },
            "searched": searched,
            "remains": list(remains),
            "backups": [
                {**backup.to_dict(), "is_there": Path(backup.path).is_file()}
                for backup in self.backups
            ],
            "of_backups": _OF_BACKUPS[self.kind].format(key_id=self.key_id),
            "learned": list(self.learned),
            "of_learned": _OF_LEARNED[session.config.privacy.learn_again],
        }

    def _in_rows(self, session: Session) -> dict[str, int | None]:
        """Return the numbers of rows of the speaker, and of rows that have the name."""
        try:
            with session.store.read() as reader:
                mentions, name = reader.mentions, self.speaker.name
                return {
                    "rows": mentions.rows_of(self.speaker.id),
                    "jobs and kept answers that have the name": len(mentions.jobs(name))
                    + len(mentions.answers(name)),
                }
        except StoreError as error:  # the erasure gets its receipt anyway
            return {f"not searched: rows, jobs and kept answers: {error.message}": None}

    def _searched(self, session: Session) -> Iterator[dict[str, Any]]:
        """Yield each place that was searched for remains, with the number found."""
        folder, audio = session.config.data, session.kept_audio.folder
        files = sorted(folder.rglob("*")) if folder.is_dir() else []
        files = [path for path in files if path.is_file() and not path.is_relative_to(audio)]
        try:
            remains = holding(files, self.needles)
        except StoreError as error:  # the erasure gets its receipt anyway
            yield {"where": str(folder), "what": f"not searched: {error.message}", "found": None}
        else:
            for path in files:
                n_found = int(path in remains)
                yield {"where": str(path), "what": _what(path, session), "found": n_found}
        names = {path.stem for path in audio.iterdir()} if audio.is_dir() else set[str]()
        n_found = len(names & set(self.recordings.values()))
        yield {"where": str(audio), "what": "names of kept recordings", "found": n_found}
        log = session.config.log_file
        if log is not None:
            n_events = sum(1 for _ in events_about(log, self.speaker.id))
            yield {
                "where": str(log),
                "what": "events with the name and no voice",
                "found": n_events,
            }
        if isinstance(session.database, DatabaseUrl):
            yield {
                "where": str(session.database),
                "what": "not searched: the server's own files, log, replicas and backups. It keeps"
                " removed rows until its next VACUUM",
                "found": None,
            }


class ReceiptedErasure:
    """One erasure: it erases speakers in a change, and makes the receipts after its commit."""

    def __init__(self, session: Session, key: SigningKey) -> None:
        self._session, self._key = session, key

    def erase(self, change: Change, speaker: Speaker) -> ErasedPerson:
        """Erase a speaker in a change of any kind; return the erased data."""
        person = ErasedPerson.of(change.writer, speaker, self._session)
        change.writer.speakers.remove(speaker.id)
        change.record(change=ChangeKind.REMOVE, speaker=speaker.name, speaker_id=speaker.id)
        return person

    def receipt(
        self, person: ErasedPerson, remains: Sequence[str], by: str = "", **more: object
    ) -> Receipt:
        """Return the signed receipt; ``remains`` are the data that the erasure left behind.

        ``by``: who erased; empty: the system's user.  ``more`` are further facts.
        """
        facts = person.facts(self._session, remains)
        facts |= {"erased_by": by or system_user(), **more}
        return Receipt(facts, self._key.public, self._key.sign(Receipt.signed_bytes(facts)))


def withdrawal(
    session: Session, name: str, by: str, expect: Callable[[Speaker], None] | None
) -> Withdrawal:
    """Withdraw every consent of a speaker; see `Speakers.withdraw`.

    The settings say whether the speaker is erased in the same change or by a later run.
    """
    days, remains = session.config.privacy.erase_withdrawn_after_days, tuple[str, ...]()
    erasure = None
    if days == 0:  # the key first: without it nothing is erased
        erasure = ReceiptedErasure(session, GallerySignature(session).key())
    try:
        with session.change(ChangeKind.WITHDRAW) as change:
            writer = change.writer.speakers
            before = writer.get(name)
            if expect is not None:
                expect(before)
            writer.withdraw(before, by)
            speaker = writer.get(name)
            change.record(speaker=speaker.name, speaker_id=speaker.id)
            if erasure is not None:
                person = erasure.erase(change, speaker)
    except ErasureIncomplete as error:
        if erasure is None:  # the remains are of an earlier erasure
            raise
        remains = error.remains
    since = speaker.withdrawn_at or change.writer.now
    receipt = None if erasure is None else erasure.receipt(person, remains, by)
    return Withdrawal(speaker, since + timedelta(days=days), receipt)


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "id": sample.id,
        "created_at": sample.created_at.isoformat(),
        "embedding_space": sample.space_id,
        "recording_sha256": sample.pcm_sha256,
        "vector_sha256": hashlib.sha256(sample.vector.astype("<f4").tobytes()).hexdigest(),
    }


def _what(path: Path, session: Session) -> str:
    database = session.database
    if not isinstance(database, DatabaseUrl) and path.name.startswith(database.name):
        if path in older_copies(database):
            return "an older copy of the database"
        ending = path.name.removeprefix(database.name)
        return {"": "pages of the database", "-wal": "write-ahead log"}.get(ending, "database")
    return "index file" if path.is_relative_to(session.index_folder) else "other file"


def backups_with(reader: Reader, speaker: Speaker) -> list[Backup]:
    """Return the backups that were made since a speaker was enrolled."""
    return [backup for backup in reader.backups.list() if backup.made_at >= speaker.created_at]


def learned_from(reader: Reader, speaker: Speaker, *, again: bool) -> list[dict[str, Any]]:
    """Return the calibrations and adaptations that were learned from a speaker, and the rule.

    ``again``: a run of retention learns them again without removed speakers.

    If the speakers of a fit were not recorded, it is included if it is of a space of the speaker
    and was learned after the enrolment.
    """
    spaces = set(speaker.spaces)
    adaptations, learned = reader.adaptations.list(), reader.learned.all()
    spaces |= {fit.adapted_id for fit in adaptations if fit.space_id in spaces}
    fits: list[tuple[str, StoredAdaptation | StoredCalibration]] = [
        *(("adaptation", fit) for fit in adaptations),
        *(("calibration", fit) for fit in reader.calibrations.list()),
    ]
    of_speaker = []
    for kind, fit in fits:
        ids = learned.get((kind, fit.id))
        possible = fit.space_id in spaces and fit.created_at >= speaker.created_at
        if possible if ids is None else speaker.id in ids:
            of_speaker.append(
                {
                    "kind": kind,
                    "number": fit.id,
                    "source": fit.source,
                    "learned_at": fit.created_at.isoformat(),
                    "in_use": fit.in_use,
                    "known": ids is not None,
                    "speakers": None if ids is None else len(ids),
                    "rule": "learned again" if again and ids is not None else "kept",
                }
            )
    return of_speaker
