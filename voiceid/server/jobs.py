"""Jobs: each process works on one at a time, with a lower priority than requests.

A job waits in the database, and its recordings in the data folder.  In a sealed gallery they are
sealed by a key of the job, which is in its request and is deleted with it when the job ends.  A
process works on jobs whose recordings it can see.  It renews a lease; the jobs of a killed process
are begun again by another process.
"""

from __future__ import annotations

import base64
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, BinaryIO

from voiceid.client import VoiceID
from voiceid.config import Config
from voiceid.domain import Job, JobKind, JobState, ServiceLimits
from voiceid.domain.audit_chain import ACTOR
from voiceid.errors import VoiceIDError
from voiceid.models.runtime import step_back
from voiceid.protection import Key
from voiceid.server.disclosure import plain_problem
from voiceid.server.job_kinds import Answer, JobInputs, require_sound, work
from voiceid.server.problems import Problem, busy, problem_document
from voiceid.server.uploads import Uploads
from voiceid.session import hides_names
from voiceid.store import Store

_LOG = logging.getLogger("voiceid")
_LOOK_S = 2.0
"""The time between two looks for jobs that other processes left."""
_LEASE_S, _BEAT_S = 30.0, 5.0
_EXPIRE_S = 600.0
"""The time between two looks for results that are too old."""
_MOST_STARTS = 3
"""A job that killed its process this often is not begun again."""
_ENDING_S = 10.0
"""How long the service waits at its end for a job to stop; another process takes it over."""


class Jobs:
    """The jobs of the service, and the thread that works on them."""

    def __init__(self, vid: VoiceID, limits: ServiceLimits) -> None:
        self._vid, self._limits = vid, limits
        self._session = vid._session  # noqa: SLF001 - the service has tables of its own there
        self.uploads = Uploads(self.config.data / "jobs")
        self._owner = secrets.token_hex(8)
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="voiceid-jobs", daemon=True)
        self._current: _Run | None = None
        self._expires_at = 0.0

    @property
    def store(self) -> Store:
        """The database."""
        return self._session.store

    @property
    def config(self) -> Config:
        """The settings."""
        return self._session.config

    # Requests about jobs

    def add(
        self,
        kind: JobKind,
        key_id: str | None,
        request: Mapping[str, Any],
        clips: Sequence[BinaryIO],
    ) -> Job:
        """Store the recordings and the request of a job; raises Problem if too many jobs wait."""
        job_id = secrets.token_hex(16)
        key = Key.new() if hides_names(self._session) else None
        files = self.uploads.keep(job_id, clips, key)
        stored = {
            **request,
            "clips": [[f, c.name] for f, c in zip(files, clips, strict=True)],
            "key": None if key is None else base64.b64encode(key.secret).decode(),
        }
        try:
            require_sound(kind, JobInputs(self.uploads.of(job_id), stored))
            with self.store.write() as writer:
                self._require_room(writer.jobs.waiting(self.uploads.ids()))
                writer.jobs.add(job_id, kind, key_id, stored)
                job = writer.jobs.find(job_id)
        except BaseException:
            self.uploads.remove(job_id)
            raise
        self._wake.set()
        assert job is not None  # noqa: S101 - it was added in this transaction
        return job

    def end(self, job_id: str) -> tuple[Job, bool]:
        """Cancel a job, or remove a finished one; return it, and whether it was removed."""
        with self.store.write() as writer:
            job = writer.jobs.find(job_id)
            if job is None:
                raise no_job(job_id)
            if job.state.is_over:
                writer.jobs.remove(job_id)
                return job, True
            writer.jobs.cancel(job)
            cancelled = writer.jobs.find(job_id) or job
        if job.state is JobState.QUEUED:
            self.uploads.remove(job_id)
        if (current := self._current) is not None and current.job.id == job_id:
            current.stop.set()
        return cancelled, False

    def _require_room(self, waiting: int) -> None:
        if waiting >= self._limits.max_jobs:
            hint = "Try again when some are done, or increase server.max_jobs."
            raise busy(f"{waiting} jobs wait already", hint, 60)

    # The thread

    def start(self) -> None:
        """Begin to work on jobs."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; the current job waits for the next process."""
        self._ending.set()
        self._wake.set()
        if (current := self._current) is not None:
            current.stop.set()
        if self._thread.is_alive():
            self._thread.join(_ENDING_S)

    def _run(self) -> None:
        step_back()
        while not self._ending.is_set():
            try:
                job = self._next()
                if job is not None:
                    self._work_on(job)
                    continue
            except VoiceIDError as error:  # e.g. a busy database or a full disk: try later
                _LOG.warning("jobs: %s", error)
            self._wake.wait(_LOOK_S)
            self._wake.clear()

    def _next(self) -> Job | None:
        """Begin a job whose recordings are here; remove old finished jobs and damaged ones."""
        ids, is_due = self.uploads.ids(), time.monotonic() >= self._expires_at
        if not self._session.has_database or not (ids or is_due):
            return None
        with self.store.write() as writer:
            writer.jobs.expire(self._limits.job_kept_s)
            damaged = writer.jobs.remove_damaged() if is_due else []
            job = writer.jobs.claim(ids, self._owner, _LEASE_S)
            standing = writer.jobs.standing(ids, writer.now)
        for job_id in damaged:
            _LOG.warning("jobs: %s was damaged and has been removed", job_id)
        self._expires_at = time.monotonic() + _EXPIRE_S
        self.uploads.sweep(standing)
        return job

    def _work_on(self, job: Job) -> None:
        self._current = run = _Run(job, partial(self._require_key, job))
        ACTOR.set(job.key_id)
        beats = threading.Thread(target=self._renew, args=(run,), name="voiceid-lease", daemon=True)
        beats.start()
        try:
            state, answer = self._outcome(run)
        finally:
            run.over.set()
            beats.join()
            self._current = None
        with self.store.write() as writer:
            writer.jobs.renew(job.id, self._owner, _LEASE_S, run.progress)
            if state is JobState.QUEUED:
                writer.jobs.release(job.id, self._owner)
                return
            writer.jobs.finish(job, self._owner, state, *answer)
        self.uploads.remove(job.id)

    def _outcome(self, run: _Run) -> tuple[JobState, Answer]:
        """Do a job; return its final state and its result."""
        job = run.job
        try:
            _require_sane(job)
            run.require_right()
            answer = work(self._vid, job, self.uploads.of(job.id), run.tell, run.keep)
        except _Stopped:
            if self._ending.is_set():
                return JobState.QUEUED, Answer(None)
            return JobState.CANCELLED, Answer(run.partial)
        except (VoiceIDError, Problem) as error:
            return _failed(plain_problem(self.config, error))
        except Exception as error:  # noqa: BLE001 - the thread goes on with the next job
            where = None if hides_names(self._session) else error  # its message may name people
            _LOG.error("job %s: %s", job.id, type(error).__name__, exc_info=where)
            return _failed(
                Problem(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    "JobFailed",
                    f"the program failed: {type(error).__name__}",
                    hint="See the log of the service, and please report this.",
                )
            )
        return JobState.DONE, answer

    def _require_key(self, job: Job) -> None:
        """Raise ApiKeyNotFound if the job's key was removed, AccessDenied if it has expired."""
        if job.key_id is not None:
            self._vid.keys.require(self._vid.keys.get(job.key_id))

    def _renew(self, run: _Run) -> None:
        while not run.over.wait(_BEAT_S):
            try:
                with self.store.write() as writer:
                    is_ours = writer.jobs.renew(run.job.id, self._owner, _LEASE_S, run.progress)
            except VoiceIDError as error:
                _LOG.warning("jobs: %s", error)
            else:
                if not is_ours:  # it was cancelled, or another process took it over
                    run.stop.set()


