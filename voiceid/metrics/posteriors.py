"""Calibration: the observed share of genuine trials against the one predicted by the LLRs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voiceid.metrics.costs import bayes_threshold
from voiceid.metrics.scores import Floats, Scores, floats


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Predicted against observed chance of a genuine trial, by bins of the prediction.

    Bins that hold no trial are left out.

    - `low`, `high` (k,) float64, 0 to 1: edges of the bins.
    - `predicted` (k,) float64: mean posterior in the bin.
    - `observed` (k,) float64: share of genuine trials in it; equal to ``predicted`` if the LLRs are
      calibrated.
    - `genuine`, `impostor` (k,) int: trials in it.
    """

    low: Floats
    high: Floats
    predicted: Floats
    observed: Floats
    genuine: npt.NDArray[np.intp]
    impostor: npt.NDArray[np.intp]


def reliability(
    genuine: Scores, impostor: Scores, *, p_target: float = 0.5, bins: int = 10
) -> Reliability:
    """Return the bins of a reliability diagram (calibration plot).

    An LLR and a prior give the posterior ``1 / (1 + exp -(llr + logit p_target))``.  Genuine
    trials together weigh ``p_target``, impostor trials the rest, for any numbers of trials.

    - `genuine`, `impostor` (n,), (m,) float: LLRs.
    - `p_target`: prior of a genuine trial.
    - `bins`: bins of equal width between 0 and 1.
    """
    if bins < 1:
        raise ValueError(f"there cannot be {bins} bins: ask for at least one")
    at = bayes_threshold(p_target)
    same, other = floats(genuine, "genuine"), floats(impostor, "impostor")
    (n_same, sum_same), (n_other, sum_other) = (_binned(side, at, bins) for side in (same, other))
    per_genuine, per_impostor = p_target / same.size, (1.0 - p_target) / other.size
    held = n_same + n_other > 0
    hits = per_genuine * n_same[held]
    mass = hits + per_impostor * n_other[held]
    posterior = per_genuine * sum_same[held] + per_impostor * sum_other[held]
    edges = np.arange(bins + 1) / bins
    return Reliability(
        low=edges[:-1][held],
        high=edges[1:][held],
        predicted=posterior / mass,
        observed=hits / mass,
        genuine=n_same[held],
        impostor=n_other[held],
    )


def _binned(llr: Scores, at: float, bins: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the number of posteriors in each bin, and their sum."""
    posterior = np.exp(-np.logaddexp(0.0, np.subtract(at, llr, dtype=np.float64)))
    places = np.minimum((posterior * bins).astype(np.intp), bins - 1)
    counts = np.bincount(places, minlength=bins)
    return counts, np.asarray(np.bincount(places, weights=posterior, minlength=bins), np.float64)
