"""Work of a service that continues after its request was answered."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from voiceid.domain.values import json_of


class JobKind(enum.StrEnum):
    """The kind of work of a job; the text of each gives the unit of progress."""

    DIARIZE = "diarize"
    """Seconds of the recording are counted."""
    EVALUATE = "evaluate"
    """Recordings are counted."""
    CALIBRATE = "calibrate"
    """Recordings are counted."""
    ENROLL = "enroll"
    """People are counted."""


class JobState(enum.StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether the job is over."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


_UNITS: Mapping[JobKind, str] = {
    JobKind.DIARIZE: "s",
    JobKind.EVALUATE: "recordings",
    JobKind.CALIBRATE: "recordings",
    JobKind.ENROLL: "people",
}


class JobPicture(NamedTuple):
    """A picture of the result of a job: its title, and the bytes of a PNG."""

    title: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """A job, as stored in the database.

    Parameters
    ----------
    id : str
        Cannot be guessed.
    kind : JobKind
    state : JobState
    key_id : str or None
        The key of the caller; None: it came without one.
    request : mapping
        The request; empty once the job is over.
    done, total : float or None
        The progress, and its end; None: not known.
    result : object or None
        The result, ready for JSON: the answer, or the problem of a job that failed.
    is_forgotten : bool
        The result was deleted, because a voice was erased meanwhile.
    n_starts : int
        How often a process started it.
    created_at, updated_at : datetime
        UTC.
    """

    id: str
    kind: JobKind
    state: JobState
    key_id: str | None
    request: Mapping[str, Any]
    done: float | None
    total: float | None
    result: Any
    is_forgotten: bool
    n_starts: int
    created_at: datetime
    updated_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        failed = self.state is JobState.FAILED
        progress = {"done": self.done, "total": self.total, "unit": _UNITS[self.kind]}
        return json_of(
            self,
            *("key_id", "request", "done", "total", "n_starts"),
            progress=progress,
            result=None if failed else self.result,
            problem=self.result if failed else None,
        )
