"""One evaluation, from a protocol to what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from voiceid.domain import EmbeddingSpace
from voiceid.embedder import Embedder
from voiceid.errors import TrialsInvalid
from voiceid.evaluation.cache import EmbeddingCache
from voiceid.evaluation.protocol import Indices, Protocol
from voiceid.evaluation.report import (
    Acquisition,
    Errors,
    Identified,
    acquisition,
    errors,
    sliced,
    speakers_of,
)
from voiceid.evaluation.scoring import ScoredTrials, listen, score
from voiceid.evaluation.search import identified
from voiceid.scoring import DecisionRule

VERSION = 1
"""Of the form of ``report.json``."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What was found in one run over recordings whose speakers are known.

    Parameters
    ----------
    protocol : Protocol
    space : EmbeddingSpace
    made_at : datetime
    acquisition : Acquisition
    overall : Errors
    slices : tuple of (attribute, label, Errors)
    identification : Identified or None
        None when the models are no gallery, or everybody or nobody is enrolled.
    scored : ScoredTrials
    speakers : (n, 2) int64
        Numbers of the speakers of both sides of each scored trial.
    """

    protocol: Protocol
    space: EmbeddingSpace
    made_at: datetime
    acquisition: Acquisition
    overall: Errors
    slices: tuple[tuple[str, str, Errors], ...]
    identification: Identified | None
    scored: ScoredTrials
    speakers: Indices

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON of an evaluation."""
        protocol = self.protocol
        return {
            "format": "voiceid-evaluation",
            "version": VERSION,
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "embedding_space": self.space.to_dict(),
            "recordings": len(protocol.recordings),
            "speakers": protocol.n_speakers,
            "models": len(protocol.models),
            "trials": len(protocol.trials),
            "scored_trials": len(self.scored.scores),
            "acquisition": self.acquisition.to_dict(),
            "verification": self.overall.to_dict(),
            "slices": [
                {"attribute": attribute, "label": label, **found.to_dict()}
                for attribute, label, found in self.slices
            ],
            "identification": (
                None if self.identification is None else self.identification.to_dict()
            ),
        }


def evaluate(
    protocol: Protocol,
    embedder: Embedder,
    cache: EmbeddingCache,
    rule: DecisionRule,
    tell: Callable[[int, int], None],
) -> Evaluation:
    """Hear the recordings of a protocol, score its trials, and count the errors.

    Parameters
    ----------
    protocol : Protocol
    embedder : Embedder
    cache : EmbeddingCache
    rule : DecisionRule
        Which decides at "the shipped thresholds".
    tell : callable
        Is told how many recordings are heard, of how many.

    Raises
    ------
    TrialsInvalid
        Nothing is left to compare: too many recordings gave no embedding.
    ModelError, ConfigError
    """
    heard = listen(protocol.recordings, embedder, cache, tell)
    missing = acquisition(protocol, heard)
    scored = score(protocol, heard, rule)
    speakers = speakers_of(protocol, scored.trials)
    overall = errors(scored, speakers)
    if overall is None:
        reasons = ", ".join(f"{n} {code}" for code, n in missing.reasons.items()) or "none"
        raise TrialsInvalid(
            "no trial of one speaker, or none of two, is left: recordings without an embedding:"
            f" {reasons}",
            hint="Check the paths, and that the recordings hold more than a second of speech.",
        )
    return Evaluation(
        protocol=protocol,
        space=embedder.space,
        made_at=datetime.now(UTC),
        acquisition=missing,
        overall=overall,
        slices=tuple(sliced(scored, protocol, speakers)),
        identification=identified(scored, speakers, rule.margin) if protocol.gallery else None,
        scored=scored,
        speakers=speakers,
    )
