"""What stands between an embedding and a decision, as the database has it at that moment.

The adaptation in use moves both sides into its own space; the calibration in use there makes
the threshold; and if that calibration was fitted on normalised scores, its cohort says what
line the normalisation is for the comparison at hand.  Each question reads them anew, in the
transaction that it is answered in, so that nobody is answered by what was in use before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from voiceid.decision.adaptation import StoredAdaptation, adapted_space
from voiceid.decision.calibration import AsNorm
from voiceid.decision.normalization import Cohort, linear_map, statistics
from voiceid.decision.rule import DecisionRule
from voiceid.decision.transforms import Transform
from voiceid.domain import Condition, Embedding, EmbeddingSpace, Float32Array
from voiceid.errors import StoreError
from voiceid.verification.answers import Judged

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.reader import Reader


@dataclass(frozen=True, slots=True)
class BackEnd:
    """How the embeddings of one space are compared, and what decides.

    Parameters
    ----------
    space : EmbeddingSpace
        In which they are compared: the model's, or an adapted one.
    transform : Transform or None
        From the model's space to it.
    rule : DecisionRule
        With the calibration in use in that space.
    cohort : Cohort or None
        In that space; None unless the calibration is of normalised scores.
    """

    space: EmbeddingSpace
    transform: Transform | None
    rule: DecisionRule
    cohort: Cohort | None

    def moved(self, embedding: Embedding) -> Embedding:
        """Return an embedding of the model's space, or of this one, in this one."""
        if self.transform is None or embedding.space.id == self.space.id:
            return embedding
        return Embedding(self.transform.apply(embedding.vector), self.space)

    def judged(
        self,
        score: float,
        condition: Condition,
        sides: Callable[[], tuple[Float32Array, Float32Array]],
        gallery_size: int = 1,
    ) -> Judged:
        """Return a score with its threshold, and its LLR if there is a calibration to tell it.

        Parameters
        ----------
        score : float
            Cosine.
        condition : Condition
        sides : callable
            Gives both vectors (dim,), enrolled and asked about; asked for if need be.
        gallery_size : int

        Raises
        ------
        ThresholdUnavailable
        """
        line = (1.0, 0.0)
        if self.cohort is not None:
            enrolled, probe = (statistics(side[None], self.cohort) for side in sides())
            slopes, offsets = linear_map(enrolled, probe)
            line = float(slopes[0]), float(offsets[0])
        threshold = self.rule.threshold(condition, gallery_size, line)
        llr = self.rule.llr(score, condition, line)
        used = None if llr is None or self.rule.calibration is None else self.rule.calibration.id
        return Judged(score, threshold, llr, used)


@dataclass(frozen=True, slots=True)
class BackEnds:
    """Finds the back end in use.  Safe to share among threads.

    Parameters
    ----------
    space : EmbeddingSpace
        The model's.
    """

    space: EmbeddingSpace
    _cohorts: dict[tuple[str, AsNorm], Cohort] = field(default_factory=dict)

    def in_use(self, reader: Reader | None, rule: DecisionRule) -> BackEnd:
        """Return the back end in use, or that of a model alone where there is no database.

        Raises
        ------
        StoreError
            What is in use is damaged, or not there: nobody is accepted.
        SpaceMismatch
            The gallery was switched to another model: nobody is accepted by this one.
        """
        if reader is None:
            return BackEnd(self.space, None, rule, None)
        fits = reader.fits(self.space.id)
        space, transform = self.space, None
        if (adaptation := fits.adaptation) is not None:
            space, transform = _adapted(space, adaptation), adaptation.transform
            # What was measured of the model alone does not hold in another space.
            rule = replace(rule, model=f"{rule.model}, adapted,", points=())
        rule = rule.with_calibration(fits.calibration)
        return BackEnd(space, transform, rule, self._cohort(reader, rule, space, transform))

    def _cohort(
        self,
        reader: Reader,
        rule: DecisionRule,
        space: EmbeddingSpace,
        transform: Transform | None,
    ) -> Cohort | None:
        used = None if rule.calibration is None else rule.calibration.calibration.normalization
        if used is None:
            return None
        key = (space.id, used)
        if key not in self._cohorts:
            vectors = reader.cohorts.vectors(used.cohort, self.space)
            if vectors is None:
                raise StoreError(
                    f"the calibration in use needs cohort {used.cohort}, which is not there",
                    hint="Use another calibration: `voiceid calibrations list`.",
                )
            moved = vectors if transform is None else transform.apply(vectors)
            self._cohorts[key] = Cohort.of(moved, used.top)
        return self._cohorts[key]


def _adapted(space: EmbeddingSpace, adaptation: StoredAdaptation) -> EmbeddingSpace:
    found = adapted_space(space, adaptation.transform)
    if found.id != adaptation.adapted_id:
        raise StoreError(
            f"adaptation {adaptation.id} is of {adaptation.adapted_id}, and makes {found.id}",
            hint="Put back a backup, or use none: `voiceid adaptations use none`.",
        )
    return found
