"""A change of the model: what there is in the database of it, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voiceid.domain.values import json_of


@dataclass(frozen=True, slots=True)
class ModelSwitch:
    """A change from the embedding space of one model to that of another.

    Parameters
    ----------
    after_sample : int
        Samples of higher ids were made by the change, or later.
    started_at : datetime
        UTC.
    switched_at : datetime or None
        UTC; None while it is being prepared.
    """

    id: int
    from_space: str
    to_space: str
    after_sample: int
    started_at: datetime
    switched_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """Return the spaces and the times, in ISO 8601."""
        return json_of(self, "id", "after_sample")


def space_in_use(space_id: str, switches: Iterable[tuple[str, str]]) -> str:
    """Return the space used where the settings name ``space_id``; switches, oldest first."""
    for old, new in switches:
        if old == space_id:
            space_id = new
    return space_id


def joined(space_id: str, changes: Iterable[tuple[str, str]]) -> set[str]:
    """Return the spaces whose samples are of the same recordings as those of ``space_id``."""
    pairs = [set(pair) for pair in changes]
    found = {space_id}
    while True:
        more = found.union(*(pair for pair in pairs if pair & found))
        if more == found:
            return found
        found = more


@dataclass(frozen=True, slots=True)
class SwitchStatus:
    """How far a change of the model is.

    Parameters
    ----------
    from_model, to_model : str
        Names of their cards.
    speakers : int
        Enrolled with the old model.
    recordings, prepared, waiting : int
        Of their samples: all, those that the new model has too, and those whose kept audio it has
        not heard yet.
    partly : tuple of str
        Names of speakers who come over with fewer samples than they had.
    behind : tuple of str
        Names of speakers who must enrol again: too little audio of them is kept.
    unusable : tuple of str
        Kept recordings that gave the new model nothing just now, and why; not among ``waiting``.
    """

    change: ModelSwitch
    from_model: str
    to_model: str
    speakers: int
    recordings: int
    prepared: int
    waiting: int
    partly: tuple[str, ...]
    behind: tuple[str, ...]
    unusable: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """``preparing``, ``ready`` to be switched, or ``switched``."""
        if self.change.switched_at is not None:
            return "switched"
        return "preparing" if self.waiting else "ready"

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        return {"state": self.state, **self.change.to_dict(), **json_of(self, "change")}
