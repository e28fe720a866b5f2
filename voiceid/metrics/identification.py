"""Open-set identification: who of a gallery speaks, if any (ISO/IEC 19795-1, NIST IR 8271).

A search is mated when its speaker is enrolled.  FPIR, the false-positive identification rate,
is the share of non-mated searches whose best score reaches the threshold.  FNIR, the
false-negative identification rate, is the share of mated searches whose speaker is not the
best, or does not reach it, or that were refused before there was a score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voiceid.metrics.detection import accepted, curve
from voiceid.metrics.scores import Floats, Scores, Trials, both_in_order, finite


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """The results of the searches of a gallery.  A refused search scores minus infinity.

    - `own` (m,) float: score of each mated search against its own speaker.
    - `rank` (m,) int: place of that speaker among the gallery, 1 the best; ties count against.
    - `best_other` (m,) float: best score of another speaker.
    - `non_mated` (k,) float: best score of each non-mated search.
    - `mated_speakers`, `non_mated_speakers` (m,), (k,) int: who speaks.
    """

    own: Scores
    rank: npt.NDArray[np.integer]
    best_other: Scores
    non_mated: Scores
    mated_speakers: npt.NDArray[np.integer]
    non_mated_speakers: npt.NDArray[np.integer]

    @property
    def found(self) -> Scores:
        """(m,) score of one's own speaker where they are the best; elsewhere minus infinity."""
        return np.where(self.rank == 1, self.own, self.own.dtype.type(-np.inf))

    @property
    def trials(self) -> tuple[Trials, Trials]:
        """Mated and non-mated searches for `resample_speakers`: FNMR is FNIR, FMR is FPIR."""
        mated, non_mated = (
            Trials(scores, np.stack([speakers, speakers], axis=1))
            for scores, speakers in (
                (self.found, self.mated_speakers),
                (self.non_mated, self.non_mated_speakers),
            )
        )
        return mated, non_mated


@dataclass(frozen=True, slots=True, eq=False)
class IdentificationCurve:
    """Both identification error rates at every threshold that matters.

    - `thresholds` (n,) float, ascending.
    - `fpir`, `fnir` (n,) float64, 0 to 1: FPIR falls, FNIR rises.
    """

    thresholds: Scores
    fpir: Floats
    fnir: Floats


@dataclass(frozen=True, slots=True)
class IdentificationCounts:
    """Errors of identification at a threshold.

    - `false_positives`: non-mated searches that named a speaker: of ``non_mated``.
    - `false_negatives`: mated searches that did not name their speaker: of ``mated``.
    - `wrong_names`: the mated searches among them that named another speaker.
    - `mated`, `non_mated`: searches.
    """

    false_positives: int
    false_negatives: int
    wrong_names: int
    mated: int
    non_mated: int


def rank_of_own(scores: Scores, own: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Return the rank (m,), 1 the best, of column ``own`` in (m, n) scores; ties count against."""
    of_own = np.take_along_axis(scores, own[:, None], axis=1)
    return np.asarray(np.count_nonzero(scores >= of_own, axis=1))


def identification_counts(searches: Searches, threshold: float) -> IdentificationCounts:
    """Count the errors when the best of the gallery is named if it reaches the threshold."""
    if not threshold > -math.inf:  # no threshold accepts a refusal
        raise ValueError(f"{threshold} is not a threshold")
    mated = finite(searches.found, "mated", refused=True)
    non_mated = finite(searches.non_mated, "non-mated", refused=True)
    others = searches.best_other[searches.rank > 1]
    return IdentificationCounts(
        false_positives=accepted(non_mated, threshold),
        false_negatives=mated.size - accepted(mated, threshold),
        wrong_names=accepted(others, threshold),
        mated=mated.size,
        non_mated=non_mated.size,
    )


def identification_curve(searches: Searches) -> IdentificationCurve:
    """Return FPIR and FNIR at every distinct score and above them all."""
    whole = curve(*both_in_order(searches.found, searches.non_mated, refused=True))
    keep = whole.thresholds > -np.inf
    return IdentificationCurve(whole.thresholds[keep], whole.fmr[keep], whole.fnmr[keep])


def fmr_for_fpir(fpir: float, size: int) -> float:
    """Return the FMR that a gallery of ``size`` needs for an FPIR of ``1 - (1 - FMR) ** size``.

    The formula (Wayman, Error rate equations for the general biometric system, IEEE Robotics &
    Automation Magazine 6, 1999) holds for comparisons that err independently.  Those of one
    search do not: the speaker is the same, so that some searches collect several errors and
    others none, and the measured FPIR is lower.
    """
    if not 0.0 <= fpir <= 1.0 or size < 1:
        raise ValueError(f"a rate of {fpir} in a gallery of {size} cannot be")
    return 1.0 if fpir == 1.0 else -math.expm1(math.log1p(-fpir) / size)
