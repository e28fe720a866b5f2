"""How long speakers are kept: when each was used last, and which service looks at night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import case, delete, exists, func, insert, literal, select, update

from voiceid.errors import StoreError
from voiceid.store.snapshot import Rows
from voiceid.store.tables import retention_runs, speakers

_KEPT = timedelta(days=31)


class Retention(Rows):
    """Reads it."""

    def last_used(self) -> dict[int, datetime]:
        """Return the day, in UTC, on which each speaker was accepted last, where it is kept.

        A day that is still to come, which this program does not write, counts as today.
        """
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return {id_: min(day, today) for id_, day in self._days() if day is not None}

    def undated(self) -> dict[int, str]:
        """Return the speakers of whom what is kept is no day, with what is wrong."""
        return {i: f"the last use of speaker {i} is no day" for i, day in self._days() if not day}

    def require_clock(self) -> None:
        """Raise StoreError where most speakers were changed later than now: the clock is wrong."""
        now = datetime.now(UTC)  # later than anything that is read
        later = case((speakers.c.updated_at > now.isoformat(), 1))
        query = select(func.count(later), func.count()).select_from(speakers)
        n_later, n = self._connection.execute(query).one()
        if n_later * 2 > n:
            raise StoreError(
                f"{n_later} of {n} speakers were changed later than now, {now:%Y-%m-%d %H:%M} UTC:"
                " no speaker was erased by a rule",
                hint="Set the clock. If it is right, it was wrong before: what is changed now"
                " (`voiceid speakers edit`) has the time of now.",
            )

    def _days(self) -> Iterator[tuple[int, datetime | None]]:
        query = select(speakers.c.id, speakers.c.last_used_on)
        for row in self._connection.execute(query.where(speakers.c.last_used_on.is_not(None))):
            try:
                yield row.id, datetime.fromisoformat(f"{row.last_used_on}T00:00+00:00")
            except ValueError:
                yield row.id, None


class RetentionWriter(Retention):
    """Changes it."""

    @property
    def _today(self) -> str:
        return self._effects.now[:10]

    def used(self, speaker_id: int) -> None:
        """Note that a speaker was accepted today."""
        earlier = speakers.c.last_used_on.is_(None) | (speakers.c.last_used_on < self._today)
        query = update(speakers).where(speakers.c.id == speaker_id, earlier)
        self._connection.execute(query.values(last_used_on=self._today))

    def correct_dates(self) -> None:
        """Let speakers with a date that is still to come, of a wrong clock, age from now on."""
        for date in (speakers.c.created_at, speakers.c.updated_at):
            is_later = (date > self._effects.now) & (date < ":")  # a date: ":" comes after digits
            query = update(speakers).where(is_later).values({date.name: self._effects.now})
            self._connection.execute(query)

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
        old = retention_runs.c.day < (datetime.fromisoformat(self._effects.now) - _KEPT).isoformat()
        self._connection.execute(delete(retention_runs).where(old))
        free = ~exists().where(retention_runs.c.day == self._today)
        new = select(literal(self._today), literal(self._effects.now)).where(free)
        query = insert(retention_runs).from_select(["day", "started_at"], new)
        begun = self._connection.execute(query.returning(retention_runs.c.day)).scalar()
        return begun is not None
