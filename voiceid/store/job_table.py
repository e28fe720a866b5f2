"""Jobs: the process that works on each job, its lease, and the result.

A process that works on a job renews its lease; a killed process does not, and the next process
takes the job over.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row, Select, case, delete, func, insert, or_, select, update

from voiceid.domain import Job, JobKind, JobPicture, JobState
from voiceid.errors import StoreError
from voiceid.store import stored_rows
from voiceid.store.effects import IS_OVER
from voiceid.store.snapshot import Rows, Snapshot
from voiceid.store.tables import jobs
from voiceid.store.value_list import in_list

_DAMAGE = (ValueError, TypeError, RecursionError)
_ABANDONED = timedelta(days=7)
"""After this time a job that no process began is removed: the host of its recordings is gone."""
_SHOWN = [column for column in jobs.c if column is not jobs.c.pictures]


class Jobs(Rows):
    """Reads jobs."""

    def list(self, key_id: str | None = None) -> list[Job]:
        """Return the jobs, oldest first: all, or those of a key.  Damaged jobs are left out."""
        query = select(*_SHOWN).order_by(jobs.c.created_at, jobs.c.id)
        if key_id is not None:
            query = query.where(jobs.c.key_id == key_id)
        return [job for row in self._connection.execute(query) if (job := self._readable(row))]

    def find(self, job_id: str) -> Job | None:
        """Return the job with that id, or None."""
        row = self._connection.execute(_of(job_id)).first()
        return None if row is None else self._job(row)

    def pictures(self, job_id: str) -> dict[str, JobPicture]:
        """Return the pictures of a job's result, by name."""
        row = self._connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
        if row is None:
            return {}
        text = self._protection.text(row.pictures, *job_place("pictures", row))
        try:
            drawn = json.loads(text or "{}").items()
            return {
                name: JobPicture(title, base64.b64decode(png, validate=True))
                for name, (title, png) in drawn
            }
        except _DAMAGE as error:
            raise _damaged(job_id) from error

    def waiting(self, ids: Collection[str]) -> int:
        """Return how many of these jobs wait."""
        query = select(func.count()).where(
            in_list(self._connection, jobs.c.id, ids), jobs.c.state == JobState.QUEUED.value
        )
        return int(self._connection.execute(query).scalar_one())

    def _job(self, row: Row[Any]) -> Job:
        request = self._protection.text(row.request, *job_place("request", row))
        result = self._protection.text(row.result, *job_place("result", row))
        return _job(row, request, result)

    def _readable(self, row: Row[Any]) -> Job | None:
        """Return the job of a row; None if it is damaged."""
        with suppress(StoreError):
            return self._job(row)
        return None

    def standing(self, ids: Collection[str], now: datetime) -> dict[str, bool]:
        """Return, for each of these jobs that exists, whether a process may still work on it."""
        at_work = ~IS_OVER | (jobs.c.lease_until > now.isoformat())
        query = select(jobs.c.id, case((at_work, 1), else_=0))
        rows = self._connection.execute(query.where(in_list(self._connection, jobs.c.id, ids)))
        return {job_id: bool(may) for job_id, may in rows}


