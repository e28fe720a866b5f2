"""Adaptive symmetric normalisation of scores by a cohort of strangers.  Pure.

AS-Norm judges a comparison by how its two sides score against the voices of a cohort that are
most like each: the score less their mean, in units of their standard deviation, averaged over
both sides (Matějka et al., Analysis of score normalization in multilingual speaker recognition,
Interspeech 2017, there "AS-Norm1"; Cumani et al., Comparison of speaker recognition approaches
for real applications, Interspeech 2011).

For one comparison that is a straight line in its cosine, ``slope * cosine + offset`` with a
positive slope.  So a threshold for normalised scores is a threshold for the raw cosine of that
comparison, which `voiceid.decision.calibration` finds, and a normalised score never meets a
threshold of cosines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array

Floats: TypeAlias = npt.NDArray[np.float64]

MIN_MEMBERS: Final = 50
"""The standard deviation of fewer normal numbers is off by a tenth and more."""

TOP: Final = 200
"""Members that judge a side, if there are as many."""

_MIN_DEVIATION: Final = 1e-6
"""Of cosines of float32 vectors: below it they are one."""

_ROWS: Final = 1024
"""Vectors that are compared with the cohort at a time."""


class CohortRefused(ValueError):
    """A cohort that is too small or too uniform to normalise by."""


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Voices of strangers.

    Parameters
    ----------
    vectors : (m, dim) float32
        Unit length, no two alike; best one for each stranger, of speech like the site's.
    top : int
        How many of them judge a side.

    Raises
    ------
    CohortRefused
        ``top`` is below `MIN_MEMBERS`, or there are not as many members.
    """

    vectors: Float32Array
    top: int

    def __post_init__(self) -> None:
        if not MIN_MEMBERS <= self.top <= len(self.vectors):
            raise CohortRefused(
                f"the nearest {self.top} of a cohort of {len(self.vectors)} cannot be had:"
                f" at least {MIN_MEMBERS} voices of different strangers are needed"
            )

    @classmethod
    def of(cls, vectors: Float32Array, top: int = TOP) -> Cohort:
        """Return the cohort of (k, dim) vectors: in order, the copies of one but once.

        All of them judge a side if they are fewer than ``top``.
        """
        voices = unit(vectors)
        first = np.sort(np.unique(voices, axis=0, return_index=True)[1])
        return cls(voices[first], min(top, len(first)))


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Mean and standard deviation (n,) float64 of the cosines of the nearest of a cohort."""

    means: Floats
    deviations: Floats

    def of(self, places: npt.NDArray[np.integer] | int) -> Statistics:
        """Return those at some places, in any shape."""
        return Statistics(np.asarray(self.means[places]), np.asarray(self.deviations[places]))


def statistics(
    vectors: Float32Array, cohort: Cohort, own: npt.NDArray[np.bool_] | None = None
) -> Statistics:
    """Return what the members of a cohort that are most like each vector score.

    Parameters
    ----------
    vectors : (n, dim) float32
        Unit length.
    cohort : Cohort
    own : (n, m) bool, optional
        Which members are of the vector's own speaker: they are left out, for they are no
        strangers.  One that is left in raises the mean and the deviation, so that its
        speaker's genuine scores fall.

    Raises
    ------
    CohortRefused
        Of the strangers there are fewer than ``cohort.top``, or all of them score the same.
    """
    means, deviations = np.empty(len(vectors)), np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS):
        rows = slice(start, start + _ROWS)
        scores = vectors[rows].astype(np.float64) @ cohort.vectors.T.astype(np.float64)
        if own is not None:
            scores[own[rows]] = -np.inf
        nearest = np.partition(scores, -cohort.top, axis=1)[:, -cohort.top :]
        if np.isneginf(nearest).any():
            raise CohortRefused(f"without a speaker's own there are fewer than {cohort.top} voices")
        means[rows], deviations[rows] = np.mean(nearest, axis=1), np.std(nearest, axis=1)
    if np.any(deviations < _MIN_DEVIATION):
        raise CohortRefused("the nearest voices of the cohort all score the same")
    return Statistics(means, deviations)


def linear_map(enrolled: Statistics, probe: Statistics) -> tuple[Floats, Floats]:
    """Return (slopes, offsets): ``slope * cosine + offset`` is the normalised score.

    The slope is always positive.  Shapes are broadcast as NumPy does.
    """
    slopes = (1.0 / enrolled.deviations + 1.0 / probe.deviations) / 2.0
    offsets = enrolled.means / enrolled.deviations + probe.means / probe.deviations
    return slopes, -offsets / 2.0
