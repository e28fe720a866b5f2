"""Recordings that gave nothing: failures to acquire and to enrol, with their reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voiceid import metrics
from voiceid.domain import Utterance
from voiceid.evaluation.bounds import rate_by_speaker
from voiceid.evaluation.protocol import Protocol
from voiceid.evaluation.scoring import Failure
from voiceid.metrics import Rate


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Recordings that gave nothing: failures to acquire, and models that could not be made.

    Parameters
    ----------
    fta, fte : Rate
        Of recordings, and of models (ISO/IEC 19795-1).
    reasons, fte_reasons : mapping of str to int
        Codes of errors, or ``no_speech``: of each recording, and of each model the code of the
        first of its recordings.
    failures : tuple of Failure
    """

    fta: Rate
    fte: Rate
    reasons: Mapping[str, int]
    fte_reasons: Mapping[str, int]
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, the recordings by name."""
        return {
            "fta": self.fta.to_dict(),
            "fte": self.fte.to_dict(),
            "reasons": dict(self.reasons),
            "fte_reasons": dict(self.fte_reasons),
            "recordings": [
                {"recording": one.recording.name, "code": one.code, "message": one.message}
                for one in self.failures
            ],
        }


def acquisition(protocol: Protocol, heard: Sequence[Utterance | Failure]) -> Acquisition:
    """Return what could not be had of the recordings and of the models."""
    codes = [one.code if isinstance(one, Failure) else None for one in heard]
    of_models = [
        codes[model.recordings[0]] if all(codes[i] for i in model.recordings) else None
        for model in protocol.models
    ]
    fta, reasons = _failed(codes, [one.speaker for one in protocol.recordings])
    fte, fte_reasons = _failed(of_models, [model.speaker for model in protocol.models])
    failures = tuple(one for one in heard if isinstance(one, Failure))
    return Acquisition(fta, fte, reasons, fte_reasons, failures)


def _failed(codes: Sequence[str | None], speakers: Sequence[str]) -> tuple[Rate, dict[str, int]]:
    _, reasons = metrics.failures(codes)
    _, numbers = np.unique(list(speakers), return_inverse=True)
    return rate_by_speaker(np.array([code is not None for code in codes]), numbers), reasons
