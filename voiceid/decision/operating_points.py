"""Thresholds measured for a model, which keep a false match rate in every condition.  Pure.

Strangers reach higher cosines with more speech, and when both sides came over a telephone.  A point
holds for clips from some net speech on, with one threshold for a telephone on both sides and one
for all else; between the two, and between two rates, thresholds are interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voiceid.decision.calibration import Conditions, Floats


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold measured for a model, for clips of at least so much net speech.

    Parameters
    ----------
    target_fmr : float
        False match rate that it was chosen for, 0 to 1.
    min_net_speech_s : float
        The point holds from this net speech on, up to the next point of its rate.
    threshold, telephone_threshold : float
        Cosine from which a clip is accepted; and where both sides came over a telephone.
    fmr, fnmr : float
        False match and false non-match rate measured there, 0 to 1 (ISO/IEC 19795-1), over
        ``impostor_trials`` and ``genuine_trials`` comparisons of all conditions.
    """

    target_fmr: float
    min_net_speech_s: float
    threshold: float
    telephone_threshold: float
    fmr: float
    fnmr: float
    impostor_trials: int
    genuine_trials: int


def thresholds_at(points: Sequence[OperatingPoint], fmr: float, given: Conditions) -> Floats:
    """Return the cosine (n,) that keeps a false match rate, NaN where that was not measured.

    Between two rates it is interpolated in their logarithm; at a rate above the loosest it is the
    loosest's.
    """
    needed = np.full_like(given.net_speech_s, math.nan, dtype=np.float64)
    for least_s in sorted({point.min_net_speech_s for point in points}):
        own = sorted(
            (point for point in points if point.min_net_speech_s == least_s),
            key=lambda point: point.target_fmr,
        )
        wideband, telephone = _interpolated(own, fmr)
        cosines = wideband + given.telephone * (telephone - wideband)
        needed = np.where(given.net_speech_s >= least_s, cosines, needed)
    return needed


def _interpolated(points: Sequence[OperatingPoint], fmr: float) -> tuple[float, float]:
    """Return both thresholds at a rate, of the points of one amount of speech, strictest first."""
    if fmr < points[0].target_fmr * (1.0 - 1e-9):  # forgiven the rounding of its arithmetic
        return math.nan, math.nan
    rates = np.log([point.target_fmr for point in points])
    pairs = np.array([(point.threshold, point.telephone_threshold) for point in points])
    wideband, telephone = (float(np.interp(math.log(fmr), rates, side)) for side in pairs.T)
    return wideband, telephone
