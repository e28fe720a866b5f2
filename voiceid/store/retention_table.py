"""How long speakers are kept: when each was used last, and which service looks at night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, exists, insert, literal, select, update

from voiceid.store.change_feed import Effects
from voiceid.store.tables import retention_runs, speakers

_KEPT = timedelta(days=31)


class Retention:
    """Reads it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def last_used(self) -> dict[int, datetime]:
        """Return the day, in UTC, on which each speaker was accepted last, where it is kept.

        A day that is still to come, which this program does not write, counts as today.
        """
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return {id_: min(day, today) for id_, day in self._days() if day is not None}

    def undated(self) -> dict[int, str]:
        """Return the speakers of whom what is kept is no day, with what is wrong."""
        return {i: f"the last use of speaker {i} is no day" for i, day in self._days() if not day}

    def _days(self) -> Iterator[tuple[int, datetime | None]]:
        query = select(speakers.c.id, speakers.c.last_used_on)
        for row in self._connection.execute(query.where(speakers.c.last_used_on.is_not(None))):
            try:
                yield row.id, datetime.fromisoformat(f"{row.last_used_on}T00:00+00:00")
            except ValueError:
                yield row.id, None


class RetentionWriter(Retention):
    """Changes it."""

    def __init__(self, effects: Effects) -> None:
        super().__init__(effects.connection)
        self._now = effects.now

    @property
    def _today(self) -> str:
        return self._now[:10]

    def used(self, speaker_id: int) -> None:
        """Note that a speaker was accepted today."""
        earlier = speakers.c.last_used_on.is_(None) | (speakers.c.last_used_on < self._today)
        query = update(speakers).where(speakers.c.id == speaker_id, earlier)
        self._connection.execute(query.values(last_used_on=self._today))

    def count_uses(self, *, wanted: bool) -> None:
        """Begin to count the days of speakers whose use was never noted, or is still to come.

        Or forget all of it.

        So a new rule, or one that is set again, erases no speaker for a time without noted uses.
        """
        noted = speakers.c.last_used_on
        if wanted:
            uncounted = noted.is_(None) | (noted > self._today)
            query = update(speakers).where(uncounted).values(last_used_on=self._today)
        else:
            query = update(speakers).where(noted.is_not(None)).values(last_used_on=None)
        self._connection.execute(query)

    def begin_run(self) -> bool:
        """Return whether today's run is the caller's: of several that ask, the first has it."""
        old = retention_runs.c.day < (datetime.fromisoformat(self._now) - _KEPT).isoformat()
        self._connection.execute(delete(retention_runs).where(old))
        free = ~exists().where(retention_runs.c.day == self._today)
        new = select(literal(self._today), literal(self._now)).where(free)
        query = insert(retention_runs).from_select(["day", "started_at"], new)
        begun = self._connection.execute(query.returning(retention_runs.c.day)).scalar()
        return begun is not None
