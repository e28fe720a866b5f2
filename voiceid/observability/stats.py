"""The counts of a process at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from voiceid import errors
from voiceid.domain import Outcome, Reason, Task
from voiceid.observability.event_log import ChangeKind
from voiceid.observability.prometheus import counter, gauge, histogram, text

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_OUTCOMES = dict.fromkeys(Reason, Outcome.REJECTED) | {
    Reason.MATCH: Outcome.ACCEPTED,
    Reason.AMBIGUOUS: Outcome.INCONCLUSIVE,
    Reason.NOT_ENOUGH_SPEECH: Outcome.INCONCLUSIVE,
    Reason.SEVERAL_VOICES: Outcome.INCONCLUSIVE,
}
_NEVER = {
    Task.VERIFY: {Reason.UNKNOWN, Reason.GALLERY_EMPTY, Reason.AMBIGUOUS},
    Task.IDENTIFY: {Reason.BELOW_THRESHOLD, Reason.CHALLENGE_EXPIRED},
    Task.COMPARE: set(Reason)
    - {Reason.MATCH, Reason.BELOW_THRESHOLD, Reason.NOT_ENOUGH_SPEECH}
    - {Reason.SEVERAL_VOICES, Reason.PRESENTATION_ATTACK},
}
_ENDS = tuple(
    (task, outcome, reason)
    for task in Task
    for reason, outcome in _OUTCOMES.items()
    if reason not in _NEVER[task]
)
"""All possible ends of a question."""

_ERRORS = tuple(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.VoiceIDError)
)


@dataclass(frozen=True, slots=True)
class DecisionCount:
    """The number of decisions with one task, outcome and reason."""

    task: Task
    outcome: Outcome
    reason: Reason
    count: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """The distribution of a duration.

    Parameters
    ----------
    bounds_s : tuple of float
        Upper bounds of the buckets, inclusive; one more bucket is above the last.
    counts : tuple of int
        In each bucket, not cumulative; one more than the bounds.
    """

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    sum_s: float

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self.counts)

    @property
    def at_most(self) -> dict[str, int]:
        """The cumulative counts, by the upper bound of the bucket as Prometheus names it."""
        bounds = [*map(str, self.bounds_s), "+Inf"]
        return dict(zip(bounds, accumulate(self.counts), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, and the count."""
        return {
            "count": self.count,
            "sum_s": round(self.sum_s, 6),
            "bounds_s": list(self.bounds_s),
            "counts": list(self.counts),
        }


@dataclass(frozen=True, slots=True)
class Stats:
    """The counts of a `VoiceID` since it was opened.

    Parameters
    ----------
    started_at : datetime
        UTC.
    errors : mapping of str to int
        Questions and changes that ended in an error, by its class.
    changes : mapping of str to int
        By :class:`ChangeKind`.
    latencies : mapping of str to Histogram
        From the question to the decision, by task.
    stages : mapping of str to Histogram
        For each clip: ``decode`` (and resample), ``detect`` speech, ``embed``; for each question
        to the gallery: ``search``.
    clips : int
        Heard to their end, for any purpose.
    audio_s : float
        The duration of those clips.
    model_load_s : float or None
        The loading time of the models; None before.
    speakers : mapping of str to int, or None
        Enrolled now, by embedding space; None when the database cannot be read.
    """

    started_at: datetime
    decisions: tuple[DecisionCount, ...]
    errors: Mapping[str, int]
    changes: Mapping[str, int]
    latencies: Mapping[str, Histogram]
    stages: Mapping[str, Histogram]
    clips: int
    audio_s: float
    model_load_s: float | None
    speakers: Mapping[str, int] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields; times in ISO 8601."""
        return {
            **asdict(self),
            "started_at": self.started_at.isoformat(),
            "decisions": [asdict(count) for count in self.decisions],
            "latencies": {task: took.to_dict() for task, took in self.latencies.items()},
            "stages": {stage: took.to_dict() for stage, took in self.stages.items()},
            "audio_s": round(self.audio_s, 3),
            "model_load_s": None if self.model_load_s is None else round(self.model_load_s, 4),
        }

    def to_prometheus(self) -> str:
        """Return Prometheus text, version 0.0.4, for a server's ``/metrics``.

        Every counter starts at 0: Prometheus computes no rate for a new counter that starts at 1.
        """
        return text([*self._counters(), *self._histograms(), *self._gauges()])

    def _counters(self) -> Iterator[Metric]:
        decisions = dict.fromkeys(_ENDS, 0) | {
            (c.task, c.outcome, c.reason): c.count for c in self.decisions
        }
        errors = dict.fromkeys(_ERRORS, 0) | dict(self.errors)
        changes: dict[str, int] = dict.fromkeys(map(str, ChangeKind), 0) | dict(self.changes)
        labels = "task", "outcome", "reason"
        yield counter("decisions", "Decisions, by how they came out.", decisions, *labels)
        for name, description, label, counts in (
            ("errors", "Questions and changes that ended in an error.", "error", errors),
            ("changes", "Changes of the gallery.", "kind", changes),
        ):
            yield counter(name, description, {(key,): n for key, n in counts.items()}, label)
        yield counter("clips", "Clips heard.", {(): self.clips})
        yield counter("audio_seconds", "Audio heard, in seconds.", {(): self.audio_s})

    def _histograms(self) -> Iterator[Metric]:
        for name, description, label, latencies in (
            ("decision_seconds", "From the question to the decision.", "task", self.latencies),
            ("stage_seconds", "Stages of the work.", "stage", self.stages),
        ):
            values = {key: (took.at_most, took.sum_s) for key, took in latencies.items()}
            yield histogram(name, description, values, label)

    def _gauges(self) -> Iterator[Metric]:
        loaded = {} if self.model_load_s is None else {(): self.model_load_s}
        speakers = {(space,): count for space, count in (self.speakers or {}).items()}
        started = {(): self.started_at.timestamp()}
        yield gauge("start_time_seconds", "When it was opened, Unix time.", started)
        yield gauge("model_load_seconds", "How long the models took to load.", loaded)
        yield gauge("speakers", "Enrolled speakers.", speakers, "space")
