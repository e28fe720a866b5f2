"""The results of attacks, as ISO/IEC 30107-3 counts them: by species, with counts and bounds.

An attack is compared with the speaker that it imitates.  IAPAR: share of such trials that the
verifier accepts.  APCER: share of the attacks that the countermeasure takes for bona fide; BPCER:
share of bona fide recordings that it takes for attacks.  The worst species counts, not the
mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from voiceid import metrics
from voiceid.decision.attack_threshold import AttackThreshold
from voiceid.decision.rule import accepted
from voiceid.domain import Utterance
from voiceid.evaluation.bounds import Bools, Cost, Floats, Indices, rate_by_speaker
from voiceid.evaluation.protocol import Protocol, Recording
from voiceid.evaluation.report import Judged, speakers_of
from voiceid.evaluation.scoring import Failure
from voiceid.evaluation.system import System
from voiceid.metrics import Rate, TandemCosts, VerifierErrors
from voiceid.models.runtime import in_order
from voiceid.speech.countermeasure import Countermeasure

ALL = "all species"
_JOINT = 0.99
"""Confidence of each of five rates, so that all hold together at 95 % (Bonferroni)."""


@dataclass(frozen=True, slots=True)
class Tandem:
    """t-DCF, normalized: see `voiceid.metrics.tandem`; 1 is a countermeasure of no use.

    - `cost`: at the thresholds in use.  Its bounds are of all five rates within their bounds of
      99 % (Clopper-Pearson), over the same default cost.
    - `least`: over all thresholds of the countermeasure.
    """

    cost: Cost
    least: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, with the priors and costs that they are of."""
        return {
            "value": self.cost.value,
            "bounds_95": self.cost.bounds,
            "least": self.least,
            "costs": asdict(TandemCosts()),
        }


