"""Thresholds measured for a model that keep a false match rate in every condition.  Pure.

Strangers reach higher cosines with more speech, and when both sides came over a telephone.  A point
holds for clips from some net speech on, with one threshold for a telephone on both sides and one
for other lines; between the two, and between two rates, thresholds are interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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


FEW_REFUSED = 0.01
"""FNMR below which a clip has enough speech."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """The speech that a clip lacks so that few right people are refused.

    Parameters
    ----------
    more_speech_s : float
        Net speech in seconds, above 0.
    fnmr : float or None
        False non-match rate that was measured with as little speech, 0 to 1; None: none was.
    fnmr_then : float
        False non-match rate with that much more.
    """

    more_speech_s: float
    fnmr: float | None
    fnmr_then: float


def thresholds_at(points: Sequence[OperatingPoint], fmr: float, conditions: Conditions) -> Floats:
    """Return the cosine (n,) that keeps a false match rate, NaN where that was not measured.

    Between two rates it is interpolated in their logarithm; above the highest rate it is that of
    the highest.
    """
    needed = np.full_like(conditions.net_speech_s, math.nan, dtype=np.float64)
    for least_s, (wideband, telephone, _) in _steps(points, fmr):
        cosines = wideband + conditions.telephone * (telephone - wideband)
        needed = np.where(conditions.net_speech_s >= least_s, cosines, needed)
    return needed


def shortage(
    points: Sequence[OperatingPoint], fmr: float, net_speech_s: float, score: float = math.inf
) -> Shortage | None:
    """Return the speech that a clip lacks at a false match rate; None: none, or not measured.

    A clip has enough speech from the point where an FNMR of `FEW_REFUSED` was measured; without
    such a point, from that of the lowest FNMR.  A score that the highest rate refuses too, while it
    refuses at most `FEW_REFUSED` of right people, is a stranger's: no speech is missing.
    """
    loosest = [row for step_s, row in _steps(points, 1.0) if step_s <= net_speech_s][-1:]
    if any(score < threshold and fnmr <= FEW_REFUSED for threshold, _, fnmr in loosest):
        return None
    measured = [(step_s, fnmr) for step_s, (*_, fnmr) in _steps(points, fmr) if math.isfinite(fnmr)]
    if not measured:
        return None
    few = [step for step in measured if step[1] <= FEW_REFUSED]
    enough_s, least = few[0] if few else min(measured, key=lambda step: step[1])
    if net_speech_s >= enough_s:
        return None
    here = [fnmr for step_s, fnmr in measured if step_s <= net_speech_s]
    return Shortage(enough_s - net_speech_s, here[-1] if here else None, least)


def _steps(points: Sequence[OperatingPoint], fmr: float) -> Iterator[tuple[float, Floats]]:
    """Yield, by rising net speech, both thresholds and the FNMR (3,) at a rate; NaN: no point."""
    for least_s in sorted({point.min_net_speech_s for point in points}):
        own = [point for point in points if point.min_net_speech_s == least_s]
        own.sort(key=lambda point: point.target_fmr)
        if fmr < own[0].target_fmr * (1.0 - 1e-9):  # forgiven the rounding of its arithmetic
            yield least_s, np.full(3, math.nan)
            continue
        rates = np.log([point.target_fmr for point in own])
        columns = np.array([(p.threshold, p.telephone_threshold, p.fnmr) for p in own]).T
        yield least_s, np.array([np.interp(math.log(fmr), rates, column) for column in columns])
