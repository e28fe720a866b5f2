"""The errors of verification: rates with their counts and bounds, over all and by slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid import metrics
from voiceid.decision.calibration import LIKELY, trials_needed
from voiceid.decision.rule import DecisionRule, accepted
from voiceid.domain.values import Value, json_of
from voiceid.evaluation.bounds import (
    Bools,
    Cost,
    Floats,
    Indices,
    cost_bounds,
    costs_to_dict,
    drawn_again,
    ordered,
    rate_by_speaker,
)
from voiceid.evaluation.fitting import PRIORS
from voiceid.evaluation.llrs import Llrs, worth
from voiceid.evaluation.protocol import Protocol
from voiceid.evaluation.scoring import ScoredTrials
from voiceid.metrics import Interval, Rate, Resampled, Trials

TARGETS = (0.01, 0.001, 0.0001)
"""False match rates at which FNMR is given, beside those of the call."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Scored trials with everything needed to judge them.

    - `scored`: with the thresholds in use.
    - `speakers` (n, 2) int64: numbers of the speakers of both sides of each trial.
    - `shipped` (n,) float64: thresholds of the model's card alone, NaN where it has none.
    - `targets` (float, float): False match rates that the card and the rule in use aim at.
    - `llrs` (n,) float64 or None: NaN where the calibration in use does not cover a trial; None
      without a calibration.
    """

    scored: ScoredTrials
    speakers: Indices
    shipped: Floats
    targets: tuple[float, float]
    llrs: Floats | None

    @classmethod
    def of(cls, protocol: Protocol, scored: ScoredTrials, rule: DecisionRule) -> Judged:
        """Return the trials as a rule for verification judges them."""
        card = rule.with_calibration(None)
        calibration = None if rule.calibration is None else rule.calibration.calibration
        return cls(
            scored,
            speakers_of(protocol, scored.trials),
            card.thresholds(scored.conditions),
            (card.aim.rate, rule.aim.rate),
            None if calibration is None else calibration.llrs(scored.scores, scored.conditions),
        )

    @property
    def covered(self) -> Bools:
        """(n,) trials that the calibration covers; without one, all."""
        every = np.ones(len(self.shipped), dtype=bool)
        return every if self.llrs is None else ~np.isnan(self.llrs)


@dataclass(frozen=True, slots=True)
class AtThresholds(Value):
    """Error rates at the thresholds that a rule asks for, trial by trial.

    - `target_fmr`: False match rate that they aim at, 0 to 1.
    - `without_threshold`: trials without one: no speaker is accepted in them.
    """

    target_fmr: float
    fmr: Rate
    fnmr: Rate
    without_threshold: int


@dataclass(frozen=True, slots=True)
class AtFmr:
    """FNMR at the threshold that gives a false match rate on these very trials.

    - `fmr`: asked for, 0 to 1.
    - `threshold`: None: the trials are too few (``needed`` impostor trials are needed).
    """

    fmr: float
    threshold: float | None
    fnmr: Rate | None
    needed: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return json_of(self, "needed", impostor_trials_needed=self.needed)


@dataclass(frozen=True, slots=True)
class Errors:
    """Error rates of verification over some trials.

    - `genuine`, `impostor`: trials.
    - `eer`: equal error rate, 0 to 1.
    - `eer_bounds` (low, high) or None: 95 %, by a bootstrap over speakers; None: too few speakers.
    - `min_dcf`: least normalized detection cost, by prior.
    - `min_cllr`: in bits: the least Cllr of any calibration that keeps the order of the scores.
    - `shipped`: at the thresholds of the model's card.
    - `calibrated`: at those of the calibration in use, and of the card where it does not cover;
      None without one.
    - `llrs`: None without a calibration.
    """

    genuine: int
    impostor: int
    eer: float
    eer_bounds: Interval | None
    min_dcf: Mapping[float, Cost]
    min_cllr: float
    shipped: AtThresholds
    calibrated: AtThresholds | None
    at_fmr: tuple[AtFmr, ...]
    llrs: Llrs | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "genuine_trials": self.genuine,
            "impostor_trials": self.impostor,
            "eer": self.eer,
            "eer_bounds_95": self.eer_bounds,
            **costs_to_dict("min_dcf", self.min_dcf),
            "min_cllr": self.min_cllr,
            "at_shipped_thresholds": self.shipped.to_dict(),
            "at_calibrated_thresholds": self.calibrated and self.calibrated.to_dict(),
            "fnmr_at_fmr": [at.to_dict() for at in self.at_fmr],
            "llrs": self.llrs and self.llrs.to_dict(),
        }


def errors(judged: Judged, rows: Bools | None = None) -> Errors | None:
    """Return the error rates over trials, or None where a side of them has none.

    - `rows` (n,) bool: which trials; all of them when omitted.
    """
    scored, speakers = judged.scored, judged.speakers
    rows = np.ones(len(scored.scores), dtype=bool) if rows is None else rows
    genuine, impostor = rows & scored.target, rows & ~scored.target
    if not genuine.any() or not impostor.any():
        return None
    same, other = (ordered(scored.scores[side], speakers[side]) for side in (genuine, impostor))
    sides = same.scores, other.scores
    counts = len(same.scores), len(other.scores)
    asked = sorted({*TARGETS, *judged.targets}, reverse=True)
    targets = {
        target: metrics.threshold_at_fmr(other.scores, target)
        for target in asked
        if counts[1] >= trials_needed(target)
    }
    drawn = drawn_again(same, other, list(targets.values()))
    eer = metrics.equal_error_rate(*sides)
    llrs = judged.llrs
    return Errors(
        genuine=counts[0],
        impostor=counts[1],
        eer=eer,
        eer_bounds=_eer_bounds(eer, drawn, *counts),
        min_dcf={prior: _min_dcf(same, other, drawn, prior) for prior in PRIORS},
        min_cllr=metrics.min_cllr(*sides),
        shipped=_decided(judged, judged.shipped, rows, judged.targets[0]),
        calibrated=(
            None if llrs is None else _decided(judged, scored.thresholds, rows, judged.targets[1])
        ),
        at_fmr=tuple(_at_fmr(same.scores, t, targets.get(t), drawn) for t in asked),
        llrs=None if llrs is None else worth(llrs[rows], scored.target[rows], speakers[rows]),
    )


def _decided(judged: Judged, thresholds: Floats, rows: Bools, target_fmr: float) -> AtThresholds:
    scored, speakers = judged.scored, judged.speakers
    reached = accepted(scored.scores, thresholds)
    genuine, impostor = rows & scored.target, rows & ~scored.target
    return AtThresholds(
        target_fmr,
        fmr=rate_by_speaker(reached[impostor], speakers[impostor]),
        fnmr=rate_by_speaker(~reached[genuine], speakers[genuine]),
        without_threshold=int(np.isnan(thresholds[rows]).sum()),
    )


def _min_dcf(same: Trials, other: Trials, drawn: Resampled | None, prior: float) -> Cost:
    cost = metrics.min_dcf(same.scores, other.scores, p_target=prior)
    if cost > 0.0:
        return Cost(cost, None if drawn is None else drawn.min_dcf(p_target=prior))
    trials = len(other.scores), len(same.scores)
    bounds = cost_bounds((0.0, 0.0), (0, 0), trials, prior)
    return Cost(cost, bounds and (0.0, min(bounds[1], 1.0)))


def _at_fmr(
    same: metrics.Scores, target: float, threshold: float | None, drawn: Resampled | None
) -> AtFmr:
    needed = trials_needed(target)
    if threshold is None:
        return AtFmr(target, None, None, needed)
    refused = int(np.searchsorted(same, threshold, side="left"))
    bounds = None if drawn is None else drawn.fnmr_at(threshold)
    return AtFmr(target, threshold, Rate.of(refused, len(same), bounds), needed)


def _eer_bounds(
    eer: float, drawn: Resampled | None, genuine: int, impostor: int
) -> Interval | None:
    if eer == 0.0:  # a bootstrap shows no uncertainty: rule of three, for the scarcer trials
        return 0.0, metrics.rate_upper_bound(0, min(genuine, impostor))
    return None if drawn is None else drawn.equal_error_rate()


def sliced(judged: Judged, protocol: Protocol) -> Iterator[tuple[str, str, Errors]]:
    """Yield attribute, label and error rates of each slice that has trials of both kinds."""
    for part in metrics.slices(attributes(judged.scored, protocol)):
        if (errors_in := errors(judged, part.rows)) is not None:
            yield part.attribute, part.label, errors_in


def attributes(scored: ScoredTrials, protocol: Protocol) -> dict[str, npt.ArrayLike]:
    """Return the attributes of slices: net speech, line, SNR and, if given, condition."""
    known: dict[str, npt.ArrayLike] = {
        "net_speech_s": scored.conditions.net_speech_s,
        "line": np.where(scored.conditions.telephone >= LIKELY, "telephone, both sides", "other"),
        "snr_db": scored.conditions.snr_db,
    }
    if any(recording.condition for recording in protocol.recordings):
        known["condition"] = _conditions(scored.trials, protocol)
    return known


def _conditions(trials: Indices, protocol: Protocol) -> npt.NDArray[np.str_]:
    """Return the condition of each probe; of two recordings both, if they differ."""
    of_probe = np.array([recording.condition for recording in protocol.recordings])[trials[:, 1]]
    if not protocol.of_pairs:
        return of_probe
    first = [protocol.recordings[model.recordings[0]].condition for model in protocol.models]
    both = zip(np.array(first)[trials[:, 0]].tolist(), of_probe.tolist(), strict=True)
    return np.array([" + ".join(sorted({c or metrics.UNKNOWN for c in pair})) for pair in both])


def speakers_of(protocol: Protocol, trials: Indices) -> Indices:
    """Return (n, 2) numbers of the speakers of the models and the probes of trials."""
    names = [model.speaker for model in protocol.models]
    names += [recording.speaker for recording in protocol.recordings]
    _, numbers = np.unique(names, return_inverse=True)
    of_models, of_probes = np.split(numbers.astype(np.int64), [len(protocol.models)])
    return np.stack([of_models[trials[:, 0]], of_probes[trials[:, 1]]], axis=1)
