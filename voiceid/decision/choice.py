"""The transform that helps speakers outside its fit, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations_with_replacement
from operator import add
from typing import Final

import numpy as np

from voiceid import metrics
from voiceid.decision.embeddings import unit
from voiceid.decision.held_out import TrialList, deal, list_trials
from voiceid.decision.transforms import Candidate, Floats, Ids, Moments, Names, Transform, numbered
from voiceid.domain import Float32Array
from voiceid.metrics.costs import pooled_adjacent_violators

SHRINKAGES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The shrinkages that are tried for WCCN: 1 is centring alone."""

CANDIDATES: Final = (Candidate("centring"), *(Candidate("wccn", s) for s in SHRINKAGES))

RESAMPLES: Final = 200

_ROUNDING: Final = 1e-9
"""Shares of trials, and differences of measures, below this count as zero."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of a candidate on speakers who were not in the fits of its transforms.

    `min_dcf` is at a prior of 0.01, `min_cllr` in bits; `gain` is in minimal Cllr, and `gain_lower`
    its lower bound of 95 %, of all candidates together.
    """

    candidate: Candidate
    eer: float
    min_dcf: float
    min_cllr: float
    gain: float
    gain_lower: float


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The candidate that is surest to help, and whether it is to be adopted.

    `scores_before` and `scores_after` (t,) are cosines of the trials without a transform, and by
    transforms that were fitted without either speaker: a calibration may be fitted to them.
    """

    adopted: bool
    reason: str
    before: Measured
    after: Measured
    measured: tuple[Measured, ...]
    transform: Transform
    trials: TrialList
    scores_before: Float32Array
    scores_after: Float32Array


def choose(
    vectors: Float32Array,
    speakers: Names,
    sessions: Names | None = None,
    *,
    candidates: Sequence[Candidate] = CANDIDATES,
    seed: int = 0,
) -> Choice:
    """Choose a transform by cross-validation over speakers, and say whether to adopt it.

    Speakers are dealt into at most ten folds, and trials scored by transforms fitted without either
    speaker. What counts is the minimal Cllr: it weighs the errors at every threshold, and differs
    from chance with fewer speakers than an EER.  Speakers are resampled, and each gain is bounded
    from below by the limit that the luckiest of all candidates, in units of its own deviation,
    stays under in 95 % of the draws (Hansen, A test for superior predictive ability, 2005; White, A
    reality check for data snooping, 2000). The highest bound is chosen, and adopted if it is above
    zero, and EER and minDCF do not get worse.

    - `sessions` (n,): samples of one session of a speaker are never compared; each its own when
      omitted.

    Raises `AdaptationRefused`: fewer than `held_out.MIN_SPEAKERS` speakers have two samples of
    different sessions, or no samples of a speaker differ; `ValueError`: a vector has no direction.
    """
    vectors, who = unit(vectors), numbered(speakers)
    trials = list_trials(who, np.arange(len(who)) if sessions is None else numbered(sessions), seed)
    fold = deal(who, trials, seed)
    scores = _held_out(vectors, who, trials, fold, [Candidate("none"), *candidates])
    before, *measured = _measure(trials, [Candidate("none"), *candidates], scores)
    place = max(range(len(measured)), key=lambda i: measured[i].gain_lower)
    after = measured[place]
    reason = _refusal(before, after)
    return Choice(
        adopted=reason is None,
        reason=reason or f"{_change(before, after)}: more than chance",
        before=before,
        after=after,
        measured=tuple(measured),
        transform=Moments.of(vectors, who).fit(after.candidate),
        trials=trials,
        scores_before=scores[0],
        scores_after=scores[place + 1],
    )


def _held_out(
    vectors: Float32Array, who: Ids, trials: TrialList, fold: Ids, candidates: Sequence[Candidate]
) -> Float32Array:
    """Return the cosines (candidates, t) by transforms that were fitted without either speaker."""
    n_folds = int(fold.max()) + 1
    parts = [Moments.of(vectors[fold == f], who[fold == f]) for f in range(n_folds)]
    model_fold = fold[[run[0] for run in trials.enrolments]][trials.enrolment]
    probe_fold = fold[trials.probe]
    low, high = np.minimum(model_fold, probe_fold), np.maximum(model_fold, probe_fold)
    scores = np.empty((len(candidates), len(model_fold)), dtype=np.float32)
    moved = np.empty_like(vectors)
    for i, k in combinations_with_replacement(range(n_folds), 2):
        unseen = reduce(add, (part for f, part in enumerate(parts) if f not in {i, k}))
        rows, judged = np.flatnonzero((low == i) & (high == k)), np.isin(fold, (i, k))
        for own, candidate in zip(scores, candidates, strict=True):
            moved[judged] = unseen.fit(candidate).apply(vectors[judged])
            own[rows] = trials.cosines(rows, moved)
    return scores


def _measure(
    trials: TrialList, candidates: Sequence[Candidate], scores: Float32Array
) -> list[Measured]:
    """Return the results of each candidate; the others are compared with the first."""
    sides = [trials.sides(row) for row in scores]
    costs = np.array([metrics.min_cllr(same.scores, other.scores) for same, other in sides])
    drawn = np.array(
        [
            _min_cllrs(metrics.resample_speakers(same, other, resamples=RESAMPLES))
            for same, other in sides
        ]
    )
    gains = costs[0] - costs
    chance = drawn[0] - drawn - gains[:, None]
    deviations = np.std(chance, axis=1)
    luck = chance[1:] / np.maximum(deviations[1:, None], _ROUNDING)
    bounds = gains - float(np.quantile(np.max(luck, axis=0), 0.95)) * deviations
    return [
        Measured(
            candidate=candidate,
            eer=metrics.equal_error_rate(same.scores, other.scores),
            min_dcf=metrics.min_dcf(same.scores, other.scores, p_target=0.01),
            min_cllr=float(cost),
            gain=float(gain),
            gain_lower=float(bound),
        )
        for candidate, (same, other), cost, gain, bound in zip(
            candidates, sides, costs, gains, bounds, strict=True
        )
    ]


def _min_cllrs(drawn: metrics.Resampled) -> Floats:
    """Return the minimal Cllr (r,) of each draw; scores between two thresholds are as one."""
    rates = zip(drawn.fmr, drawn.fnmr, strict=True)
    return np.array([_bits(np.diff(fnmr), -np.diff(fmr)) for fmr, fnmr in rates])


def _bits(genuine: Floats, impostor: Floats) -> float:
    """Return the minimal Cllr of shares of the trials by score, ascending."""
    occupied = genuine + impostor > _ROUNDING
    blocks = pooled_adjacent_violators(genuine[occupied], impostor[occupied])
    whole = np.sum(blocks, axis=0)
    lost = [part * np.log2(whole / np.maximum(part, _ROUNDING)) for part in blocks]
    return float(np.sum(lost)) / 2


def _refusal(before: Measured, after: Measured) -> str | None:
    """Return why a candidate is not adopted."""
    if before.min_cllr == 0.0:
        return "held-out speakers are already distinguished without an error"
    if after.gain_lower <= _ROUNDING:
        return f"{_change(before, after)}, which may be chance"
    if after.eer > before.eer + _ROUNDING or after.min_dcf > before.min_dcf + _ROUNDING:
        return f"{_change(before, after)}, but it is not better at every threshold"
    return None


def _change(before: Measured, after: Measured) -> str:
    rates = [f"{100 * measured.eer:.2f}" for measured in (before, after)]
    costs = [f"{measured.min_dcf:.3f}" for measured in (before, after)]
    return (
        f"{after.candidate} changes the EER of held-out speakers from {rates[0]} to {rates[1]} %,"
        f" and the minDCF from {costs[0]} to {costs[1]}"
    )