@dataclass(frozen=True, slots=True)
class Species:
    """The results of the attacks of one species.

    Parameters
    ----------
    name : str
        Of the species.
    attacks : int
        Recordings.
    unanswered : int
        Of these, those without an embedding, or of a speaker who is not enrolled.
    iapar : Rate
        Trials that the verifier alone accepts, at the thresholds in use.
    apcer : Rate or None
        Recordings that the countermeasure takes for bona fide; None without one.
    accepted : Rate or None
        Trials that both accept.
    tandem : Tandem or None
        None without a countermeasure, or where the default cost is 0.
    """

    name: str
    attacks: int
    unanswered: int
    iapar: Rate
    apcer: Rate | None
    accepted: Rate | None
    tandem: Tandem | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "species": self.name,
            "attacks": self.attacks,
            "unanswered": self.unanswered,
            "iapar": self.iapar.to_dict(),
            "apcer": self.apcer and self.apcer.to_dict(),
            "accepted_by_both": self.accepted and self.accepted.to_dict(),
            "t_dcf": self.tandem and self.tandem.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Attacks:
    """The results of all attacks.

    Parameters
    ----------
    countermeasure : str or None
        Its name; None: no countermeasure.
    threshold : AttackThreshold or None
        Of the countermeasure.
    bpcer : Rate or None
        Bona fide recordings that it takes for attacks.
    species : tuple of Species
        By name.
    overall : Species
        All together.
    """

    countermeasure: str | None
    threshold: AttackThreshold | None
    bpcer: Rate | None
    species: tuple[Species, ...]
    overall: Species

    @property
    def gates(self) -> dict[str, float | None]:
        """The values that the gates of `voiceid evaluate` limit; None: not measured.

        The worst species counts, for accepted attacks (by both systems if there is a
        countermeasure) and for APCER; neither is measured if no attack of a species was answered.
        """
        measured = self.species if all(kind.iapar.trials for kind in self.species) else ()
        accepted = [(kind.accepted or kind.iapar).rate for kind in measured]
        apcer = [kind.apcer.rate for kind in measured if kind.apcer is not None]
        tandem = self.overall.tandem
        return {
            "max_apcer": max(apcer, default=None),
            "max_bpcer": None if self.bpcer is None else self.bpcer.rate,
            "max_iapar": max(accepted, default=None),
            "max_t_dcf": None if tandem is None else tandem.cost.value,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "countermeasure": self.countermeasure,
            "threshold": self.threshold and asdict(self.threshold),
            "bpcer": self.bpcer and self.bpcer.to_dict(),
            "overall": self.overall.to_dict(),
            "species": [kind.to_dict() for kind in self.species],
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Examined:
    """The scores of a countermeasure on recordings.

    - `scores` (r,) float64: NaN for recordings that could not be heard.
    - `bona_fide` (r,) bool: whether each recording is bona fide.
    """

    threshold: AttackThreshold
    scores: Floats
    speakers: Indices
    bona_fide: Bools

    @property
    def passed(self) -> Bools:
        """(r,) recordings that are taken for bona fide."""
        return self.scores >= self.threshold.value

    @property
    def bpcer(self) -> Rate:
        """Share of bona fide recordings that are taken for attacks."""
        return self._rate(self.bona_fide, ~self.passed)

    def apcer(self, chosen: Bools) -> Rate:
        """Return the share of chosen attacks that are taken for bona fide."""
        return self._rate(chosen, self.passed)

    def least(self, chosen: Bools, verifier: VerifierErrors) -> float:
        """Return the least t-DCF against chosen attacks."""
        of_attacks, of_bona_fide = (
            self.scores[side & self._heard] for side in (chosen, self.bona_fide)
        )
        return metrics.min_tandem_cost(of_bona_fide, of_attacks, verifier)

    @property
    def _heard(self) -> Bools:
        return np.isfinite(self.scores)

    def _rate(self, chosen: Bools, wrong: Bools) -> Rate:
        rows = chosen & self._heard
        return rate_by_speaker(wrong[rows], self.speakers[rows])


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """Trials of attacks, and the answers of both systems.

    - `accepted` (k,) bool: by the verifier, by trial.
    - `fnmr`, `fmr`: of the verifier, at the thresholds in use.
    """

    protocol: Protocol
    trials: Indices
    accepted: Bools
    fnmr: Rate
    fmr: Rate
    examined: _Examined | None

    def species(self, name: str) -> Species:
        """Return the results of the attacks of a species."""
        recordings = self.protocol.recordings
        of = [bool(r.attack) and name in {ALL, r.attack} for r in recordings]
        chosen = np.array(of, dtype=bool)
        rows = chosen[self.trials[:, 1]]
        trials, accepted_ = self.trials[rows], self.accepted[rows]
        speakers = speakers_of(self.protocol, trials)
        unanswered = int(chosen.sum()) - len(np.unique(trials[:, 1]))
        iapar = rate_by_speaker(accepted_, speakers)
        counted = Species(name, int(chosen.sum()), unanswered, iapar, None, None, None)
        if self.examined is None:
            return counted
        both = rate_by_speaker(accepted_ & self.examined.passed[trials[:, 1]], speakers)
        tandem = self._tandem(self.examined, chosen, iapar)
        return replace(counted, apcer=self.examined.apcer(chosen), accepted=both, tandem=tandem)

    def _tandem(self, examined: _Examined, chosen: Bools, iapar: Rate) -> Tandem | None:
        five = (examined.bpcer, examined.apcer(chosen), self.fnmr, self.fmr, iapar)
        if not all(rate.trials for rate in five):
            return None
        errors = VerifierErrors(self.fnmr.rate, self.fmr.rate, iapar.rate)
        default = metrics.default_tandem_cost(errors)
        if default == 0.0:  # nothing to normalize by
            return None

        ends = [metrics.exact_bounds(rate.errors, rate.trials, _JOINT) for rate in five]
        low, high = (end / default for end in metrics.tandem_bounds(*ends))
        value = float(metrics.tandem_cost(five[0].rate, five[1].rate, errors)) / default
        cost = Cost(value, (low, high))
        return Tandem(cost, examined.least(chosen, errors))


def attacks_on(
    protocol: Protocol, heard: Sequence[Utterance | Failure], system: System, judged: Judged
) -> Attacks | None:
    """Return the results of the attacks of a protocol, or None if none can be answered.

    Raises ThresholdUnavailable for a countermeasure without a threshold.
    """
    if not len(protocol.attacks):
        return None
    claims = np.zeros(len(protocol.attacks), dtype=bool)
    # As a gallery: the attack is the probe, however short the enrolment.
    asked = replace(protocol, trials=protocol.attacks, target=claims, gallery=True)
    scored = system.score(asked, heard)
    if not len(scored.scores):
        return None
    detector = None if system.countermeasure is None else system.countermeasure()
    in_use = accepted(judged.scored.scores, judged.scored.thresholds)
    target, speakers = judged.scored.target, judged.speakers
    answers = _Answers(
        protocol,
        scored.trials,
        accepted(scored.scores, scored.thresholds),
        rate_by_speaker(~in_use[target], speakers[target]),
        rate_by_speaker(in_use[~target], speakers[~target]),
        None if detector is None else _examined(detector, system, protocol, heard),
    )
    names = sorted({r.attack for r in protocol.recordings if r.attack})
    return Attacks(
        None if detector is None else detector.name,
        None if detector is None else detector.threshold,
        None if answers.examined is None else answers.examined.bpcer,
        tuple(answers.species(name) for name in names),
        answers.species(ALL),
    )


def _examined(
    detector: Countermeasure,
    system: System,
    protocol: Protocol,
    heard: Sequence[Utterance | Failure],
) -> _Examined:
    """Return the scores of a countermeasure on the recordings that were heard."""
    recordings, threshold = protocol.recordings, detector.threshold

    def score(i: int) -> float:
        return detector.score(system.embedder.speech(recordings[i].path))

    rows = [i for i, clip in enumerate(heard) if isinstance(clip, Utterance)]
    scores = np.full(len(heard), np.nan)
    scores[rows] = list(in_order(score, rows, system.embedder.workers))
    bona_fide = np.array([not recording.attack for recording in recordings], dtype=bool)
    return _Examined(threshold, scores, speaker_numbers(recordings), bona_fide)


def speaker_numbers(recordings: Sequence[Recording]) -> Indices:
    """Return the number of the speaker of each recording (r,)."""
    _, numbers = np.unique([r.speaker for r in recordings], return_inverse=True)
    return numbers.astype(np.int64)
