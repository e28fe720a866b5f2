"""Rounds of the words of codes: ``voiceid enroll --digits`` and ``--words``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from voiceid.cli.asked_speech import mic_option
from voiceid.cli.console import Console
from voiceid.cli.options import gathered
from voiceid.cli.text import printable
from voiceid.errors import ChangeRefused

if TYPE_CHECKING:  # they load numpy
    from voiceid.audio import AudioSource
    from voiceid.client import VoiceID

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class WordRounds:
    """What is said in each round, the English digits if None, and how rounds are recorded."""

    words: str | None
    source: str | None
    count: int | None


def _word_rounds(
    *, digits: bool, words: str | None, source: str | None, rounds: int | None
) -> WordRounds | None:
    if digits and words is not None:
        raise click.UsageError("Give only one of --digits and --words.")
    if digits or words is not None:
        return WordRounds(words, source, rounds)
    if source is not None or rounds is not None:
        raise click.UsageError("--mic and --rounds need --digits or --words.")
    return None


word_rounds_options = gathered(
    "word_rounds",
    _word_rounds,
    click.option(
        "--digits",
        is_flag=True,
        help="Learn how NAME says the digits, for codes. Each AUDIO is a round: zero one two ..."
        " nine, a short pause after each; without AUDIO the rounds are recorded now.",
    ),
    click.option(
        "--words",
        metavar="WORDS",
        help="As --digits, with 4 to 20 other words in any language, in one text.",
    ),
    mic_option,
    click.option(
        "--rounds",
        type=click.IntRange(3, 10),
        help=f"The number of rounds to record (default: {_ROUNDS}).",
    ),
)
"""The options for the words of codes: ``word_rounds``, or None."""


def teach(
    vid: VoiceID,
    name: str,
    rounds: Sequence[AudioSource],
    word_rounds: WordRounds,
    console: Console,
) -> None:
    """Learn how an enrolled speaker says the words, and print what was learned."""
    from voiceid.domain.code_words import DIGITS, spoken_words  # noqa: PLC0415 - loads numpy

    shown = spoken_words(DIGITS if word_rounds.words is None else word_rounds.words.split())
    if not rounds:
        vid.speakers.get(name)  # before anything is recorded
        vid.warm_up()
        source, count = word_rounds.source or "mic", word_rounds.count or _ROUNDS
        rounds = [_round(vid, console, source, shown, at + 1) for at in range(count)]
    taught = vid.challenges.enroll(name, rounds, words=shown)
    text = f"enrolled  {len(taught.words)} words of {taught.speaker}, {taught.rounds} times each"
    console.answer(taught.to_dict(), printable(text))


def _round(
    vid: VoiceID, console: Console, source: str, words: Sequence[str], number: int
) -> AudioSource:
    """Record a round, with at most three tries."""

    def ask() -> None:
        console.complain(f"Round {number}, a short pause after each word: {' '.join(words)}")

    def recorded() -> AudioSource:
        return vid.challenges.record(source, words=words, opened=ask)

    for _ in range(2):
        try:
            return recorded()
        except ChangeRefused as error:
            console.complain(error.message)
    return recorded()
