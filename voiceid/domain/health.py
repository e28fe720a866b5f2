"""What an examination of an installation found."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from voiceid.domain.values import Value


class Health(enum.StrEnum):
    """How something is."""

    OK = "ok"
    """Nothing needs to be done."""
    WARNING = "warning"
    """It may keep voiceid from its work one day."""
    ERROR = "error"
    """It keeps voiceid from its work."""


@dataclass(frozen=True, slots=True)
class Finding(Value):
    """One thing that was looked at.

    Parameters
    ----------
    subject : str
        E.g. ``database``.
    message : str
        What was found.
    hint : str
        What to do about it; empty when nothing needs to be done.
    """

    subject: str
    health: Health
    message: str
    hint: str = ""
