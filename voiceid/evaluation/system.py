"""The system that is evaluated: a model, and what stands between its embeddings and decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voiceid.decision.rule import DecisionRule
from voiceid.decision.transforms import Transform
from voiceid.domain import EmbeddingSpace, Utterance
from voiceid.evaluation.cache import EmbeddingCache
from voiceid.evaluation.protocol import Protocol
from voiceid.evaluation.scoring import Failure, ScoredTrials, adapted, listen, score
from voiceid.evaluation.search import IndexLoss
from voiceid.speech.countermeasure import Countermeasure
from voiceid.speech.embedder import Embedder


@dataclass(frozen=True, slots=True)
class System:
    """What is in use, and what could be.

    - `cache`: of the model's own space.
    - `space`: in which embeddings are compared: the model's, or an adapted one.
    - `transform`: from the model's space to it.
    - `verifying`, `identifying`: what decides about one speaker, and among all; with the
      calibration in use.
    - `index_loss`: of the index in use; None: it loses no speaker.
    - `countermeasure`: loads the one that the settings name; None: they name none.
    """

    embedder: Embedder
    cache: EmbeddingCache
    space: EmbeddingSpace
    transform: Transform | None
    verifying: DecisionRule
    identifying: DecisionRule
    index_loss: IndexLoss | None = None
    countermeasure: Callable[[], Countermeasure] | None = None

    def listen(
        self, protocol: Protocol, tell: Callable[[int, int], None]
    ) -> list[Utterance | Failure]:
        """Return what was heard in each recording, in the space in which it is compared."""
        heard = listen(protocol.recordings, self.embedder, self.cache, tell)
        return heard if self.transform is None else adapted(heard, self.transform, self.space)

    def score(self, protocol: Protocol, heard: Sequence[Utterance | Failure]) -> ScoredTrials:
        """Score the trials whose model and probe could be had, as decisions are made."""
        return score(protocol, heard, self.verifying)
