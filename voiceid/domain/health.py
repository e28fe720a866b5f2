"""The findings of an examination of an installation."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from voiceid.domain.values import Value


class Health(enum.StrEnum):
    """The state of a part."""

    OK = "ok"
    """Nothing needs to be done."""
    WARNING = "warning"
    """It may stop voiceid from working later."""
    ERROR = "error"
    """It stops voiceid from working."""


@dataclass(frozen=True, slots=True)
class Finding(Value):
    """One finding.

    Parameters
    ----------
    subject : str
        E.g. ``database``.
    message : str
        What was found.
    hint : str
        What to do about it; empty if nothing needs to be done.
    """

    subject: str
    health: Health
    message: str
    hint: str = ""
