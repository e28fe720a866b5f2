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

    Shows speed, size, agreement and EER. Both process each file in turn, from the file to the
    embedding, three times; medians count. Only their scores of all pairs of files are compared,
    never their vectors. AUDIO is files or folders; for the equal error rate each folder is a
    speaker.
    """
    if STDIN in audio:
        raise click.UsageError("Standard input (-) can be read only once; name files.")
    with open_voiceid(console) as vid:
        comparison = vid.models.compare(a, b, clips(audio, console))
    console.answer(dataclasses.asdict(comparison), comparison_text(comparison))
    if comparison.no_eer:
        console.note(f"no EER: {comparison.no_eer}; each folder is a speaker")
