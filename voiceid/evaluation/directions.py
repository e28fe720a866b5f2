"""The directions that are removed from wideband embeddings: their own, or a telephone's as well.

A telephone's directions also hold information about the speaker.  Removed from wideband embeddings
too, they bring a microphone and a telephone nearer to each other; one encoder then separates
wideband voices worse, another one better.  So each is measured, only on speakers that it was
learned from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from voiceid import metrics
from voiceid.decision.calibration import trials_needed
from voiceid.decision.compensation import Compensation
from voiceid.evaluation.degradations import is_telephone
from voiceid.evaluation.learning import Heard, compensated, learn
from voiceid.evaluation.model_fit import compare
from voiceid.evaluation.pieces import pairs_of

TARGET = 0.001
"""The default false match rate, of strangers of one sex in the worst pair of conditions."""

_HALVINGS = 4
_ENROLLED = 2
"""Samples of an enrolment: two thirds of a recording; the last third is the probe."""


Rates: TypeAlias = tuple[float, float]
"""Shares of right speakers who are refused, without and with a telephone's directions removed."""


def fit_compensation(heard: Heard) -> tuple[Compensation, Rates | None]:
    """Learn a compensation, choose the directions removed from wideband embeddings, and say why.

    The speakers are halved by lot, four times, and each half is judged with what was learned from
    the other.  A telephone's directions are removed from wideband embeddings too if fewer of the
    right speakers are then refused in wideband, on average, at the threshold that keeps the target
    in the worst pair of conditions that are not both telephones.  With too few comparisons for that
    rate (rule of three) they are kept, and there are no rates.
    """
    compensation = learn(heard)
    rates = [both for both in _refused(heard) if both is not None]
    if len(rates) < 2 * _HALVINGS:
        return compensation, None
    own, wider = np.mean(rates, axis=0).tolist()
    return _widened(compensation) if wider < own else compensation, (own, wider)


def _widened(compensation: Compensation) -> Compensation:
    return replace(compensation, wideband_directions=compensation.telephone_directions)


def _refused(heard: Heard) -> Iterator[Rates | None]:
    """Yield the refusals of each half, without and with a telephone's directions removed."""
    names = np.unique(heard.speaker)
    for seed in range(_HALVINGS):
        half = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
        for side in (half, np.setdiff1d(names, half)):
            judges = np.isin(heard.speaker, side)
            compensation = learn(heard.where(~judges))
            judging = heard.where(judges & heard.whole)
            rates = [_rate(judging, form) for form in (compensation, _widened(compensation))]
            yield None if rates[0] is None or rates[1] is None else (rates[0], rates[1])


def _rate(judging: Heard, compensation: Compensation) -> float | None:
    """Return the share of right speakers who are refused in wideband; None: too few to tell."""
    vectors, telephone = compensated(judging, compensation)
    judging = replace(judging, recording=judging.piece)  # of the speakers who have one
    thresholds, genuine = [0.0], []
    for pair in pairs_of(np.unique(judging.condition).tolist()):
        if all(map(is_telephone, pair)):
            continue
        compared = compare(judging, vectors, telephone, pair, _ENROLLED)
        strangers = np.sort(compared.scores[~compared.genuine & compared.same_sex])
        if len(strangers) < trials_needed(TARGET):
            return None
        thresholds.append(metrics.threshold_at_fmr(strangers, TARGET))
        if not any(map(is_telephone, pair)):
            genuine.append(compared.scores[compared.genuine])
    scores = np.concatenate(genuine) if genuine else np.empty(0)
    return float(np.mean(scores < max(thresholds))) if len(scores) else None
