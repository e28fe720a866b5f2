"""Answers that are kept for callers who send the same request again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, insert, select, update

from voiceid.store.snapshot import Rows, Snapshot
from voiceid.store.tables import kept_answers

_KEPT = timedelta(hours=24)
_LONGEST = timedelta(hours=1)
"""After this time, a request without an answer belongs to a process that was killed."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A request that was made before, and its answer.

    - `status`: the HTTP status; None: the request is still being processed.
    - `answer`: the kept text; None: it was not kept, or was dropped when a voice was erased.
    """

    request_sha256: str
    status: int | None
    answer: str | None


class AnswerWriter(Rows):
    """Keeps answers, by caller and by the hash of the key that the caller gave the request."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        super().__init__(snapshot)
        self._now = now

    def begin(self, caller: str, key_sha256: str, request_sha256: str) -> KeptAnswer | None:
        """Return the kept answer; None: there is none, and the request is now being processed."""
        self._drop_old()
        query = select(kept_answers).where(_is(caller, key_sha256))
        row = self._connection.execute(query).first()
        if row is not None:
            answer = self._protection.text(row.answer, "kept answer", caller, key_sha256)
            return KeptAnswer(row.request_sha256, row.status, answer)
        new = insert(kept_answers).values(
            caller=caller,
            key_sha256=key_sha256,
            request_sha256=request_sha256,
            is_forgotten=0,
            created_at=self._now.isoformat(),
        )
        self._connection.execute(new)
        return None

    def keep(self, caller: str, key_sha256: str, status: int, answer: str | None) -> None:
        """Keep an answer; only the status if a voice was erased meanwhile."""
        its = _is(caller, key_sha256)
        self._connection.execute(update(kept_answers).where(its).values(status=status))
        remembered = kept_answers.c.is_forgotten == 0
        stored = self._protection.stored_text(answer, "kept answer", caller, key_sha256)
        query = update(kept_answers).where(its, remembered).values(answer=stored)
        self._connection.execute(query)

    def give_up(self, caller: str, key_sha256: str) -> None:
        """Forget a request that changed nothing: it may be made again."""
        self._connection.execute(delete(kept_answers).where(_is(caller, key_sha256)))

    def _drop_old(self) -> None:
        begun = kept_answers.c.created_at
        old = begun < (self._now - _KEPT).isoformat()
        killed = kept_answers.c.status.is_(None) & (begun < (self._now - _LONGEST).isoformat())
        self._connection.execute(delete(kept_answers).where(old | killed))


def _is(caller: str, key_sha256: str) -> ColumnElement[bool]:
    return (kept_answers.c.caller == caller) & (kept_answers.c.key_sha256 == key_sha256)
