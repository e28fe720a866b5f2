"""Work of a service that goes on after its request was answered."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from voiceid.domain.values import json_of


class JobKind(enum.StrEnum):
    """What a job does; the unit of its progress is in the text of each."""

    DIARIZE = "diarize"
    """Seconds of the recording are counted."""
    EVALUATE = "evaluate"
    """Recordings are counted."""
    CALIBRATE = "calibrate"
    """Recordings are counted."""
    ENROLL = "enroll"
    """People are counted."""


class JobState(enum.StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more is done."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


_UNITS: Mapping[JobKind, str] = {
    JobKind.DIARIZE: "s",
    JobKind.EVALUATE: "recordings",
    JobKind.CALIBRATE: "recordings",
    JobKind.ENROLL: "people",
}


class JobPicture(NamedTuple):
    """What was drawn of the result of a job: what it shows, and the bytes of a PNG."""

    title: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """A job, as the database has it.

    Parameters
    ----------
    id : str
        Cannot be guessed.
    kind : JobKind
    state : JobState
    key_id : str or None
        The key of the caller; None: it came without one.
    request : mapping
        What was asked; empty once the job is over.
    done, total : float or None
        How far it is, of how much; None: not known.
    result : object or None
        What came of it, ready for JSON: the answer, or the problem of a job that failed.
    is_forgotten : bool
        The result was dropped, because a voice was erased meanwhile.
    n_starts : int
        How often a process began it.
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
