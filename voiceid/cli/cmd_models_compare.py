"""``voiceid models compare``."""

from __future__ import annotations

import dataclasses

import click

from voiceid.cli.clip_arguments import STDIN, clips
from voiceid.cli.comparison_text import comparison_text
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import leaf


@leaf("compare", examples=["voiceid models compare campplus campplus-int8 recordings/"], audio=True)
@click.argument("a")
@click.argument("b")
@click.argument("audio", metavar="AUDIO...", nargs=-1, required=True)
def command(console: Console, a: str, b: str, audio: tuple[str, ...]) -> None:
    """Show two encoders side by side on the same recordings.

    Shows speed, size, agreement and EER. They hear each file in turn, from the file to the
    embedding, three times; medians count. The vectors of the two are never compared with each
    other, only their scores of all pairs of files. AUDIO is files or folders; the equal error
    rate takes a folder for a speaker.
    """
    if STDIN in audio:
        raise click.UsageError("Standard input (-) can be heard once only; name files.")
    with open_voiceid(console) as vid:
        found = vid.models.compare(a, b, clips(audio, console))
    console.answer(dataclasses.asdict(found), comparison_text(found))
    if found.no_eer:
        console.note(f"no EER: {found.no_eer}; a folder is taken for a speaker")
