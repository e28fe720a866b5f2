"""One evaluation, from a protocol to the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from voiceid.decision.calibration import StoredCalibration
from voiceid.domain import EmbeddingSpace
from voiceid.errors import TrialsInvalid
from voiceid.evaluation.acquisition import Acquisition, acquisition
from voiceid.evaluation.attacks import Attacks, attacks_on
from voiceid.evaluation.protocol import Protocol
from voiceid.evaluation.report import Errors, Judged, errors, sliced
from voiceid.evaluation.search import (
    AtThreshold,
    Gallery,
    Identified,
    IndexLoss,
    by_threshold,
    identified,
    identified_by_slice,
    searches,
)
from voiceid.evaluation.system import System
from voiceid.metrics import Searches

VERSION = 2
"""Version of the form of ``report.json``."""


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """The results of identification, over all and by slice of the probes.

    - `index_loss`: None: the index in use loses no speaker.
    """

    gallery: Gallery
    searches: Searches
    overall: Identified
    slices: tuple[tuple[str, str, Identified], ...]
    by_threshold: tuple[AtThreshold, ...]
    index_loss: IndexLoss | None

    @property
    def fnir_with_index(self) -> tuple[float, float] | None:
        """FNIR with what the index loses, and its upper bound; None where it loses no speaker."""
        return None if self.index_loss is None else self.index_loss.added_to(self.overall.fnir.rate)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        target, index = self.gallery.target, self.index_loss
        return {
            f"target_{target.name.lower()}": target.rate,
            "margin": self.gallery.margin,
            **self.overall.to_dict(),
            "index_miss_rate": index and index.miss_rate,
            "fnir_with_index": self.fnir_with_index and self.fnir_with_index[0],
            "by_threshold": [at.to_dict() for at in self.by_threshold],
            "slices": _slices_to_dict(self.slices),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The results of one run over recordings whose speakers are known.

    Parameters
    ----------
    calibration : StoredCalibration or None
        The one in use.
    slices : tuple of (attribute, label, Errors)
    identification : Identification or None
        None when the models are not a gallery, or all speakers or none are enrolled.
    judged : Judged
        The trials that could be made.
    attacks : Attacks or None
        None without attacks that could be made.
    """

    protocol: Protocol
    space: EmbeddingSpace
    made_at: datetime
    calibration: StoredCalibration | None
    acquisition: Acquisition
    overall: Errors
    slices: tuple[tuple[str, str, Errors], ...]
    identification: Identification | None
    judged: Judged
    attacks: Attacks | None

    @property
    def warning(self) -> str | None:
        """A warning about the calibration, with what to do; None: no warning."""
        misfit = None if self.overall.llrs is None else self.overall.llrs.misfit
        if misfit is None or self.calibration is None:
            return None
        return (
            f"the LLRs of calibration {self.calibration.id} are {misfit}. Calibrate on recordings"
            " like these, or go back to the card: `voiceid calibrations use none`"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON of an evaluation."""
        protocol = self.protocol
        return {
            "format": "voiceid-evaluation",
            "version": VERSION,
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "source": protocol.source,
            "protocol": protocol.description,
            "embedding_space": self.space.to_dict(),
            "recordings": len(protocol.recordings),
            "speakers": protocol.n_speakers,
            "models": len(protocol.models),
            "trials": len(protocol.trials),
            "scored_trials": len(self.judged.shipped),
            "calibration": self.calibration and _named(self.calibration),
            "warning": self.warning,
            "acquisition": self.acquisition.to_dict(),
            "verification": self.overall.to_dict(),
            "slices": _slices_to_dict(self.slices),
            "identification": self.identification and self.identification.to_dict(),
            "attacks": self.attacks and self.attacks.to_dict(),
        }


def evaluate(protocol: Protocol, system: System, tell: Callable[[int, int], None]) -> Evaluation:
    """Hear the recordings of a protocol, score its trials, and count the errors.

    - `tell`: receives the number of recordings that were heard, and the total.

    Raises `TrialsInvalid`: no comparison is left, because too many recordings have no embedding.
    """
    heard = system.listen(protocol, tell)
    missing = acquisition(protocol, heard)
    scored = system.score(protocol, heard)
    judged = Judged.of(protocol, scored, system.verifying)
    overall = errors(judged)
    if overall is None:
        reasons = ", ".join(f"{n} {code}" for code, n in missing.reasons.items()) or "none"
        raise TrialsInvalid(
            "no trial of one speaker, or none of two, is left: recordings without an embedding:"
            f" {reasons}",
            hint="Check the paths, and that the recordings hold more than a second of speech.",
        )
    return Evaluation(
        protocol=protocol,
        space=system.space,
        made_at=datetime.now(UTC),
        calibration=system.verifying.calibration,
        acquisition=missing,
        overall=overall,
        slices=tuple(sliced(judged, protocol)),
        identification=_identification(judged, protocol, system),
        judged=judged,
        attacks=attacks_on(protocol, heard, system, judged),
    )


def _identification(judged: Judged, protocol: Protocol, system: System) -> Identification | None:
    if not protocol.gallery:
        return None
    gallery = Gallery.of(judged, system.identifying)
    results = searches(gallery)
    if results is None:
        return None
    return Identification(
        gallery,
        results,
        identified(gallery),
        tuple(identified_by_slice(gallery, judged, protocol)),
        tuple(by_threshold(results)),
        system.index_loss,
    )


def _slices_to_dict(slices: Sequence[tuple[str, str, Errors | Identified]]) -> list[dict[str, Any]]:
    return [
        {"attribute": attribute, "label": label, **measured.to_dict()}
        for attribute, label, measured in slices
    ]


def _named(calibration: StoredCalibration) -> dict[str, Any]:
    return {
        "id": calibration.id,
        "source": calibration.source,
        "created_at": calibration.created_at.isoformat(),
        "target_fmr": calibration.target_fmr,
        "speakers": calibration.held_out.speakers,
        "genuine_trials": calibration.held_out.genuine,
        "impostor_trials": calibration.held_out.impostor,
    }
