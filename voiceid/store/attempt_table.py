"""Attempts to be accepted as a speaker that failed, or are under way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, or_, select, update

from voiceid.store import stored_rows
from voiceid.store.change_feed import Effects
from voiceid.store.protection import Rows
from voiceid.store.tables import attempts


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt."""

    id: int
    name_key: str  # as stored: of who was claimed, enrolled or not
    caller: str
    created_at: datetime
    has_failed: bool  # else it is under way, or its process died


class Attempts(Rows):
    """Reads attempts."""

    def since(self, moment: datetime) -> list[Attempt]:
        """Return the attempts after a moment in UTC, newest first."""
        return self._where(attempts.c.created_at > moment.isoformat())

    def of(self, name_key: str, caller: str) -> list[Attempt]:
        """Return the attempts as a speaker, by the stored key, and those of a caller.

        Newest first.
        """
        return self._where(or_(attempts.c.name_key == name_key, attempts.c.caller == caller))

    def stored_key(self, name_key: str) -> str:
        """Return how the key of a name is stored."""
        return self._protection.name_key(name_key)

    def _where(self, condition: ColumnElement[bool]) -> list[Attempt]:
        query = select(attempts).where(condition)
        query = query.order_by(attempts.c.created_at.desc(), attempts.c.id.desc())
        return [
            Attempt(
                row.id,
                row.name_key,
                row.caller,
                stored_rows.moment_of(row.created_at),
                row.failed_at is not None,
            )
            for row in self._connection.execute(query)
        ]


class AttemptWriter(Attempts):
    """Changes attempts."""

    def __init__(self, effects: Effects) -> None:
        super().__init__(effects.connection, effects.protection)
        self._now = effects.now

    def add(self, name_key: str, caller: str) -> int:
        """Add an attempt that is under way, by the stored key of the name; return its id."""
        query = insert(attempts).values(name_key=name_key, caller=caller, created_at=self._now)
        return int(self._connection.execute(query.returning(attempts.c.id)).scalar_one())

    def fail(self, attempt_id: int) -> Attempt | None:
        """Note that an attempt failed; None: it was forgotten meanwhile."""
        of_it = attempts.c.id == attempt_id
        self._connection.execute(update(attempts).where(of_it).values(failed_at=self._now))
        return next(iter(self._where(of_it)), None)

    def withdraw(self, attempt_id: int) -> None:
        """Forget an attempt, as if it had not been made."""
        self._connection.execute(delete(attempts).where(attempts.c.id == attempt_id))

    def accept(self, attempt_id: int) -> None:
        """Forget all attempts as the speaker whom one attempt claimed, of any caller."""
        name_key = select(attempts.c.name_key).where(attempts.c.id == attempt_id)
        self.forget(attempts.c.name_key == name_key.scalar_subquery())

    def forget_before(self, moment: datetime) -> None:
        """Forget what is as old as a moment in UTC, or older."""
        self.forget(attempts.c.created_at <= moment.isoformat())

    def forget_name(self, name_key: str) -> int:
        """Forget the attempts as a speaker; return how many."""
        return self.forget(attempts.c.name_key == self._protection.name_key(name_key))

    def forget_caller(self, caller: str) -> int:
        """Forget the attempts of a caller; return how many."""
        return self.forget(attempts.c.caller == caller)

    def forget(self, condition: ColumnElement[bool]) -> int:
        """Forget attempts; return how many."""
        return self._connection.execute(delete(attempts).where(condition)).rowcount

    def rename(self, name_key: str, new_key: str) -> None:
        """Count the attempts as one speaker as those as another."""
        stored, new = map(self._protection.name_key, (name_key, new_key))
        query = update(attempts).where(attempts.c.name_key == stored)
        self._connection.execute(query.values(name_key=new))
