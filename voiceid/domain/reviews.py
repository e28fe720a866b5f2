"""The results of a review of the enrolled speakers, of merging and of splitting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voiceid.domain.decisions import Candidate, Threshold
from voiceid.domain.speaker import Sample, Speaker
from voiceid.domain.speech import Float32Array
from voiceid.domain.values import Value, json_of


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two enrolled speakers are.

    Parameters
    ----------
    score : float
        Cosine of their centroids, -1 to 1.
    threshold : Threshold
        From this they count as one voice.
    """

    score: float
    threshold: Threshold

    @property
    def same_voice(self) -> bool:
        """Whether they count as one voice."""
        return self.score >= self.threshold.value

    def to_dict(self) -> dict[str, Any]:
        """Return the fields; the threshold as a number and its source."""
        asked = {"threshold": self.threshold.value, "threshold_source": self.threshold.source}
        return json_of(self, **asked, same_voice=self.same_voice)


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """A speaker's samples against each other, and against all other speakers.

    Parameters
    ----------
    samples : tuple of Sample
        Of the embedding space in use, oldest first.
    scores : (n, n) float32
        Their cosines to each other, in the same order.
    agreements : mapping of int to float
        Cosine of each sample, by id, to the centroid of the others that agree; empty for one sample
        alone.
    outliers : mapping of int to float
        The threshold that each sample that does not fit misses, by id.
    nearest : Candidate or None
        The other speaker whose centroid is nearest.
    likeness : Likeness or None
        How alike these two are.
    """

    speaker: Speaker
    samples: tuple[Sample, ...]
    scores: Float32Array
    agreements: Mapping[int, float]
    outliers: Mapping[int, float]
    nearest: Candidate | None
    likeness: Likeness | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields; the matrix as lists, the scores of a sample with the sample."""
        samples = [
            {
                **sample.to_dict(),
                "agreement": _rounded(self.agreements.get(sample.id)),
                "outlier": sample.id in self.outliers,
                "needed": self.outliers.get(sample.id),
            }
            for sample in self.samples
        ]
        scores = [[round(float(score), 6) for score in row] for row in self.scores]
        return json_of(self, "agreements", "outliers", samples=samples, scores=scores)


@dataclass(frozen=True, slots=True)
class Merge(Value):
    """Two speakers merged into one, or the result of a dry run.

    Parameters
    ----------
    into, other : Speaker
        As they were.
    likeness : Likeness or None
        None when they have no embedding space in common that is in use.
    odd : tuple of int
        Samples of ``other`` that do not agree with those of ``into``, by id.
    merged : Speaker or None
        After the merge; None for a dry run.
    n_repeats : int
        Recordings that both had, of which one was dropped.
    """

    into: Speaker
    other: Speaker
    likeness: Likeness | None
    odd: tuple[int, ...] = ()
    merged: Speaker | None = None
    n_repeats: int = 0


@dataclass(frozen=True, slots=True)
class Split(Value):
    """Samples that were moved to a new speaker, or would be.

    Parameters
    ----------
    speaker, new : Speaker or None
        As they are now; None for a dry run.
    moved : tuple of Sample
        As they were.
    """

    speaker: Speaker | None
    new: Speaker | None
    moved: tuple[Sample, ...]


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
