"""The system that is evaluated: a model, and the steps from its embeddings to decisions."""

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
    """The parts of the system that is evaluated.

    - `cache`: of the model's own space.
    - `space`: the space of the comparisons: the model's, or an adapted one.
    - `transform`: from the model's space to it.
    - `verifying`, `identifying`: the rules for one speaker, and for all; with the calibration in
      use.
    - `index_loss`: of the index in use; None: it loses no speaker.
    - `countermeasure`: loads the countermeasure of the settings; None if they name none.
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
        """Return the utterance of each recording, in the space of the comparisons."""
        heard = listen(protocol.recordings, self.embedder, self.cache, tell)
        return heard if self.transform is None else adapted(heard, self.transform, self.space)

    def score(self, protocol: Protocol, heard: Sequence[Utterance | Failure]) -> ScoredTrials:
        """Score the trials whose model and probe have embeddings, by the rules of decisions."""
        return score(protocol, heard, self.verifying)
