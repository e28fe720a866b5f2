"""What is kept under a number: calibrations and adaptations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from voiceid.errors import FitNotFound


class Numbered(Protocol):
    """Anything with a number that is never used again."""

    @property
    def id(self) -> int:
        """Its number."""
        ...


N = TypeVar("N", bound=Numbered)


def numbered(found: Iterable[N], number: int, what: str, listing: str) -> N:
    """Return the one of that number.

    Parameters
    ----------
    found : iterable of Numbered
    number : int
    what : str
        What they are, for the message.
    listing : str
        The command that lists them.

    Raises
    ------
    FitNotFound
    """
    by_number = {one.id: one for one in found}
    if number not in by_number:
        there = ", ".join(map(str, by_number)) or "none"
        raise FitNotFound(
            f"there is no {what} {number}; there is: {there}", hint=f"`{listing}` shows them."
        )
    return by_number[number]
