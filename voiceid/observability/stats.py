"""What the counters of a process came to, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voiceid import errors
from voiceid.domain import Outcome, Reason, Task
from voiceid.observability.events import ChangeKind
from voiceid.observability.exposition import Family, Sample, text

_OUTCOMES = {
    Reason.MATCH: Outcome.ACCEPTED,
    Reason.BELOW_THRESHOLD: Outcome.REJECTED,
    Reason.UNKNOWN: Outcome.REJECTED,
    Reason.GALLERY_EMPTY: Outcome.REJECTED,
    Reason.SPEAKER_EXPIRED: Outcome.REJECTED,
    Reason.SPEAKER_DISABLED: Outcome.REJECTED,
    Reason.AMBIGUOUS: Outcome.INCONCLUSIVE,
    Reason.NOT_ENOUGH_SPEECH: Outcome.INCONCLUSIVE,
}
_NEVER = {
    Task.VERIFY: {Reason.UNKNOWN, Reason.GALLERY_EMPTY, Reason.AMBIGUOUS},
    Task.IDENTIFY: {Reason.BELOW_THRESHOLD},
    Task.COMPARE: set(Reason) - {Reason.MATCH, Reason.BELOW_THRESHOLD, Reason.NOT_ENOUGH_SPEECH},
}
_ENDS = tuple(
    (task, outcome, reason)
    for task in Task
    for reason, outcome in _OUTCOMES.items()
    if reason not in _NEVER[task]
)
"""All that can come of a question."""

_ERRORS = tuple(
    name
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, errors.VoiceIDError)
)


@dataclass(frozen=True, slots=True)
class DecisionCount:
    """How many decisions came out in one way."""

    task: Task
    outcome: Outcome
    reason: Reason
    count: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long something took, and how often.

    Parameters
    ----------
    bounds_s : tuple of float
        Upper bounds of the buckets, inclusive; one more bucket is above the last.
    counts : tuple of int
        In each bucket alone, one more than there are bounds.
    sum_s : float
    """

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    sum_s: float

    @property
    def count(self) -> int:
        """How often."""
        return sum(self.counts)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, and the count."""
        return {
            "count": self.count,
            "sum_s": round(self.sum_s, 6),
            "bounds_s": list(self.bounds_s),
            "counts": list(self.counts),
        }


def _samples(found: Histogram, name: str, labels: Mapping[str, str]) -> list[Sample]:
    """Return the samples of a Prometheus histogram: its buckets add up."""
    total, buckets = 0, []
    for bound, count in zip((*found.bounds_s, None), found.counts, strict=True):
        total += count
        le = "+Inf" if bound is None else repr(bound)
        buckets.append((f"{name}_bucket", {**labels, "le": le}, total))
    return [*buckets, (f"{name}_sum", labels, found.sum_s), (f"{name}_count", labels, total)]


@dataclass(frozen=True, slots=True)
class Stats:
    """What a `VoiceID` has done since it was opened.

    Parameters
    ----------
    started_at : datetime
        UTC.
    decisions : tuple of DecisionCount
    errors : mapping of str to int
        Questions and changes that ended in an error, by its class.
    changes : mapping of str to int
        By :class:`ChangeKind`.
    latencies : mapping of str to Histogram
        From the question to the decision, by task.
    stages : mapping of str to Histogram
        Of each clip: ``decode`` (and resample), ``detect`` speech, ``embed``; of each question
        to the gallery: ``search``.
    clips : int
        Heard to their end, for whatever purpose.
    audio_s : float
        Of those clips.
    model_load_s : float or None
        How long the models took to load; None before.
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
            "started_at": self.started_at.isoformat(),
            "decisions": [
                {"task": c.task, "outcome": c.outcome, "reason": c.reason, "count": c.count}
                for c in self.decisions
            ],
            "errors": dict(self.errors),
            "changes": dict(self.changes),
            "latencies": {task: found.to_dict() for task, found in self.latencies.items()},
            "stages": {stage: found.to_dict() for stage, found in self.stages.items()},
            "clips": self.clips,
            "audio_s": round(self.audio_s, 3),
            "model_load_s": None if self.model_load_s is None else round(self.model_load_s, 4),
            "speakers": None if self.speakers is None else dict(self.speakers),
        }

    def to_prometheus(self) -> str:
        """Return Prometheus text, version 0.0.4, for a server's ``/metrics``.

        Counters are there before anything is counted: from nothing to 1 is no rate.
        """
        return text([*self._counters(), *self._histograms(), *self._gauges()])

    def _counters(self) -> list[Family]:
        decisions = dict.fromkeys(_ENDS, 0) | {
            (c.task, c.outcome, c.reason): c.count for c in self.decisions
        }
        failed = dict.fromkeys(_ERRORS, 0) | dict(self.errors)
        changes: dict[str, int] = dict.fromkeys(map(str, ChangeKind), 0) | dict(self.changes)
        return [
            Family("voiceid_decisions_total", "counter", "Decisions, by how they came out.").of(
                ({"task": task, "outcome": outcome, "reason": reason}, count)
                for (task, outcome, reason), count in decisions.items()
            ),
            Family(
                "voiceid_errors_total", "counter", "Questions and changes that ended in an error."
            ).of(({"error": name}, count) for name, count in failed.items()),
            Family("voiceid_changes_total", "counter", "Changes of the gallery.").of(
                ({"kind": name}, count) for name, count in changes.items()
            ),
            Family("voiceid_clips_total", "counter", "Clips heard.").of([({}, self.clips)]),
            Family("voiceid_audio_seconds_total", "counter", "Audio heard, in seconds.").of(
                [({}, self.audio_s)]
            ),
        ]

    def _histograms(self) -> list[Family]:
        return [
            Family(name, "histogram", told).over(
                _samples(found, name, {label: key}) for key, found in histograms.items()
            )
            for name, told, label, histograms in (
                (
                    "voiceid_decision_seconds",
                    "From the question to the decision.",
                    "task",
                    self.latencies,
                ),
                ("voiceid_stage_seconds", "Stages of the work.", "stage", self.stages),
            )
        ]

    def _gauges(self) -> list[Family]:
        loaded: list[tuple[dict[str, str], float]] = (
            [] if self.model_load_s is None else [({}, self.model_load_s)]
        )
        speakers = self.speakers or {}
        return [
            Family("voiceid_start_time_seconds", "gauge", "When it was opened, Unix time.").of(
                [({}, self.started_at.timestamp())]
            ),
            Family("voiceid_model_load_seconds", "gauge", "How long the models took to load.").of(
                loaded
            ),
            Family("voiceid_speakers", "gauge", "Enrolled speakers.").of(
                ({"space": space}, count) for space, count in speakers.items()
            ),
        ]
