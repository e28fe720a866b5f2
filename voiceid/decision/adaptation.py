"""An adaptation of a database."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voiceid.decision.transforms import Transform
from voiceid.domain import EmbeddingSpace

if TYPE_CHECKING:  # loaded by a choice alone
    from voiceid.decision.choice import Choice


def adapted_space(space: EmbeddingSpace, transform: Transform) -> EmbeddingSpace:
    """Return the space of the embeddings of ``space`` after a transform: a new space."""
    return replace(space, adaptation=f"{transform.method} {transform.digest[:16]}")


def gain_of(choice: Choice) -> dict[str, Any]:
    """Return the measurements of a choice on held-out speakers, ready for JSON."""
    return {
        "adopted": choice.adopted,
        "reason": choice.reason,
        "chosen": str(choice.after.candidate),
        "measured": [
            {**asdict(rival), "candidate": str(rival.candidate)}
            for rival in (choice.before, *choice.measured)
        ],
    }


@dataclass(frozen=True, slots=True, eq=False)
class StoredAdaptation:
    """A transform of the embeddings of one space, learned from a site's recordings.

    Parameters
    ----------
    id : int
        Never used again after removal.
    space_id, adapted_id : str
        The embedding space of the model, and the one that the transform makes of it.
    created_at : datetime
        UTC.
    source : str
        What it was learned from, as it was named.
    in_use : bool
        Whether decisions are made in the adapted space.
    measured : mapping
        Results of it and the other candidates on speakers that they were not fitted to.
    """

    id: int
    space_id: str
    adapted_id: str
    created_at: datetime
    source: str
    in_use: bool
    transform: Transform
    measured: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON; the transform by its method and size."""
        transform = self.transform
        return {
            "id": self.id,
            "embedding_space": self.space_id,
            "adapted_space": self.adapted_id,
            "created_at": self.created_at.isoformat(),
            "source": self.source,
            "in_use": self.in_use,
            "method": transform.method,
            "shrinkage": transform.shrinkage,
            "speakers": transform.n_speakers,
            "samples": transform.n_samples,
            "held_out": self.measured,
        }
