"""``voiceid compare``."""

from __future__ import annotations

from typing import Any

import click

from voiceid.cli.clip_arguments import checked
from voiceid.cli.console import Console
from voiceid.cli.decision_text import tell
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import leaf, refuse_both, solo_option, target_fmr_option, threshold_option


@leaf(
    "compare",
    examples=["voiceid compare a.wav b.mp3", "voiceid compare a.wav b.mp3 --threshold 0.5"],
    audio=True,
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@target_fmr_option
@threshold_option
@solo_option
def command(console: Console, *, first: str, second: str, **how: Any) -> int:
    """Decide whether two clips have the same voice.

    No speaker needs to be enrolled, and nothing is stored.  Exits with 0 for the same voice, 10
    for different voices, and 11 when no decision is possible.
    """
    refuse_both(how)
    a, b = checked([first, second])
    with open_voiceid(console) as vid:
        return tell(vid.compare(a, b, **how), console)
