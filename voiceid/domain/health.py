"""What an examination of an installation found."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class Health(enum.StrEnum):
    """How something is."""

    OK = "ok"
    """Nothing needs to be done."""
    WARNING = "warning"
    """It may keep voiceid from its work one day."""
    ERROR = "error"
    """It keeps voiceid from its work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    subject : str
        E.g. ``database``.
    health : Health
    message : str
        What was found.
    hint : str
        What to do about it; empty when nothing needs to be done.
    """

    subject: str
    health: Health
    message: str
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "subject": self.subject,
            "health": self.health.value,
            "message": self.message,
            "hint": self.hint,
        }
