"""Retention: when each speaker was last used, and which service runs the rules at night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import case, delete, exists, func, insert, literal, select, update

from voiceid.errors import StoreError
from voiceid.store.snapshot import Rows
from voiceid.store.tables import backups, model_changes, retention_runs, speakers, spoken_words

_KEPT = timedelta(days=31)
_DATES = (
    *(speakers.c.created_at, speakers.c.updated_at, spoken_words.c.created_at),
    *(model_changes.c.started_at, model_changes.c.switched_at),
    *(retention_runs.c.started_at, backups.c.made_at),
)
"""Times after which the clock is behind; those of keys and fits may be sealed: remove such rows."""


class Retention(Rows):
    """Reads the last uses."""

    def last_used(self) -> dict[int, datetime]:
        """Return the last day, in UTC, on which each speaker was accepted, if it is kept.

        A day in the future, which this program does not write, counts as today.
        """
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return {id_: min(day, today) for id_, day in self._days() if day is not None}

    def undated(self) -> dict[int, str]:
        """Return the speakers with a last use that is not a date, with the problem."""
        return {i: f"the last use of speaker {i} is not a date" for i, d in self._days() if not d}

    def require_clock(self) -> None:
        """Raise StoreError if most speakers were changed after now: the clock is wrong."""
        now = datetime.now(UTC)  # read before the rows
        later = case((speakers.c.updated_at > now.isoformat(), 1))
        query = select(func.count(later), func.count()).select_from(speakers)
        n_later, n = self._connection.execute(query).one()
        if n_later * 2 > n:
            raise StoreError(
                f"{n_later} of {n} speakers were changed later than now, {now:%Y-%m-%d %H:%M} UTC:"
                " no speaker was erased by a rule",
                hint="Set the clock. If it is right now, it was wrong before: edit the speakers"
                " (`voiceid speakers edit`) to give them the present time.",
            )

    def _days(self) -> Iterator[tuple[int, datetime | None]]:
        query = select(speakers.c.id, speakers.c.last_used_on)
        for row in self._connection.execute(query.where(speakers.c.last_used_on.is_not(None))):
            try:
                yield row.id, datetime.fromisoformat(f"{row.last_used_on}T00:00+00:00")
            except ValueError:
                yield row.id, None


class RetentionWriter(Retention):
    """Changes the last uses."""

    @property
    def _today(self) -> str:
        return self._effects.now[:10]

    def used(self, speaker_id: int) -> None:
        """Record that a speaker was accepted today."""
        earlier = speakers.c.last_used_on.is_(None) | (speakers.c.last_used_on < self._today)
        query = update(speakers).where(speakers.c.id == speaker_id, earlier)
        self._connection.execute(query.values(last_used_on=self._today))

    def correct_dates(self) -> None:
        """Give rows with a date in the future (of a wrong clock) the present time."""
        for date in _DATES:
            is_later = (date > self._effects.now) & (date < ":")  # a date: ":" comes after digits
            query = update(date.table).where(is_later).values({date.name: self._effects.now})
            self._connection.execute(query)

    def count_uses(self, *, needed: bool) -> None:
        """Set today as the last use of speakers without one or with one in the future.

        Or, if no rule needs the last uses, forget them all.

        So a rule that is new or set again erases no speaker for a time without recorded uses.
        """
        noted = speakers.c.last_used_on
        if needed:
            uncounted = noted.is_(None) | (noted > self._today)
            query = update(speakers).where(uncounted).values(last_used_on=self._today)
        else:
            query = update(speakers).where(noted.is_not(None)).values(last_used_on=None)
        self._connection.execute(query)

    def begin_run(self) -> bool:
        """Return whether the caller runs today's rules: the first caller of a day does."""
        old = retention_runs.c.day < (datetime.fromisoformat(self._effects.now) - _KEPT).isoformat()
        self._connection.execute(delete(retention_runs).where(old))
        free = ~exists().where(retention_runs.c.day == self._today)
        new = select(literal(self._today), literal(self._effects.now)).where(free)
        query = insert(retention_runs).from_select(["day", "started_at"], new)
        begun = self._connection.execute(query.returning(retention_runs.c.day)).scalar()
        return begun is not None
