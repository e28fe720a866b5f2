"""What an evaluation found: error rates with their counts and bounds, over all and by slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid import metrics
from voiceid.domain import Band, Utterance
from voiceid.evaluation.protocol import Indices, Protocol
from voiceid.evaluation.scoring import Failure, ScoredTrials
from voiceid.metrics import Rate, Resampled, Trials

Bools: TypeAlias = npt.NDArray[np.bool_]

PRIORS = (0.01, 0.05)
"""Of NIST SRE 2016 and later, and of VoxCeleb: for minDCF."""
TARGETS = (0.01, 0.001, 0.0001)
"""False match rates at which FNMR is told."""
_ENOUGH = 3.0
"""A false match rate needs three times as many trials as its inverse, by the rule of three."""
_HALF = 0.5
"""Between refused (0) and accepted (1)."""


@dataclass(frozen=True, slots=True)
class AtFmr:
    """FNMR at the threshold that gives a false match rate on these very trials.

    Parameters
    ----------
    fmr : float
        Asked for, 0 to 1.
    threshold : float or None
        None: the trials are too few to tell (``needed`` impostor trials are).
    fnmr : Rate or None
    needed : int
    """

    fmr: float
    threshold: float | None
    fnmr: Rate | None
    needed: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        fnmr = None if self.fnmr is None else self.fnmr.to_dict()
        return {
            "fmr": self.fmr,
            "threshold": self.threshold,
            "fnmr": fnmr,
            "impostor_trials_needed": self.needed,
        }


@dataclass(frozen=True, slots=True)
class Errors:
    """Error rates over some trials.

    Parameters
    ----------
    genuine, impostor : int
        Trials.
    eer : float
        Equal error rate, 0 to 1.
    eer_bounds : (low, high) or None
        95 %, by a bootstrap over speakers; None: too few speakers.
    min_dcf : mapping of float to float
        Least normalized detection cost, by prior.
    fmr, fnmr : Rate
        At the thresholds that the product would have asked for.
    without_threshold : int
        Trials that have none: nobody is accepted in them.
    at_fmr : tuple of AtFmr
    """

    genuine: int
    impostor: int
    eer: float
    eer_bounds: tuple[float, float] | None
    min_dcf: Mapping[float, float]
    fmr: Rate
    fnmr: Rate
    without_threshold: int
    at_fmr: tuple[AtFmr, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "genuine_trials": self.genuine,
            "impostor_trials": self.impostor,
            "eer": self.eer,
            "eer_bounds_95": None if self.eer_bounds is None else list(self.eer_bounds),
            "min_dcf": {f"{prior:g}": cost for prior, cost in self.min_dcf.items()},
            "at_shipped_thresholds": {"fmr": self.fmr.to_dict(), "fnmr": self.fnmr.to_dict()},
            "without_threshold": self.without_threshold,
            "fnmr_at_fmr": [one.to_dict() for one in self.at_fmr],
        }


@dataclass(frozen=True, slots=True)
class Identified:
    """Open-set identification in the gallery of the models.

    Parameters
    ----------
    gallery_size : int
    fpir, fnir : Rate
        At the thresholds and the margin of the product.
    wrong_names : int
        Searches of somebody enrolled that named somebody else.
    inconclusive : int
        Searches within the margin.
    rank_rates : tuple of float
        Share of the mated searches whose speaker is among the first 1 to 10.
    """

    gallery_size: int
    fpir: Rate
    fnir: Rate
    wrong_names: int
    inconclusive: int
    rank_rates: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "gallery_size": self.gallery_size,
            "fpir": self.fpir.to_dict(),
            "fnir": self.fnir.to_dict(),
            "wrong_names": self.wrong_names,
            "inconclusive": self.inconclusive,
            "rank_rates": list(self.rank_rates),
        }


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Recordings that gave nothing: failures to acquire, and models that could not be made.

    ``fta`` counts recordings, ``fte`` models (ISO/IEC 19795-1); ``reasons`` counts codes of
    errors, or ``no_speech``.
    """

    fta: Rate
    fte: Rate
    reasons: Mapping[str, int]
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, the recordings by name."""
        return {
            "fta": self.fta.to_dict(),
            "fte": self.fte.to_dict(),
            "reasons": dict(self.reasons),
            "recordings": [
                {"recording": one.recording.name, "code": one.code, "message": one.message}
                for one in self.failures
            ],
        }


def acquisition(protocol: Protocol, heard: Sequence[Utterance | Failure]) -> Acquisition:
    """Return what could not be had of the recordings and of the models."""
    failures = tuple(one for one in heard if isinstance(one, Failure))
    lost = sum(
        all(isinstance(heard[i], Failure) for i in model.recordings) for model in protocol.models
    )
    return Acquisition(
        Rate.of(len(failures), len(heard)),
        Rate.of(lost, len(protocol.models)),
        Counter(one.code for one in failures),
        failures,
    )


def errors(scored: ScoredTrials, speakers: Indices, rows: Bools | None = None) -> Errors | None:
    """Return the error rates over trials, or None where a side of them has none.

    Parameters
    ----------
    scored : ScoredTrials
    speakers : (n, 2) int64
        Numbers of the speakers of both sides of each trial.
    rows : (n,) bool, optional
        Which trials; all of them when omitted.
    """
    rows = np.ones(len(scored.scores), dtype=bool) if rows is None else rows
    genuine, impostor = rows & scored.target, rows & ~scored.target
    if not genuine.any() or not impostor.any():
        return None
    accepted = scored.scores >= scored.thresholds  # NaN is no threshold: nobody is accepted
    same, other = np.sort(scored.scores[genuine]), np.sort(scored.scores[impostor])
    fmr, fnmr = int(accepted[impostor].sum()), int((~accepted[genuine]).sum())
    targets = {t: metrics.threshold_at_fmr(other, t) for t in TARGETS if len(other) >= _needed(t)}
    drawn = _resampled(scored.scores, speakers, genuine, impostor, list(targets.values()))
    # Thresholds differ by trial: what was accepted is drawn again, at a threshold between.
    decided = _resampled(accepted.astype(np.float64), speakers, genuine, impostor, [_HALF])
    return Errors(
        genuine=len(same),
        impostor=len(other),
        eer=(eer := metrics.equal_error_rate(same, other)),
        eer_bounds=_eer_bounds(eer, drawn, len(same), len(other)),
        min_dcf={prior: metrics.min_dcf(same, other, p_target=prior) for prior in PRIORS},
        fmr=Rate.of(fmr, len(other), None if decided is None else decided.fmr_at(_HALF)),
        fnmr=Rate.of(fnmr, len(same), None if decided is None else decided.fnmr_at(_HALF)),
        without_threshold=int(np.isnan(scored.thresholds[rows]).sum()),
        at_fmr=tuple(_at_fmr(same, t, targets.get(t), drawn) for t in TARGETS),
    )


def _needed(target: float) -> int:
    return round(_ENOUGH / target)


def _at_fmr(
    same: metrics.Scores, target: float, threshold: float | None, drawn: Resampled | None
) -> AtFmr:
    if threshold is None:
        return AtFmr(target, None, None, _needed(target))
    refused = int(np.searchsorted(same, threshold, side="left"))
    bounds = None if drawn is None else drawn.fnmr_at(threshold)
    return AtFmr(target, threshold, Rate.of(refused, len(same), bounds), _needed(target))


def sliced(
    scored: ScoredTrials, protocol: Protocol, speakers: Indices
) -> Iterator[tuple[str, str, Errors]]:
    """Yield attribute, label and error rates of each slice that has trials of both kinds."""
    bands = np.array([band.value for band in Band])
    attributes: dict[str, npt.ArrayLike] = {
        "net_speech_s": scored.given.net_speech_s,
        "band": bands[scored.given.band],
        "snr_db": scored.given.snr_db,
    }
    if any(one.condition for one in protocol.recordings):
        attributes["condition"] = _conditions(scored.trials, protocol)
    for one in metrics.slices(attributes):
        found = errors(scored, speakers, one.rows)
        if found is not None:
            yield one.attribute, one.label, found


def _conditions(trials: Indices, protocol: Protocol) -> npt.NDArray[np.str_]:
    """Return the condition of each probe; of two recordings both, where they are not the same."""
    of_probe = np.array([one.condition for one in protocol.recordings])[trials[:, 1]]
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


def _eer_bounds(
    eer: float, drawn: Resampled | None, genuine: int, impostor: int
) -> tuple[float, float] | None:
    if eer == 0.0:  # a bootstrap would know no doubt: the rule of three, for the scarcer trials
        return 0.0, metrics.rate_upper_bound(0, min(genuine, impostor))
    return None if drawn is None else drawn.equal_error_rate()


def _resampled(
    scores: metrics.Scores,
    speakers: Indices,
    genuine: Bools,
    impostor: Bools,
    thresholds: Sequence[float],
) -> Resampled | None:
    """Draw the speakers again; None where there is but one, who cannot be drawn differently."""
    try:
        return metrics.resample_speakers(
            Trials(scores[genuine], speakers[genuine]),
            Trials(scores[impostor], speakers[impostor]),
            thresholds=thresholds,
        )
    except ValueError:
        return None
