"""Detection: FMR and FNMR at a threshold, the DET curve, the EER, the threshold for an FMR."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voiceid.metrics.scores import Floats, Scores, both_in_order, finite, in_order


@dataclass(frozen=True, slots=True, eq=False)
class DetCurve:
    """The detection error trade-off: both error rates at every threshold that matters.

    - `thresholds` (n,) float, ascending: every distinct score, then infinity (none is accepted);
      or those asked for.
    - `fmr`, `fnmr` (n,) float64, 0 to 1: rates when a score of at least the threshold is accepted;
      fmr falls, fnmr rises.
    """

    thresholds: Scores
    fmr: Floats
    fnmr: Floats


def det_curve(genuine: Scores, impostor: Scores) -> DetCurve:
    """Return both error rates at every distinct score and above them all.

    - `genuine`, `impostor` (n,), (m,) float: scores of comparisons of one voice with itself, and of
      two voices.
    """
    return curve(*both_in_order(genuine, impostor))


def curve(same: Scores, other: Scores) -> DetCurve:
    """Return `det_curve` of scores that are in order and of one type."""
    pooled = np.concatenate([same, other])
    pooled.sort(kind="stable")  # merges two ordered runs
    first = np.flatnonzero(np.concatenate([[True], pooled[1:] != pooled[:-1]]))
    at = np.append(pooled[first], pooled.dtype.type(np.inf))
    del pooled
    refused = np.searchsorted(same, at)
    refused_impostors = np.append(first, same.size + other.size) - refused
    fmr = (other.size - refused_impostors) / other.size
    return DetCurve(at, fmr, refused / same.size)


def error_counts(genuine: Scores, impostor: Scores, threshold: float) -> tuple[int, int]:
    """Return (false matches, false non-matches) when scores >= ``threshold`` are accepted."""
    if math.isnan(threshold):
        raise ValueError("the threshold is not a number")
    same, other = finite(genuine, "genuine"), finite(impostor, "impostor")
    return accepted(other, threshold), same.size - accepted(same, threshold)


def accepted(values: Scores, threshold: float) -> int:
    """Count the scores of at least the threshold, which keeps all its digits beside float32."""
    return int(np.count_nonzero(values >= np.float64(threshold)))


def error_rates(genuine: Scores, impostor: Scores, threshold: float) -> tuple[float, float]:
    """Return (FMR, FNMR) when scores of at least ``threshold`` are accepted."""
    false_matches, false_non_matches = error_counts(genuine, impostor, threshold)
    return false_matches / np.size(impostor), false_non_matches / np.size(genuine)


def equal_error_rate(genuine: Scores, impostor: Scores) -> float:
    """Return the rate, 0 to 1, at which FMR and FNMR are equal.

    The rates are steps.  Where they do not meet, the line between the two steps around the
    crossing is followed, as between points of a ROC curve: scores that are all tied give
    one half, and separated scores give exactly zero.
    """
    same, other = both_in_order(genuine, impostor)

    def rates(threshold: float) -> tuple[float, float]:
        refused = np.searchsorted(other, threshold)
        return (other.size - refused) / other.size, np.searchsorted(same, threshold) / same.size

    def crossed(threshold: float) -> bool:
        fmr, fnmr = rates(threshold)
        return fnmr >= fmr

    after = math.inf  # the least score at which FNMR has come up to FMR
    for side in (same, other):
        place = bisect_left(side, 1, key=crossed)
        after = min(after, side[place] if place < side.size else math.inf)
    before = max(
        side[np.searchsorted(side, after) - 1] for side in (same, other) if side[0] < after
    )
    fmr, fnmr = np.transpose([rates(before), rates(after)])
    return float(crossing(fmr, fnmr))


def crossing(fmr: Floats, fnmr: Floats) -> Floats:
    """Return where the lines between points of DET curves (..., n) first meet FMR = FNMR.

    The first point of each has FMR > FNMR, the last has not.
    """
    gap = fnmr - fmr
    after = np.argmax(gap >= 0, axis=-1)[..., None]

    def at(values: Floats, places: npt.NDArray[np.intp]) -> Floats:
        return np.take_along_axis(values, places, axis=-1)[..., 0]

    before = after - 1
    weight = -at(gap, before) / (at(gap, after) - at(gap, before))
    return at(fnmr, before) + weight * (at(fnmr, after) - at(fnmr, before))


def threshold_at_fmr(impostor: Scores, target: float) -> float:
    """Return the smallest threshold whose measured FMR is at most ``target`` (0 to 1).

    It is just above an impostor's score, by one step of the scores' own type, and never
    infinite.
    """
    return above(finite(impostor, "impostor"), target)


def above(values: Scores, target: float) -> float:
    """Return the smallest threshold that accepts at most a share ``target`` of the values."""
    if not 0.0 <= target < 1.0:
        raise ValueError(f"a target rate of {target} is not in [0, 1)")
    allowed = math.floor(target * values.size * (1 + 1e-12))  # 0.1 * 30 is 3, not 2.999...
    highest_refused = in_order(values)[values.size - 1 - allowed]
    return float(np.nextafter(highest_refused, values.dtype.type(np.inf)))
