"""A switch of the model: its record in the database, and its progress."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voiceid.domain.values import json_of


@dataclass(frozen=True, slots=True)
class ModelSwitch:
    """A switch from the embedding space of one model to that of another.

    Parameters
    ----------
    after_sample : int
        Samples with higher ids were made by the switch, or later.
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
    """Return the space in use if the settings name ``space_id``; ``switches``, oldest first."""
    for old, new in switches:
        if old == space_id:
            space_id = new
    return space_id


def joined(space_id: str, changes: Iterable[tuple[str, str]]) -> set[str]:
    """Return the spaces whose samples are of the same recordings as those of ``space_id``."""
    pairs = [set(pair) for pair in changes]
    spaces = {space_id}
    while True:
        more = spaces.union(*(pair for pair in pairs if pair & spaces))
        if more == spaces:
            return spaces
        spaces = more


@dataclass(frozen=True, slots=True)
class SwitchStatus:
    """The progress of a switch of the model.

    Parameters
    ----------
    from_model, to_model : str
        Names of their cards.
    speakers : int
        Enrolled with the old model.
    recordings, prepared, waiting : int
        Of their samples: all, those that the new model has too, and those whose kept audio it
        has not embedded yet.
    partly : tuple of str
        Names of speakers who are switched with fewer samples than before.
    behind : tuple of str
        Names of speakers who must enrol again, because too little of their audio is kept.
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
