"""A change of the database that is in progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from voiceid.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction, and the facts of each event that follows its commit."""

    writer: Writer
    events: list[dict[str, Any]] = field(default_factory=list)

    def record(self, **facts: object) -> None:
        """Log and count an event with these facts once the change is on the disk."""
        self.events.append(facts)


Door: TypeAlias = Callable[[str], AbstractContextManager[Change]]
"""A function that begins a change of a kind; see `voiceid.session.Session.change`."""
