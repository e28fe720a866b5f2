"""What an examination of an installation found."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class Health(enum.StrEnum):
    """How something is: ``error`` keeps voiceid from its work, ``warning`` may do so one day."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


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
