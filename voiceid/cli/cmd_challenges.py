"""``voiceid challenges``."""

from __future__ import annotations

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import branch, leaf, name_argument
from voiceid.cli.text import printable


@branch("challenges", examples=["voiceid challenges new alice"])
def command() -> None:
    """Create spoken codes: random words that a speaker must say now.

    `voiceid enroll NAME --digits` teaches the words.
    """


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
