"""Recordings that were heard before."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from voiceid.domain.values import Value


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Whether an acceptance needs a recording that was not heard before.

    - `check`: also whether fingerprints of enrolled and accepted recordings are kept.
    - `keep_days`: for acceptances; those of enrolled recordings stay as long as they.
    """

    check: bool = False
    keep_days: int = 90


class HeardAs(enum.StrEnum):
    """The use of a recording that was heard before."""

    ENROLLMENT = "enrollment"
    """It was enrolled."""
    ACCEPTANCE = "acceptance"
    """It was accepted as the speaker."""


@dataclass(frozen=True, slots=True)
class Replay(Value):
    """The clip that a recording is the same as, or has a part in common with.

    Parameters
    ----------
    heard_as : HeardAs
    heard_at : datetime
        UTC.
    """

    heard_as: HeardAs
    heard_at: datetime

    def __str__(self) -> str:
        """Return the use and the time, as a text."""
        how = "enrolled" if self.heard_as is HeardAs.ENROLLMENT else "accepted"
        return f"{how} on {self.heard_at:%Y-%m-%d at %H:%M} UTC"
