"""``voiceid verify``."""

from __future__ import annotations

import click

from voiceid.cli.console import Console
from voiceid.cli.decisions import tell
from voiceid.cli.options import audio_argument, audio_options, name_argument, threshold_option
from voiceid.cli.session import clips, open_voiceid
from voiceid.cli.tree import Command


@click.command(
    "verify",
    cls=Command,
    short_help="Decide whether a clip is the voice of one speaker.",
    example="voiceid verify alice door.wav",
)
@name_argument
@audio_argument
@threshold_option
@audio_options
@click.pass_obj
def command(console: Console, name: str, audio: str, threshold: float | None) -> int:
    """Decide whether a clip is the voice of one speaker.

    Exits with 0 when it is, 10 when it is not, and 11 when that cannot be told.
    """
    [source] = clips([audio])
    with open_voiceid(console) as vid:
        return tell(vid.verify(name, source, threshold=threshold), console)
