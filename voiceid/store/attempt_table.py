"""Failed attempts to be accepted as a speaker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, insert, or_, select, update

from voiceid.store import stored_rows
from voiceid.store.snapshot import Rows
from voiceid.store.tables import attempts

_NEWEST_FIRST = select(attempts).order_by(attempts.c.failed_at.desc(), attempts.c.id.desc())
_OF = _NEWEST_FIRST.where(
    or_(attempts.c.name_key == bindparam("name_key"), attempts.c.caller == bindparam("caller"))
)
"""Built once: it is asked twice with every decision that is counted."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed."""

    id: int
    name_key: str  # as stored: of the claimed name, enrolled or not
    caller: str
    failed_at: datetime


class Attempts(Rows):
    """Reads attempts."""

    def since(self, moment: datetime) -> list[Attempt]:
        """Return the attempts after a moment in UTC, newest first."""
        return self._failed(_NEWEST_FIRST.where(attempts.c.failed_at > moment.isoformat()))

    def of(self, name_key: str, caller: str) -> tuple[list[Attempt], list[Attempt]]:
        """Return the attempts as a speaker, and the attempts of a caller, newest first."""
        stored = self._protection.name_key(name_key)
        failed = self._failed(_OF, name_key=stored, caller=caller)
        return (
            [attempt for attempt in failed if attempt.name_key == stored],
            [attempt for attempt in failed if attempt.caller == caller],
        )

    def _failed(self, query: Select[Any], **parameters: str) -> list[Attempt]:
        return [
            Attempt(row.id, row.name_key, row.caller, stored_rows.moment_of(row.failed_at))
            for row in self._connection.execute(query, parameters)
        ]


class AttemptWriter(Attempts):
    """Changes attempts."""

    def add(self, name_key: str, caller: str) -> None:
        """Add an attempt that failed."""
        stored, now = self._protection.name_key(name_key), self._effects.now
        query = insert(attempts).values(name_key=stored, caller=caller, failed_at=now)
        self._connection.execute(query)

    def forget_before(self, moment: datetime) -> None:
        """Forget the attempts at a moment in UTC and before it."""
        self.forget(attempts.c.failed_at <= moment.isoformat())

    def forget_name(self, name_key: str) -> int:
        """Forget the attempts as a speaker; return their number."""
        return self.forget(attempts.c.name_key == self._protection.name_key(name_key))

    def forget_caller(self, caller: str) -> int:
        """Forget the attempts of a caller; return their number."""
        return self.forget(attempts.c.caller == caller)

    def forget(self, condition: ColumnElement[bool]) -> int:
        """Forget attempts; return their number."""
        return self._connection.execute(delete(attempts).where(condition)).rowcount

    def rename(self, name_key: str, new_key: str) -> None:
        """Move the attempts as one speaker to another speaker."""
        stored, new = map(self._protection.name_key, (name_key, new_key))
        query = update(attempts).where(attempts.c.name_key == stored)
        self._connection.execute(query.values(name_key=new))
