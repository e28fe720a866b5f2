"""Running counters and latencies of this process."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voiceid.domain import Decision, Outcome, Reason, Task

if TYPE_CHECKING:  # it loads when it is asked for
    from voiceid.observability.stats import Histogram, Stats

BOUNDS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Upper bounds of the buckets of every histogram: from a quick search to a long recording."""

STAGES = ("decode", "detect", "embed", "search")


class _Latency:
    """A histogram that is being filled."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, took_s: float) -> None:
        self.counts[bisect_left(BOUNDS_S, took_s)] += 1
        self.sum_s += took_s


class Laps:
    """A stopwatch with a sum of laps per stage: work on a stream alternates between stages."""

    __slots__ = ("_since", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to a stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


class Counters:
    """Counts.  Safe to share among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started_at = datetime.now(UTC)
        self._decisions: Counter[tuple[Task, Outcome, Reason]] = Counter()
        self._errors: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self._latencies = {task.value: _Latency() for task in Task}
        self._stages = {stage: _Latency() for stage in STAGES}
        self._clips, self._audio_s = 0, 0.0
        self._model_load_s: float | None = None

    def decided(self, decision: Decision) -> None:
        """Count a decision, and its latency."""
        with self._lock:
            self._decisions[decision.task, decision.outcome, decision.reason] += 1
            self._latencies[decision.task].add(decision.elapsed_ms / 1e3)

    def failed(self, error: str) -> None:
        """Count an error by its class."""
        with self._lock:
            self._errors[error] += 1

    def changed(self, change: str) -> None:
        """Count a change."""
        with self._lock:
            self._changes[change] += 1

    def heard(self, laps: Laps, duration_s: float) -> None:
        """Count a clip that was heard to its end."""
        with self._lock:
            for stage, took_s in laps.seconds.items():
                self._stages[stage].add(took_s)
            self._clips += 1
            self._audio_s += duration_s

    def searched(self, took_s: float) -> None:
        """Count a search of the gallery."""
        with self._lock:
            self._stages["search"].add(took_s)

    def loaded(self, took_s: float) -> None:
        """Record the loading time of the models."""
        with self._lock:
            self._model_load_s = took_s

    def stats(self, speakers: Mapping[str, int] | None) -> Stats:
        """Return all counts at one moment."""
        from voiceid.observability.stats import DecisionCount, Histogram, Stats  # noqa: PLC0415 - few processes are asked

        def frozen(latencies: Mapping[str, _Latency]) -> dict[str, Histogram]:
            return {
                key: Histogram(BOUNDS_S, tuple(latency.counts), latency.sum_s)
                for key, latency in latencies.items()
            }

        with self._lock:
            return Stats(
                started_at=self._started_at,
                decisions=tuple(DecisionCount(*key, n) for key, n in self._decisions.items()),
                errors=dict(self._errors),
                changes=dict(self._changes),
                latencies=frozen(self._latencies),
                stages=frozen(self._stages),
                clips=self._clips,
                audio_s=self._audio_s,
                model_load_s=self._model_load_s,
                speakers=speakers,
            )
