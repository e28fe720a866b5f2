"""``voiceid compare``."""

from __future__ import annotations

import click

from voiceid.cli.console import Console
from voiceid.cli.decision_text import tell
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import audio_options, target_fmr_option
from voiceid.cli.sources import checked
from voiceid.cli.tree import Command


@click.command(
    "compare",
    cls=Command,
    short_help="Decide whether two clips are of one voice.",
    examples=["voiceid compare a.wav b.mp3"],
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@target_fmr_option
@audio_options
@click.pass_obj
def command(console: Console, first: str, second: str, target_fmr: float | None) -> int:
    """Decide whether two clips are of one voice.

    Nobody needs to be enrolled, and nothing is stored.  Exits with 0 for one voice, 10
    for two, and 11 when that cannot be told.
    """
    a, b = checked([first, second])
    with open_voiceid(console) as vid:
        return tell(vid.compare(a, b, target_fmr=target_fmr), console)
