"""``voiceid identify``."""

from __future__ import annotations

import click

from voiceid.cli.console import Console
from voiceid.cli.decision_text import tell_all
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import Rate, Real, audio_arguments, audio_options
from voiceid.cli.sources import clips
from voiceid.cli.tree import Command


@click.command(
    "identify",
    cls=Command,
    short_help="Decide who of the enrolled is speaking, if any.",
    examples=["voiceid identify door.mp3 --top 3"],
)
@audio_arguments
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    metavar="N",
    show_default=True,
    help="Candidates to show.",
)
@click.option(
    "--target-fpir",
    type=Rate(),
    metavar="RATE",
    help="How often a stranger may be taken for anybody of the gallery, whatever its size.",
)
@click.option(
    "--margin",
    type=Real(0.0, 2.0),
    metavar="M",
    help="Least lead over the runner-up, in cosine (default: from the model's card).",
)
@click.option("--group", metavar="GROUP", help="Ask only the speakers of this group.")
@audio_options
@click.pass_obj
def command(
    console: Console,
    audio: tuple[str, ...],
    top: int,
    target_fpir: float | None,
    margin: float | None,
    group: str | None,
) -> int:
    """Decide who of the enrolled is speaking, if any.

    AUDIO is a file, a folder (the audio files in it and below), a pattern, or - for standard
    input.  Exits with 0 when somebody is accepted, 10 when the voice is unknown, and 11 when
    it cannot be told: too little speech, or two speakers too close to each other.  Of many
    clips the worst decides: an error, else 11, else 10; 0 means that all were accepted.
    """
    sources = clips(audio)
    with open_voiceid(console) as vid:
        answers = vid.identify_all(
            sources, top=top, target_fpir=target_fpir, margin=margin, group=group
        )
        return tell_all(sources, answers, console)