class _Stopped(Exception):
    """The job must stop."""


class _Run:
    """A running job: its progress, and whether it must stop."""

    def __init__(self, job: Job, require_right: Callable[[], None]) -> None:
        self.job, self.require_right = job, require_right
        self.stop, self.over = threading.Event(), threading.Event()
        self.progress: tuple[float | None, float | None] = (None, None)
        self.partial: Any = None

    def tell(self, done: float, total: float | None) -> None:
        self.progress = done, total
        if self.stop.is_set():
            raise _Stopped

    def keep(self, partial: Any) -> None:
        self.partial = partial
        self.require_right()  # before another person is enrolled


def _failed(problem: Problem) -> tuple[JobState, Answer]:
    return JobState.FAILED, Answer(problem_document(problem))


def _require_sane(job: Job) -> None:
    if job.n_starts > _MOST_STARTS:
        raise Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "JobFailed",
            f"{_MOST_STARTS} processes that worked on this job were killed",
            hint="The job may need too much memory; send fewer recordings at a time.",
        )
    if job.is_forgotten:
        raise Problem(
            HTTPStatus.CONFLICT,
            "JobFailed",
            "the job was interrupted, and a voice was erased after it had begun",
            hint="Send the request again if its people are still to be enrolled.",
        )


def no_job(job_id: str) -> Problem:
    """Return the problem for a job that does not exist or is another caller's."""
    return Problem(
        HTTPStatus.NOT_FOUND,
        "JobNotFound",
        f"there is no job {job_id!r:.40}",
        hint="Finished jobs are kept for a limited time; `GET /v1/jobs` lists the present jobs.",
    )
