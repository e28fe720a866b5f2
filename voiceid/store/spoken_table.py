"""Spoken codes: the words of speakers, and the codes that wait for an answer.

A speaker's words are one row, sealed by the speaker's key in a sealed gallery: a line of JSON with
the words, then the features of their recordings as little-endian float16.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import delete, insert, select

from voiceid.decision.word_matching import Tokens, Vocabulary
from voiceid.domain import Float32Array, speaker_key
from voiceid.domain.code_words import CHALLENGE_S, Challenge
from voiceid.store import stored_rows
from voiceid.store.bound_rows import bound_row, plain_row
from voiceid.store.protection import Protection, stored_bytes
from voiceid.store.snapshot import Rows
from voiceid.store.tables import challenges, speakers, spoken_words

_PLACE = "spoken words"
_ID = re.compile(r"[\w-]{1,43}", re.ASCII)
_DAMAGE = (ValueError, TypeError, KeyError, RecursionError)


class SpokenWordsTable(Rows):
    """Reads the words of speakers."""

    def of(self, speaker_id: int) -> Vocabulary | None:
        """Return the words of a speaker, or None; raises StoreError."""
        stored = self.stored(speaker_id)
        if not stored:
            return None
        try:
            return _vocabulary(self.opened(speaker_id, stored[0]))
        except _DAMAGE as error:
            raise stored_rows.damaged_row(
                f"a row of spoken words of speaker {speaker_id}"
            ) from error

    def first(self) -> Vocabulary | None:
        """Return the words of the first speaker who has any, or None."""
        query = select(spoken_words.c.speaker_id).order_by(spoken_words.c.speaker_id).limit(1)
        speaker_id = self._connection.execute(query).scalar()
        return None if speaker_id is None else self.of(speaker_id)

    def stored(self, speaker_id: int) -> list[bytes]:
        """Return the content of a speaker's row as stored."""
        query = select(spoken_words.c.content).where(spoken_words.c.speaker_id == speaker_id)
        return list(self._connection.execute(query).scalars())

    def opened(self, speaker_id: int, content: bytes) -> bytes:
        """Return the plain content of a stored row."""
        subject = f"a row of spoken words of speaker {speaker_id}"
        return self._protection.opened(speaker_id, content, _PLACE, subject=subject)


class SpokenWordsWriter(SpokenWordsTable):
    """Changes the words of speakers, and stores codes."""

    def put(self, speaker_id: int, vocabulary: Vocabulary) -> None:
        """Replace the words of a speaker."""
        self.remove(speaker_id)
        content = sealed_words(self._protection, speaker_id, _content(vocabulary))
        values = {"speaker_id": speaker_id, "content": content, "created_at": self._effects.now}
        self._connection.execute(insert(spoken_words).values(**values))

    def remove(self, speaker_id: int) -> bool:
        """Erase the words of a speaker and their codes; return whether there were any."""
        key = select(speakers.c.name_key).where(speakers.c.id == speaker_id).scalar_subquery()
        self._connection.execute(delete(challenges).where(challenges.c.name_key == key))
        its = spoken_words.c.speaker_id == speaker_id
        gone = delete(spoken_words).where(its).returning(spoken_words.c.content)
        if content := self._connection.execute(gone).scalars().all():
            self._effects.erase(content)
        return bool(content)

    def ask(self, challenge: Challenge, caller: str | None) -> None:
        """Store a code that waits for its answer, and remove expired codes."""
        over = challenges.c.expires_at <= self._effects.now
        self._connection.execute(delete(challenges).where(over))
        values = {
            "id": challenge.id,
            "name_key": self._protection.name_key(speaker_key(challenge.speaker)),
            "caller": caller or "",
            "words": json.dumps(challenge.words),
            "expires_at": challenge.expires_at.isoformat(),
        }
        stored = bound_row(self._protection, challenges, values)
        self._connection.execute(insert(challenges).values(**stored))

    def claimed(self, id_: str, name: str, caller: str | None) -> tuple[str, ...] | None:
        """Return and remove the code of a caller for a name: each code is answered once.

        None: there is no such code, it expired, or it is another caller's; it is removed anyway.
        A code with more than twice its lifetime left comes from a clock that was set back.
        """
        if not _ID.fullmatch(id_):
            return None
        gone = delete(challenges).where(challenges.c.id == id_).returning(*challenges.c)
        row = self._connection.execute(gone).first()
        now = datetime.fromisoformat(self._effects.now)
        last = (now + timedelta(seconds=2 * CHALLENGE_S)).isoformat()
        claim = (self._protection.name_key(speaker_key(name)), caller or "")
        if (
            row is None
            or (row.name_key, row.caller) != claim
            or not self._effects.now < row.expires_at <= last
        ):
            return None
        try:
            words = plain_row(self._protection, challenges, row).words
            return tuple(map(str, json.loads(words)))
        except _DAMAGE as error:
            raise stored_rows.damaged_row("a challenge") from error


def sealed_words(protection: Protection, speaker_id: int, content: bytes) -> bytes:
    """Return the content of a row as stored."""
    return stored_bytes(protection, speaker_id, content, _PLACE)


def _content(vocabulary: Vocabulary) -> bytes:
    tokens = vocabulary.tokens
    facts = {
        "words": vocabulary.words,
        "lengths": tokens.lengths.tolist(),
        "of": tokens.words.tolist(),
    }
    return json.dumps(facts).encode() + b"\n" + tokens.frames.astype("<f2").tobytes()


def _vocabulary(content: bytes) -> Vocabulary:
    line, _, raw = content.partition(b"\n")
    facts = json.loads(line)
    lengths, of = (np.array(facts[key], np.int64) for key in ("lengths", "of"))
    frames: Float32Array = np.frombuffer(raw, "<f2").astype(np.float32)
    frames = frames.reshape(int(lengths.sum()), -1)
    words = tuple(map(str, facts["words"]))
    is_whole = len(lengths) == len(of) and lengths.min() > 1 and np.isfinite(frames).all()
    if not is_whole or set(of.tolist()) != set(range(len(words))):
        raise ValueError("not the words of a speaker")
    return Vocabulary(words, Tokens(frames, lengths, of))
