"""The limits of failed attempts to be accepted, and the failed attempts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from voiceid.domain.details import has_invisible
from voiceid.domain.values import Value
from voiceid.errors import ConfigError

_CALLER_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How many attempts as one speaker, or of one caller, may fail before no more are taken.

    Five in a row at most is what the draft of NIST SP 800-63B-4 (3.2.3) allows.
    """

    max_failures: int = 5
    within_s: float = 900.0  # the seconds in which they are counted, and for which they lock
    caller_max_failures: int | None = None  # for a caller with many speakers; None: as for a name

    @property
    def of_callers(self) -> AttemptLimits:
        """The limits of a caller."""
        return replace(self, max_failures=self.caller_max_failures or self.max_failures)


@dataclass(frozen=True, slots=True)
class FailedAttempts(Value):
    """The attempts as one speaker, or of one caller, that count now.

    Parameters
    ----------
    name : str or None
        The claimed name, enrolled or not; None: these are of a caller.
    caller : str or None
    failures : int
        The number of failed attempts.
    locked_until : datetime or None
        UTC; None: not locked.
    """

    name: str | None
    caller: str | None
    failures: int
    locked_until: datetime | None


def caller_name(text: str) -> str:
    """Return the normal form of a caller's name; raises ConfigError."""
    name = text.strip() if isinstance(text, str) else ""
    if not 1 <= len(name) <= _CALLER_MAX_CHARS or has_invisible(name):
        raise ConfigError(
            f"{text!r:.80} cannot be the name of a caller",
            hint=f"A caller, e.g. a door or a line, has 1 to {_CALLER_MAX_CHARS} visible"
            " characters.",
        )
    return name
