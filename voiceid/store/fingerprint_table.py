"""Fingerprints of enrolled and accepted recordings, to recognise a replay."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, func, insert, or_, select

from voiceid.domain import HeardAs, Replay
from voiceid.store import stored_rows
from voiceid.store.protection import Protection, stored_bytes, values_of
from voiceid.store.snapshot import Rows
from voiceid.store.tables import fingerprints, samples
from voiceid.store.value_list import in_list

_AT_ONCE = 500
"""Rows in memory at a time: about 2 MB of clips of a minute."""


@dataclass(frozen=True, slots=True)
class KeptFingerprint:
    """A kept fingerprint: the recording's use and time, and the words as bytes."""

    id: int
    replay: Replay
    words: bytes


class Fingerprints(Rows):
    """Reads fingerprints."""

    def of(
        self, speaker_id: int, now: datetime, after: int = 0
    ) -> Iterator[Sequence[KeptFingerprint]]:
        """Yield a speaker's fingerprints that have not expired, oldest first, some at a time.

        ``after``: only fingerprints with a higher number.
        """
        columns = fingerprints.c
        expires = or_(columns.expires_at.is_(None), columns.expires_at > now.isoformat())
        query = select(fingerprints).where(columns.speaker_id == speaker_id, expires)
        query = query.order_by(columns.id).limit(_AT_ONCE)
        while rows := self._connection.execute(query.where(columns.id > after)).all():
            yield [self._kept(row) for row in rows]
            after = rows[-1].id

    def newest(self) -> int:
        """Return the number of the newest fingerprint of all speakers, or 0."""
        return int(self._connection.execute(select(func.max(fingerprints.c.id))).scalar() or 0)

    def summary(self, speaker_id: int) -> list[dict[str, Any]]:
        """Return the facts of a speaker's fingerprints, oldest first, without their words."""
        columns = (fingerprints.c.heard_as, fingerprints.c.created_at, fingerprints.c.expires_at)
        query = select(*columns).where(fingerprints.c.speaker_id == speaker_id)
        rows = self._connection.execute(query.order_by(fingerprints.c.id)).mappings()
        return [dict(row) for row in rows]

    def lacking(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Return ids and recordings of samples without a fingerprint, by id, above ``after``."""
        query = select(samples).where(~exists().where(*_same_recording()), samples.c.id > after)
        rows = self._connection.execute(query.order_by(samples.c.id).limit(limit)).all()
        return list(zip([row.id for row in rows], self._protection.digests(rows), strict=True))

    def missing(self) -> int:
        """Return how many recordings of enrolled speakers have no fingerprint."""
        theirs = (
            select(samples.c.speaker_id, samples.c.pcm_sha256)
            .where(~exists().where(*_same_recording()))
            .distinct()
        )
        query = select(func.count()).select_from(theirs.subquery())
        return int(self._connection.execute(query).scalar_one())

    def _kept(self, row: Any) -> KeptFingerprint:
        try:
            heard_as, at = HeardAs(row.heard_as), stored_rows.moment_of(row.created_at)
            words = memoryview(plain_words(self._protection, row)).cast("I").tobytes()
        except (TypeError, ValueError) as error:  # of another type, or no whole words
            raise stored_rows.damaged_row(f"fingerprint {row.id}") from error
        return KeptFingerprint(row.id, Replay(heard_as, at), words)


class FingerprintWriter(Fingerprints):
    """Changes fingerprints."""

    def accepted(self, speaker_id: int, words: bytes, keep_days: int) -> None:
        """Keep the fingerprint of an accepted clip; drop expired fingerprints."""
        self.drop_expired()
        until = datetime.fromisoformat(self._effects.now) + timedelta(days=keep_days)
        self._add(speaker_id, HeardAs.ACCEPTANCE, words, expires_at=until.isoformat())

    def enrolled(
        self, speaker_id: int, pcm_sha256: str, words: bytes, created_at: str | None = None
    ) -> None:
        """Keep the fingerprint of an enrolled recording for as long as that stays enrolled.

        ``created_at``: when it was enrolled; None: now.
        """
        facts = {"created_at": created_at} if created_at else {}
        facts["pcm_sha256"] = self._protection.recording(pcm_sha256)
        self._add(speaker_id, HeardAs.ENROLLMENT, words, **facts)

    def made(self, sample_id: int, pcm_sha256: str, words: bytes) -> bool:
        """Keep a fingerprint made from kept audio; False: the sample is gone or has one already."""
        query = select(samples.c.speaker_id, samples.c.created_at).where(samples.c.id == sample_id)
        row = self._connection.execute(query.where(~exists().where(*_same_recording()))).first()
        if row is not None:
            self.enrolled(row.speaker_id, pcm_sha256, words, created_at=row.created_at)
        return row is not None

    def drop_expired(self) -> None:
        """Drop expired fingerprints."""
        over = fingerprints.c.expires_at <= self._effects.now
        self._connection.execute(delete(fingerprints).where(over))

    def drop_unenrolled(self, speaker_ids: Collection[int]) -> None:
        """Erase the fingerprints of speakers' recordings that are no longer enrolled."""
        theirs = in_list(self._connection, fingerprints.c.speaker_id, speaker_ids)
        is_enrolled = exists().where(*_same_recording())
        gone = delete(fingerprints).where(theirs, fingerprints.c.pcm_sha256 != "", ~is_enrolled)
        words = self._connection.execute(gone.returning(fingerprints.c.words)).scalars()
        self._effects.erased_vectors += words.all()

    def move(self, from_ids: Collection[int], to_id: int, recordings: Collection[str]) -> None:
        """Give a speaker the fingerprints of others, of recordings by their stored hashes.

        Fingerprints of acceptances move too if the others' last sample moves.
        """
        theirs = in_list(self._connection, fingerprints.c.speaker_id, from_ids)
        of_them = in_list(self._connection, fingerprints.c.pcm_sha256, recordings)
        is_left = exists().where(samples.c.speaker_id == fingerprints.c.speaker_id)
        is_accepted = (fingerprints.c.pcm_sha256 == "") & ~is_left
        query = delete(fingerprints).where(theirs, or_(of_them, is_accepted))
        rows = self._connection.execute(query.returning(fingerprints)).all()
        if not rows:
            return
        enrolled = select(fingerprints.c.pcm_sha256).where(
            fingerprints.c.speaker_id == to_id, fingerprints.c.pcm_sha256 != ""
        )
        own_hashes = set(self._connection.scalars(enrolled))
        moved = [
            stored_row(self._protection, {**values_of(row), "speaker_id": to_id}, words)
            for row, words in [(row, plain_words(self._protection, row)) for row in rows]
            if row.pcm_sha256 not in own_hashes
        ]
        for values in moved:
            del values["id"]  # a new number: a running search then looks at it
        if moved:
            self._connection.execute(insert(fingerprints), moved)

    def _add(self, speaker_id: int, heard_as: HeardAs, words: bytes, **facts: str) -> None:
        facts = {"pcm_sha256": "", "created_at": self._effects.now, **facts}
        values = {"speaker_id": speaker_id, "heard_as": heard_as.value, **facts}
        row = stored_row(self._protection, values, words)
        self._connection.execute(insert(fingerprints).values(**row))


def _same_recording() -> tuple[Any, ...]:
    return (
        fingerprints.c.speaker_id == samples.c.speaker_id,
        fingerprints.c.pcm_sha256 == samples.c.pcm_sha256,
    )


def stored_row(protection: Protection, row: Mapping[str, Any], words: bytes) -> dict[str, Any]:
    """Return the stored row of a fingerprint, with its words."""
    return {**row, "words": stored_bytes(protection, row["speaker_id"], words, *_context(row))}


def plain_words(protection: Protection, row: Any) -> bytes:
    """Return the words of a stored fingerprint; raises StoreError."""
    context = _context(values_of(row))
    return protection.opened(row.speaker_id, row.words, *context, subject=f"fingerprint {row.id}")


def _context(row: Mapping[str, Any]) -> tuple[object, ...]:
    bound = ("heard_as", "pcm_sha256", "created_at", "expires_at")
    return ("fingerprint", *map(row.get, bound))
