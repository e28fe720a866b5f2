"""The only place that logs and counts events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from voiceid.domain import Decision
from voiceid.errors import VoiceIDError
from voiceid.observability.counters import Counters
from voiceid.observability.event_log import LOG, ChangeKind, emit

_RECORDED = "_voiceid_recorded"
_NAMES = ("speaker", "other")


class Observer:
    """Logs and counts decisions, changes and errors.  Safe to share among threads.

    An error of a log handler reaches the caller, who then gets no decision.
    ``without_names`` returns whether speakers are logged only by number.
    """

    def __init__(self, without_names: Callable[[], bool] = lambda: False) -> None:
        self.counters, self._without_names = Counters(), without_names

    def decided(self, decision: Decision) -> None:
        """Log and count a decision."""
        if LOG.isEnabledFor(logging.INFO):
            emit("decision", self._shown(decision_facts(decision)))
        self.counters.decided(decision)

    def changed(self, change: ChangeKind, **facts: object) -> None:
        """Count and log a change; the change is already made, even if logging fails."""
        self.counters.changed(change.value)
        if LOG.isEnabledFor(logging.INFO):
            emit("change", self._shown({"kind": change.value, **facts}))

    def _shown(self, facts: Mapping[str, object]) -> Mapping[str, object]:
        if all(facts.get(name) is None for name in _NAMES) or not self._without_names():
            return facts
        return {key: value for key, value in facts.items() if key not in _NAMES}

    @contextmanager
    def failures(self, doing: str) -> Iterator[None]:
        """Count and log the error that ends a question or a change."""
        started = time.perf_counter()
        try:
            yield
        except Exception as error:
            self.failed(doing, error, started)
            raise

    def failed(self, doing: str, error: Exception, started: float) -> None:
        """Count and log an error of an action that began at a ``time.perf_counter()``.

        Each error is recorded once, since one action may be part of another, and only by its class:
        its message may name people and files.
        """
        if getattr(error, _RECORDED, False):
            return
        setattr(error, _RECORDED, True)
        self.counters.failed(type(error).__name__)
        facts: Mapping[str, object] = {
            "doing": str(doing),
            "error": type(error).__name__,
            "exit_code": error.exit_code if isinstance(error, VoiceIDError) else None,
            "elapsed_ms": elapsed_ms(started),
        }
        emit("error", facts, logging.WARNING)


def elapsed_ms(started: float) -> float:
    """Return the time since a ``time.perf_counter()``."""
    return round((time.perf_counter() - started) * 1e3, 1)


def decision_facts(decision: Decision) -> Mapping[str, object]:
    """Return the fields of a decision's event.

    For a stranger no name is logged: neither the best candidate nor the runner-up.
    """
    speaker, threshold, quality = decision.speaker, decision.threshold, decision.quality
    return {
        "task": decision.task.value,
        "outcome": decision.outcome.value,
        "reason": decision.reason.value,
        "speaker": None if speaker is None else speaker.name,
        "speaker_id": None if speaker is None else speaker.id,
        "score": _rounded(decision.score, 6),
        "threshold": None if threshold is None else threshold.value,
        "llr": _rounded(decision.llr, 4),
        "calibration": decision.calibration,
        "net_speech_s": None if quality is None else _rounded(quality.net_speech_s, 3),
        "gallery_size": decision.gallery_size,
        "group": decision.group,
        "space": decision.embedding_space.id,
        "elapsed_ms": round(decision.elapsed_ms, 1),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
