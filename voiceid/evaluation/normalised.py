"""Whether AS-Norm with a cohort would tell the speakers of an evaluation apart better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from voiceid import metrics
from voiceid.decision.normalization import Cohort
from voiceid.evaluation.bounds import Indices, drawn_again, pair
from voiceid.evaluation.fitting import as_normalised
from voiceid.evaluation.scoring import ScoredTrials
from voiceid.metrics import Interval, Trials


@dataclass(frozen=True, slots=True)
class AsNormed:
    """The same trials without AS-Norm and with it.

    Parameters
    ----------
    cohort : int
        Its number.
    eer, min_dcf, min_cllr : (float, float)
        Without and with: equal error rate, 0 to 1; minDCF at a prior of 0.01; minCllr in bits.
    eer_gain : (low, high) or None
        95 % bounds of the EER without less the EER with, by drawing the speakers again, the same
        for both; None: too few speakers.
    """

    cohort: int
    eer: tuple[float, float]
    min_dcf: tuple[float, float]
    min_cllr: tuple[float, float]
    eer_gain: Interval | None

    @property
    def helps(self) -> bool:
        """Whether it does, by more than chance, and minCllr agrees."""
        surely = self.eer_gain is not None and self.eer_gain[0] > 0.0
        return surely and self.min_cllr[1] < self.min_cllr[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, each without and with."""
        return {
            "cohort": self.cohort,
            "eer": list(self.eer),
            "min_dcf_0.01": list(self.min_dcf),
            "min_cllr": list(self.min_cllr),
            "eer_gain_bounds_95": pair(self.eer_gain),
            "helps": self.helps,
        }


def as_normed(scored: ScoredTrials, speakers: Indices, number: int, cohort: Cohort) -> AsNormed:
    """Return what the trials come to without AS-Norm and with it.

    Raises
    ------
    CohortRefused
        The cohort cannot judge a side of a trial.
    """
    given = as_normalised(scored, cohort)
    both = scored.scores.astype(np.float64), given.slope * scored.scores + given.offset
    genuine = scored.target
    sides = [
        (Trials(row[genuine], speakers[genuine]), Trials(row[~genuine], speakers[~genuine]))
        for row in both
    ]
    drawn = [drawn_again(same, other, []) for same, other in sides]
    gain = None
    if drawn[0] is not None and drawn[1] is not None:
        without, with_it = (metrics.crossing(one.fmr, one.fnmr) for one in drawn if one)
        gain = metrics.expanded_interval(without - with_it, len(np.unique(speakers)))
    rows = [(np.sort(same.scores), np.sort(other.scores)) for same, other in sides]
    eers = [metrics.equal_error_rate(*row) for row in rows]
    costs = [metrics.min_dcf(*row, p_target=0.01) for row in rows]
    bits = [metrics.min_cllr(*row) for row in rows]
    return AsNormed(number, (eers[0], eers[1]), (costs[0], costs[1]), (bits[0], bits[1]), gain)
