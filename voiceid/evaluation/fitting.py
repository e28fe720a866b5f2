"""Fitting a calibration: logistic regression on scored trials, judged on held-out speakers.

Speakers are dealt into five folds.  The LLR of a trial is held out: it comes from weights that
were fitted on trials of neither of its two speakers.  Quality measures are added while they lower
the held-out Cllr, and the LLR for a target rate is taken from held-out impostor trials, so that no
figure comes from trials of the fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voiceid import metrics
from voiceid.decision.aims import SetThreshold
from voiceid.decision.calibration import (
    FEATURES,
    LIKELY,
    TRIALS_PER_ERROR,
    CalibratedPoint,
    Calibration,
    Conditions,
    Floats,
    HeldOut,
    Weight,
    trials_needed,
)
from voiceid.decision.rule import DecisionRule, accepted
from voiceid.errors import FitRefused
from voiceid.evaluation.bounds import Bools, Indices, drawn_again, rates_at
from voiceid.evaluation.regression import logistic_regression
from voiceid.evaluation.scoring import ScoredTrials
from voiceid.metrics import Trials

MIN_SPEAKERS = 5
"""At least one speaker for each fold."""
PRIORS = (0.01, 0.05)
"""Priors of a genuine trial, for DCF: of NIST SRE 2016 and later, and of VoxCeleb."""
_FOLDS = 5
_GAIN = 0.01
"""Share of the Cllr that a quality measure must save to be added."""
_PER_LINE = (30, 300)
"""Least genuine and impostor trials of a line, a telephone or not, for a fit on it."""
_RARE = 0.01
"""Share of trials that is ignored at the ends of a range."""
_RATES = tuple(m * 10.0**-e for e in range(1, 9) for m in (5.0, 2.0, 1.0))
"""False match rates for which an LLR is looked up, as far as the trials support them."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A calibration, its quality on held-out speakers, and its held-out LLRs (n,).

    ``rows`` (n of all,) marks the trials that it could be fitted to: those of lines with enough
    trials.
    """

    calibration: Calibration
    held_out: HeldOut
    llrs: Floats
    rows: Bools


@dataclass(frozen=True, slots=True)
class RateRow:
    """The errors of one threshold on held-out trials.

    Parameters
    ----------
    source : str
        The source of the threshold: ``card campplus``, ``calibration 2``, ``the settings``.
    target_fmr : float or None
        The false match rate that it aims at; None: a cosine that was set by hand.
    false_matches, impostor, false_non_matches, genuine : int
        Errors, and the numbers of trials.
    without_threshold : int
        Trials that it has no threshold for, which are not counted.
    decides : bool
        Whether decisions are made by it once the calibration is used.
    """

    source: str
    target_fmr: float | None
    false_matches: int
    impostor: int
    false_non_matches: int
    genuine: int
    without_threshold: int
    decides: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Material:
    """Trials to fit to: scores, conditions, and folds."""

    scores: Floats
    target: Bools
    conditions: Conditions
    speakers: Indices
    folds: npt.NDArray[np.intp]

    def columns(self, features: Sequence[str]) -> Floats:
        return np.stack([self.scores, *map(self.conditions.feature, features)], axis=1)


def fit(
    scores: npt.ArrayLike,
    target: Bools,
    conditions: Conditions,
    speakers: Indices,
    *,
    target_fmr: float | None = None,
    required: bool = True,
) -> Fit:
    """Fit a calibration on trials.

    - `scores` (n,) float: cosines.
    - `speakers` (n, 2) int64: numbers of the speakers of both sides of each trial.
    - `target_fmr`: a rate to find the LLR for; `required`: whether the trials must support it.

    Raises `FitRefused`: there are too few speakers or trials, for a calibration or for the target.
    """
    rows = _heard(target, conditions)
    material = _material(np.asarray(scores, dtype=np.float64), target, conditions, speakers, rows)
    n_impostor = int((~material.target).sum())
    if target_fmr is not None and n_impostor < trials_needed(target_fmr):
        if not required:
            return fit(scores, target, conditions, speakers)
        raise FitRefused(
            f"a false match rate of {target_fmr:g} takes {trials_needed(target_fmr)} impostor"
            f" trials, but these recordings make {n_impostor}",
            hint=f"Add recordings of more speakers, or aim at {TRIALS_PER_ERROR / n_impostor:.2g}"
            " or above: --target-fmr.",
        )
    features, llrs = _selected(material)
    calibration = _calibration(material, features, llrs, target_fmr)
    return Fit(calibration, _held_out(material, llrs), llrs, rows)


def rate_rows(
    fitted: Fit,
    scored: ScoredTrials,
    name: str,
    before: Mapping[str, DecisionRule],
    after: DecisionRule,
) -> Iterator[RateRow]:
    """Yield the errors on the held-out trials, without and with the calibration.

    Parameters
    ----------
    scored : ScoredTrials
        The trials that it was fitted to.
    name : str
        Of the calibration.
    before : mapping of str to DecisionRule
        By name: rules without the calibration.
    after : DecisionRule
        The rule with it, which will decide.
    """
    target, conditions = scored.target[fitted.rows], scored.conditions.rows(fitted.rows)
    scores, calibration = scored.scores[fitted.rows], fitted.calibration
    by_hand, rate = isinstance(after.criterion, SetThreshold), after.aim.rate
    reached = not by_hand and calibration.supports(rate)
    for source, rule in before.items():
        thresholds = rule.thresholds(conditions)
        decides = not reached and rule.calibration is None
        if by_hand:
            decides = isinstance(rule.criterion, SetThreshold)
        known = ~np.isnan(thresholds)
        if known.any():
            aimed = None if isinstance(rule.criterion, SetThreshold) else rule.aim.rate
            matches = accepted(scores, thresholds)
            yield _rate_row(source, aimed, matches[known], target[known], len(known), decides)
    llrs = {point.fmr: point.llr for point in calibration.points}
    if reached and not any(math.isclose(rate, fmr) for fmr in llrs):
        llrs[rate] = calibration.llr_at(rate)
    for fmr, llr in sorted(llrs.items(), reverse=True):
        decides = reached and math.isclose(fmr, rate)
        yield _rate_row(name, fmr, fitted.llrs >= llr, target, len(target), decides)


def _rate_row(
    source: str, fmr: float | None, matches: Bools, target: Bools, n_trials: int, decides: bool
) -> RateRow:
    return RateRow(
        source=source,
        target_fmr=fmr,
        false_matches=int((matches & ~target).sum()),
        impostor=int((~target).sum()),
        false_non_matches=int((~matches & target).sum()),
        genuine=int(target.sum()),
        without_threshold=n_trials - len(target),
        decides=decides,
    )


def _heard(target: Bools, conditions: Conditions) -> Bools:
    """Return the trials of lines, a telephone on both sides or not, with enough trials."""
    rows = np.zeros(len(target), dtype=bool)
    over_telephone = conditions.telephone >= LIKELY
    for of_line in (over_telephone, ~over_telephone):
        counts = (int((of_line & target).sum()), int((of_line & ~target).sum()))
        if all(count >= least for count, least in zip(counts, _PER_LINE, strict=True)):
            rows |= of_line
    return rows


def _material(
    scores: Floats, target: Bools, conditions: Conditions, speakers: Indices, rows: Bools
) -> _Material:
    names = np.unique(speakers[rows])
    if len(names) < MIN_SPEAKERS or not rows.any():
        raise FitRefused(
            f"{len(names)} speakers with enough trials are too few to calibrate on: it takes"
            f" {MIN_SPEAKERS}, with {_PER_LINE[0]} genuine and {_PER_LINE[1]} impostor trials"
            " of one line",
            hint="Add recordings of more speakers, several of each.",
        )
    fold_of = np.random.default_rng(0).permutation(len(names)) % _FOLDS
    folds = fold_of[np.searchsorted(names, speakers[rows])]
    return _Material(scores[rows], target[rows], conditions.rows(rows), speakers[rows], folds)


def _selected(material: _Material) -> tuple[list[str], Floats]:
    """Add quality measures while they lower the held-out Cllr; return them and the LLRs."""
    chosen = _usable(material, FEATURES["speech"])
    llrs = _held_out_llrs(material, chosen)
    cost = _cllr(material, llrs)
    for name in ("line", "samples", "snr"):
        more = _usable(material, FEATURES[name])
        if not more:
            continue
        tried = _held_out_llrs(material, [*chosen, *more])
        if (new_cost := _cllr(material, tried)) < cost * (1.0 - _GAIN):
            chosen, llrs, cost = [*chosen, *more], tried, new_cost
    return chosen, llrs


def _usable(material: _Material, names: Sequence[str]) -> list[str]:
    """Return the quality measures that are not the same in all trials."""
    return [name for name in names if float(np.ptp(material.conditions.feature(name))) > 0.0]


def _cllr(material: _Material, llrs: Floats) -> float:
    return metrics.cllr(llrs[material.target], llrs[~material.target])


def _held_out_llrs(material: _Material, features: Sequence[str]) -> Floats:
    """Return the LLR of each trial from a fit on trials of neither of its speakers."""
    columns = material.columns(features)
    left, right = material.folds[:, 0], material.folds[:, 1]
    llrs = np.full(len(left), np.nan)
    for i, j in itertools.combinations_with_replacement(range(_FOLDS), 2):
        judged = ((left == i) & (right == j)) | ((left == j) & (right == i))
        if not judged.any():
            continue
        seen = ~np.isin(left, (i, j)) & ~np.isin(right, (i, j))
        slopes, intercept = logistic_regression(columns[seen], material.target[seen])
        llrs[judged] = columns[judged] @ slopes + intercept
    return llrs


def _calibration(
    material: _Material, features: Sequence[str], llrs: Floats, target_fmr: float | None
) -> Calibration:
    slopes, intercept = logistic_regression(material.columns(features), material.target)
    if not slopes[0] > 0.0:
        raise FitRefused(
            "the scores of one speaker's recordings are not above those of two speakers'",
            hint="Check that the names of the speakers are right.",
        )
    values = {name: material.conditions.feature(name) for name in features}
    return Calibration(
        slope=float(slopes[0]),
        intercept=intercept,
        weights=tuple(
            Weight(name, float(slope), float(values[name].min()), float(values[name].max()))
            for name, slope in zip(features, slopes[1:], strict=True)
        ),
        telephone=_telephone(material.conditions.telephone),
        min_net_speech_s=float(material.conditions.net_speech_s.min()),
        points=tuple(_points(material, llrs, target_fmr)),
        impostor_trials=int((~material.target).sum()),
    )


def _telephone(shares: Floats) -> tuple[float, float]:
    """Return the lowest and the highest share of a telephone in the fit.

    A line with trials counts as a whole; shares that a hundredth of the trials of another line have
    are ignored.
    """
    phones = shares >= LIKELY
    least = float(np.quantile(shares, _RARE)) if phones.all() else 0.0
    return least, 1.0 if phones.any() else float(np.quantile(shares, 1.0 - _RARE))


def _points(
    material: _Material, llrs: Floats, target_fmr: float | None
) -> Iterator[CalibratedPoint]:
    genuine, impostor = np.sort(llrs[material.target]), np.sort(llrs[~material.target])
    least = TRIALS_PER_ERROR / len(impostor)
    asked = {target_fmr} if target_fmr is not None else set()
    rates = sorted({rate for rate in _RATES if rate > least} | {least} | asked, reverse=True)
    at = [metrics.threshold_at_fmr(impostor, rate) for rate in rates]
    same = material.target
    drawn = drawn_again(
        Trials(llrs[same], material.speakers[same]),
        Trials(llrs[~same], material.speakers[~same]),
        at,
    )
    for rate, llr in zip(rates, at, strict=True):
        n_accepted = len(impostor) - int(np.searchsorted(impostor, llr))
        refused = int(np.searchsorted(genuine, llr))
        wrong, trials = (n_accepted, refused), (len(impostor), len(genuine))
        fmr, fnmr = rates_at(drawn, llr, wrong, trials)
        yield CalibratedPoint(rate, llr, (fmr.low, fmr.high), fnmr.rate, (fnmr.low, fnmr.high))


def _held_out(material: _Material, llrs: Floats) -> HeldOut:
    genuine, impostor = np.sort(llrs[material.target]), np.sort(llrs[~material.target])
    return HeldOut(
        speakers=len(np.unique(material.speakers)),
        genuine=len(genuine),
        impostor=len(impostor),
        eer=metrics.equal_error_rate(genuine, impostor),
        cllr=metrics.cllr(genuine, impostor),
        min_cllr=metrics.min_cllr(genuine, impostor),
        act_dcf={f"{p:g}": metrics.act_dcf(genuine, impostor, p_target=p) for p in PRIORS},
        min_dcf={f"{p:g}": metrics.min_dcf(genuine, impostor, p_target=p) for p in PRIORS},
    )
