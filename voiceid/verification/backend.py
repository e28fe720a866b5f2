"""What stands between an embedding and a decision, as the database has it at that moment.

The adaptation in use moves both sides into its own space, and the calibration in use there makes
the threshold.  Each question reads them in the transaction that it is answered in, so that no
answer comes from what was in use before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voiceid.decision.adaptation import StoredAdaptation, adapted_space
from voiceid.decision.rule import DecisionRule
from voiceid.decision.transforms import Transform
from voiceid.domain import Condition, Embedding, EmbeddingSpace
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
    """

    space: EmbeddingSpace
    transform: Transform | None
    rule: DecisionRule

    def moved(self, embedding: Embedding) -> Embedding:
        """Return an embedding of the model's space, or of this one, in this one."""
        if self.transform is None or embedding.space.id == self.space.id:
            return embedding
        return Embedding(self.transform.apply(embedding.vector), self.space)

    def judged(self, score: float, condition: Condition, gallery_size: int = 1) -> Judged:
        """Return a score with its threshold, and its LLR if there is a calibration to tell it.

        Parameters
        ----------
        score : float
            Cosine.
        condition : Condition
        gallery_size : int

        Raises
        ------
        ThresholdUnavailable
        """
        threshold = self.rule.threshold(condition, gallery_size)
        llr = self.rule.llr(score, condition)
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
            return BackEnd(self.space, None, rule)
        reader.require_in_use(self.space.id)
        space, transform = self.space, None
        if (adaptation := reader.adaptation_in_use(space.id)) is not None:
            space, transform = _adapted(space, adaptation), adaptation.transform
            # What was measured of the model alone does not hold in another space.
            rule = replace(rule, model=f"{rule.model}, adapted,", points=())
        return BackEnd(space, transform, rule.with_calibration(reader.calibration_in_use(space.id)))


def _adapted(space: EmbeddingSpace, adaptation: StoredAdaptation) -> EmbeddingSpace:
    found = adapted_space(space, adaptation.transform)
    if found.id != adaptation.adapted_id:
        raise StoreError(
            f"adaptation {adaptation.id} is of {adaptation.adapted_id}, and makes {found.id}",
            hint="Put back a backup, or use none: `voiceid adaptations use none`.",
        )
    return found
