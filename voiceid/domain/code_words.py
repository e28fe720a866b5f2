"""Spoken codes: the words that a speaker recorded, and the code to be said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from voiceid.domain.details import has_invisible
from voiceid.domain.values import Value
from voiceid.errors import ConfigError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""The default words of a code."""
CODE_LENGTHS = (4, 8)
"""The fewest and the most words of a code."""
CHALLENGE_S = 30.0
"""Seconds for which a code is valid."""
MIN_WORDS, MAX_WORDS = 4, 20
MIN_ROUNDS, MAX_ROUNDS = 3, 10
_WORD_MAX_CHARS = 40


@dataclass(frozen=True, slots=True)
class SpokenWords(Value):
    """The words for the codes of a speaker.

    Parameters
    ----------
    speaker : str
        The name.
    words : tuple of str
        In the order in which they were said.
    rounds : int
        The number of recordings of each.
    """

    speaker: str
    words: tuple[str, ...]
    rounds: int


@dataclass(frozen=True, slots=True)
class Challenge(Value):
    """A code to be said, once, by one speaker.

    Parameters
    ----------
    id : str
        To be given with the answer.
    speaker : str
        The name that is claimed.
    words : tuple of str
        The code: show them, or read them out.
    expires_at : datetime
        UTC; an answer that comes later is rejected.
    """

    id: str
    speaker: str
    words: tuple[str, ...]
    expires_at: datetime


def spoken_words(words: Sequence[str]) -> tuple[str, ...]:
    """Return words for codes; raises ConfigError if they are not usable."""
    said = tuple(" ".join(word.split()) for word in words)
    if not MIN_WORDS <= len(said) <= MAX_WORDS or len(set(map(str.casefold, said))) < len(said):
        raise ConfigError(
            f"codes cannot be made of these words: {', '.join(said)[:80]}",
            hint=f"Name {MIN_WORDS} to {MAX_WORDS} different ones, e.g. the ten digits.",
        )
    for word in said:
        if not 1 <= len(word) <= _WORD_MAX_CHARS or has_invisible(word):
            raise ConfigError(
                f"{word!r:.60} cannot be a word of a code",
                hint=f"A word has 1 to {_WORD_MAX_CHARS} visible characters.",
            )
    return said