class JobWriter(Jobs):
    """Changes jobs; ``now`` is the time of the change."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        super().__init__(snapshot)
        self._now = now

    def add(
        self, job_id: str, kind: JobKind, key_id: str | None, request: Mapping[str, Any]
    ) -> None:
        """Add a job, which waits."""
        bound = SimpleNamespace(id=job_id, kind=kind.value, key_id=key_id)
        query = insert(jobs).values(
            **vars(bound),
            state=JobState.QUEUED.value,
            request=self._stored("request", bound, request),
            is_forgotten=0,
            n_starts=0,
            created_at=self._now.isoformat(),
            updated_at=self._now.isoformat(),
        )
        self._connection.execute(query)

    def claim(self, ids: Collection[str], owner: str, lease_s: float) -> Job | None:
        """Begin the oldest of these jobs that waits, or that lost its process.

        A damaged job is removed, since no process can begin it.
        """
        lost = (jobs.c.state == JobState.RUNNING.value) & (
            jobs.c.lease_until < self._now.isoformat()
        )
        open_ones = in_list(self._connection, jobs.c.id, ids) & or_(
            jobs.c.state == JobState.QUEUED.value, lost
        )
        query = select(jobs.c.id).where(open_ones).order_by(jobs.c.created_at, jobs.c.id)
        job_id = self._connection.execute(query.limit(1)).scalar()
        if job_id is None:
            return None
        begun = {"state": JobState.RUNNING.value, "owner": owner, "n_starts": jobs.c.n_starts + 1}
        self._set(jobs.c.id == job_id, **begun, lease_until=self._lease(lease_s))
        is_enrolment = jobs.c.kind == JobKind.ENROLL.value  # would bring back an erased person
        self._set((jobs.c.id == job_id) & ~is_enrolment, is_forgotten=0)
        job = self._readable(self._connection.execute(_of(job_id)).one())
        if job is None:
            self.remove(job_id)
        return job

    def renew(
        self, job_id: str, owner: str, lease_s: float, progress: tuple[float | None, float | None]
    ) -> bool:
        """Renew a lease and store the progress; False: the job is no longer this process's."""
        done, total = progress
        return self._set_own(
            job_id, owner, lease_until=self._lease(lease_s), done=done, total=total
        )

    def release(self, job_id: str, owner: str) -> None:
        """Let a job wait again for a later process; this start does not count."""
        self._set_own(
            job_id,
            owner,
            state=JobState.QUEUED.value,
            owner=None,
            lease_until=None,
            n_starts=jobs.c.n_starts - 1,
        )

    def finish(
        self, job: Job, owner: str, state: JobState, result: Any, pictures: Mapping[str, JobPicture]
    ) -> None:
        """End a job of this process, or keep the result of one that was cancelled.

        ``job`` is the job as it was begun: even if its row changed, the result is that caller's.
        The result and its pictures are dropped if a voice was erased meanwhile.
        """
        is_ours = (jobs.c.id == job.id) & (jobs.c.owner == owner) & (jobs.c.is_forgotten == 0)
        states = {JobState.RUNNING.value, state.value if state is JobState.CANCELLED else ""}
        if result is not None:
            drawn = {n: (p.title, base64.b64encode(p.png).decode()) for n, p in pictures.items()}
            values = {"result": self._stored("result", job, result)}
            values["pictures"] = self._stored("pictures", job, drawn) if drawn else None
            self._set(is_ours & jobs.c.state.in_(states), **values)
        self._set_own(job.id, owner, state=state.value, request=self._stored("request", job, {}))

    def cancel(self, job: Job) -> None:
        """End a job that waits or runs; its process notices that when it renews the lease."""
        is_open = ~IS_OVER
        cancelled = {"state": JobState.CANCELLED.value, "request": self._stored("request", job, {})}
        self._set(is_open & (jobs.c.id == job.id), **cancelled)

    def remove(self, job_id: str) -> None:
        """Remove a job."""
        self._connection.execute(delete(jobs).where(jobs.c.id == job_id))

    def remove_damaged(self) -> list[str]:
        """Remove damaged jobs; return their ids."""
        rows = self._connection.execute(select(*_SHOWN)).all()
        damaged = [row.id for row in rows if self._readable(row) is None]
        for job_id in damaged:
            self.remove(job_id)
        return damaged

    def expire(self, kept_s: float) -> None:
        """Remove jobs that ended more than ``kept_s`` ago, and jobs that no process will begin."""
        ended = jobs.c.updated_at < (self._now - timedelta(seconds=kept_s)).isoformat()
        abandoned = jobs.c.updated_at < (self._now - _ABANDONED).isoformat()
        self._connection.execute(delete(jobs).where(or_(IS_OVER & ended, abandoned)))

    def _stored(self, column: str, job: Any, value: Any) -> str | None:
        return self._protection.stored_text(json.dumps(value), *job_place(column, job))

    def _lease(self, lease_s: float) -> str:
        return (self._now + timedelta(seconds=lease_s)).isoformat()

    def _set_own(self, job_id: str, by: str, **values: Any) -> bool:
        running = jobs.c.state == JobState.RUNNING.value
        return self._set((jobs.c.id == job_id) & (jobs.c.owner == by) & running, **values)

    def _set(self, condition: Any, **values: Any) -> bool:
        values["updated_at"] = self._now.isoformat()
        done = self._connection.execute(update(jobs).where(condition).values(**values))
        return bool(done.rowcount)


def job_place(column: str, job: Any) -> tuple[str, ...]:
    """Return the place that a sealed text of a job is bound to: it names the caller's key."""
    return (f"job {column}", job.id, str(job.kind), f"of key {job.key_id}")


def _of(job_id: str) -> Select[Any]:
    return select(*_SHOWN).where(jobs.c.id == job_id)


def _job(row: Row[Any], request: str | None, result: str | None) -> Job:
    try:
        return Job(
            id=row.id,
            kind=JobKind(row.kind),
            state=JobState(row.state),
            key_id=row.key_id,
            request=json.loads(request or ""),
            done=row.done,
            total=row.total,
            result=None if result is None else json.loads(result),
            is_forgotten=bool(row.is_forgotten),
            n_starts=row.n_starts,
            created_at=stored_rows.moment_of(row.created_at).astimezone(UTC),
            updated_at=stored_rows.moment_of(row.updated_at).astimezone(UTC),
        )
    except _DAMAGE as error:
        raise _damaged(row.id) from error


def _damaged(job_id: str) -> StoreError:
    return stored_rows.damaged_row(
        f"the job {job_id}", "The service removes it within ten minutes."
    )
