"""Recordings without an embedding: failures to acquire and to enrol, with their reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voiceid import metrics
from voiceid.domain import Utterance
from voiceid.domain.values import json_of
from voiceid.evaluation.bounds import rate_by_speaker
from voiceid.evaluation.protocol import Protocol
from voiceid.evaluation.scoring import Failure
from voiceid.metrics import Rate


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Recordings without an embedding: failures to acquire, and models that could not be made.

    - `fta`, `fte`: of recordings, and of models (ISO/IEC 19795-1).
    - `reasons`, `fte_reasons`: codes of errors, or ``no_speech``: of each recording, and of each
      model the code of the first of its recordings.
    """

    fta: Rate
    fte: Rate
    reasons: Mapping[str, int]
    fte_reasons: Mapping[str, int]
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, the recordings by name."""
        recordings = [
            {"recording": failure.recording.name, "code": failure.code, "message": failure.message}
            for failure in self.failures
        ]
        return json_of(self, "failures", recordings=recordings)


def acquisition(protocol: Protocol, heard: Sequence[Utterance | Failure]) -> Acquisition:
    """Return the failures of the bona fide recordings and of the models."""
    n = sum(not recording.attack for recording in protocol.recordings)  # attacks come last
    heard = heard[:n]
    codes = [result.code if isinstance(result, Failure) else None for result in heard]
    of_models = [
        codes[model.recordings[0]] if all(codes[i] for i in model.recordings) else None
        for model in protocol.models
    ]
    fta, reasons = _failed(codes, [recording.speaker for recording in protocol.recordings[:n]])
    fte, fte_reasons = _failed(of_models, [model.speaker for model in protocol.models])
    failures = tuple(result for result in heard if isinstance(result, Failure))
    return Acquisition(fta, fte, reasons, fte_reasons, failures)


def _failed(codes: Sequence[str | None], speakers: Sequence[str]) -> tuple[Rate, dict[str, int]]:
    _, reasons = metrics.failures(codes)
    _, numbers = np.unique(list(speakers), return_inverse=True)
    return rate_by_speaker(np.array([code is not None for code in codes]), numbers), reasons
