"""``voiceid challenges``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from voiceid.cli.asked_speech import audio_or_mic, require_one
from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.clip_arguments import clips
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import branch, leaf, name_argument
from voiceid.cli.text import printable
from voiceid.errors import ChangeRefused

if TYPE_CHECKING:  # they load numpy
    from voiceid.audio import AudioSource
    from voiceid.client import VoiceID


@branch("challenges", examples=["voiceid challenges new alice"])
def command() -> None:
    """Create spoken codes: random words that a speaker must say now."""


@leaf(
    "enroll",
    examples=[
        "voiceid challenges enroll alice round1.wav round2.wav round3.wav",
        "voiceid challenges enroll alice --mic",
        'voiceid challenges enroll jana r*.wav --words "nula jedna dva tři čtyři pět šest sedm"',
    ],
    group=command,
    audio=True,
)
@name_argument
@audio_or_mic
@click.option(
    "--rounds",
    type=click.IntRange(3, 10),
    default=5,
    show_default=True,
    help="The number of rounds that --mic asks for.",
)
@click.option(
    "--words",
    metavar="WORDS",
    help="The words in order, with spaces between them (default: zero one two ... nine).",
)
def enroll_command(
    console: Console,
    *,
    name: str,
    audio: tuple[str, ...],
    source: str | None,
    rounds: int,
    words: str | None,
) -> None:
    """Learn how an enrolled speaker says the words of codes.

    Each AUDIO is one round: all words in order, with a short pause after each, by the speaker
    alone.  Give three to ten rounds; five are better than three.  A round with too few pauses, or
    one that does not fit the others, is refused, and then nothing is changed.  --mic asks for each
    round in turn, and again for a round with too few pauses.
    """
    from voiceid.domain.code_words import DIGITS, spoken_words  # noqa: PLC0415 - loads numpy

    require_one(name, audio, source, console)
    sources: Sequence[AudioSource] = clips(audio, console)
    with open_voiceid(console) as vid:
        shown = spoken_words(DIGITS if words is None else words.split())
        if source is not None:
            vid.speakers.get(name)
            vid.warm_up()
            sources = [_round(vid, console, source, shown, at + 1) for at in range(rounds)]
        taught = vid.challenges.enroll(name, sources, words=shown)
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


@leaf("new", examples=["voiceid challenges new alice --length 8 --json"], group=command)
@name_argument
@click.option(
    "--length", type=click.IntRange(4, 8), default=6, show_default=True, help="Words in the code."
)
@click.option("--attempts", "caller", metavar="CALLER", help="The caller, also for `verify`.")
def new_command(console: Console, *, name: str, length: int, caller: str | None) -> None:
    """Create a code and print it: the speaker must say it within 30 seconds.

    `verify NAME AUDIO --challenge ID` judges the answer.  A code can be answered once.
    """
    with open_voiceid(console) as vid:
        code = vid.challenges.new(name, length=length, caller=caller)
    lines = [
        f"say   {' '.join(code.words)}",
        f"id    {code.id}",
        f"until {code.expires_at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    console.answer(code.to_dict(), "\n".join(map(printable, lines)))


@leaf("forget", examples=["voiceid challenges forget alice --yes"], group=command)
@name_argument
@asks_first
def forget_command(console: Console, name: str) -> None:
    """Erase the words of a speaker; the speaker stays enrolled."""
    with open_voiceid(console) as vid:
        question = f"Erase the words of {vid.speakers.get(name).name}? This cannot be undone."
        confirm(console, question)
        vid.challenges.forget(name)
    console.answer({"forgotten": name}, printable(f"forgotten  the words of {name}"))
