"""The quality of the log-likelihood ratios of a calibration on trials.

The numbers alone do not show whether a calibration fits these trials.  On other trials its LLRs may
be overconfident, and then they are worse than no LLRs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from voiceid import metrics
from voiceid.evaluation.bounds import (
    Bools,
    Cost,
    Floats,
    Indices,
    cost_bounds,
    costs_to_dict,
    drawn_again,
    ordered,
)
from voiceid.evaluation.fitting import PRIORS
from voiceid.evaluation.regression import logistic_regression

_MUCH = 1.2
"""Factor on the least Cllr from which a calibration does not fit: a fifth of the information of
LLRs is lost."""
_NOTHING = 1.0
"""Cllr, in bits, of LLRs that are all 0."""
_UNSEEN = 3.0
"""By the rule of three, that many of n trials may be errors of which none was seen; the least
Cllr, which is computed on these very trials, does not include them."""


@dataclass(frozen=True, slots=True)
class Llrs:
    """The quality of LLRs on the trials that a calibration covers.

    - `genuine`, `impostor`: trials that it covers.
    - `not_covered`: trials that it does not cover.
    - `cllr`: in bits.  None, like all that follow, if a side has no trials.
    - `min_cllr`: the least Cllr of any LLRs in the same order.
    - `act_dcf`: cost of decisions by the LLRs, by prior: normalized detection costs.
    - `min_dcf`: the least over all thresholds, of the same trials.
    - `scale`: the factor with which the LLRs would fit these trials (logistic regression); below 1
      they are overconfident.
    """

    genuine: int
    impostor: int
    not_covered: int
    cllr: Cost | None = None
    min_cllr: float | None = None
    act_dcf: Mapping[float, Cost] | None = None
    min_dcf: Mapping[float, float] | None = None
    scale: float | None = None

    @property
    def misfit(self) -> str | None:
        """The fault of the LLRs on these trials; None: no fault that they could show."""
        if self.cllr is None or self.min_cllr is None or self.scale is None:
            return None
        measured = f"Cllr is {self.cllr.value:.3g} bit"
        if self.cllr.value > _NOTHING:
            return f"worse than none here: {measured}, and LLRs that say nothing cost 1"
        low = self.cllr.value if self.cllr.bounds is None else self.cllr.bounds[0]
        if low <= _MUCH * self.min_cllr + _UNSEEN / min(self.genuine, self.impostor):
            return None
        how = "overconfident here" if self.scale < 1.0 else "not made for recordings like these"
        return f"{how}: {measured}, and {self.min_cllr:.3g} could be had"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        facts = {
            "genuine_trials": self.genuine,
            "impostor_trials": self.impostor,
            "not_covered": self.not_covered,
        }
        if self.cllr is None or self.act_dcf is None or self.min_dcf is None:
            return {**facts, "cllr": None}
        return {
            **facts,
            "cllr": self.cllr.value,
            "cllr_bounds_95": self.cllr.bounds,
            "min_cllr": self.min_cllr,
            **costs_to_dict("act_dcf", self.act_dcf),
            "min_dcf": {f"{prior:g}": cost for prior, cost in self.min_dcf.items()},
            "scale": self.scale,
            "misfit": self.misfit,
        }


def worth(llrs: Floats, target: Bools, speakers: Indices) -> Llrs:
    """Return the quality of LLRs.

    - `llrs` (n,) float64: NaN for a trial that the calibration does not cover.
    """
    covered = ~np.isnan(llrs)
    genuine, impostor = covered & target, covered & ~target
    counts = int(genuine.sum()), int(impostor.sum()), int((~covered).sum())
    if not counts[0] or not counts[1]:
        return Llrs(*counts)
    same, other = (ordered(llrs[rows], speakers[rows]) for rows in (genuine, impostor))
    at = [metrics.bayes_threshold(prior) for prior in PRIORS]
    drawn = drawn_again(same, other, at, llr=True)
    slopes, _ = logistic_regression(llrs[covered, None], target[covered])
    sides = same.scores, other.scores
    return Llrs(
        *counts,
        cllr=Cost(metrics.cllr(*sides), None if drawn is None else drawn.cllr_interval()),
        min_cllr=metrics.min_cllr(*sides),
        act_dcf={
            prior: Cost(
                metrics.act_dcf(*sides, p_target=prior),
                cost_bounds(
                    None if drawn is None else drawn.act_dcf(p_target=prior),
                    metrics.error_counts(*sides, threshold),
                    (counts[1], counts[0]),
                    prior,
                ),
            )
            for prior, threshold in zip(PRIORS, at, strict=True)
        },
        min_dcf={prior: metrics.min_dcf(*sides, p_target=prior) for prior in PRIORS},
        scale=float(slopes[0]),
    )
