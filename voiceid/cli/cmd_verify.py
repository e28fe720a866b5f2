"""``voiceid verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from voiceid.cli.clip_arguments import clips
from voiceid.cli.console import Console
from voiceid.cli.decision_text import tell_all
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import (
    allow_replayed_option,
    audio_arguments,
    leaf,
    name_argument,
    purpose_option,
    refuse_both,
    solo_option,
    target_fmr_option,
    threshold_option,
)

if TYPE_CHECKING:
    from voiceid.verification.calls import VerifyKeywords


@leaf(
    "verify",
    examples=[
        "voiceid verify alice door.wav",
        "voiceid verify alice door.wav --target-fmr 1/10000",
        "voiceid verify alice door.wav --group vault",
        'voiceid verify alice door.wav --attempts "front door"',
        "voiceid verify alice answer.wav --challenge 2vTMzFLlyG1XCzxQ6HbOLA",
    ],
    audio=True,
)
@name_argument
@audio_arguments
@target_fmr_option
@threshold_option
@click.option("--group", metavar="GROUP", help="NAME must be in this group; its settings decide.")
@click.option(
    "--attempts",
    "caller",
    metavar="CALLER",
    help="Count failures of NAME and of this caller, e.g. a door, and take no more after a few.",
)
@click.option(
    "--challenge",
    metavar="ID",
    help="The clip must be the code that `challenges new` gave this id, said by NAME alone.",
)
@allow_replayed_option
@solo_option
@purpose_option
def command(
    console: Console,
    *,
    name: str,
    audio: tuple[str, ...],
    caller: str | None,
    **how: Unpack[VerifyKeywords],
) -> int:
    """Decide whether a clip is the voice of one speaker.

    AUDIO is a file, a folder (the audio files in it and below), a pattern, or - for standard
    input.  Exits with 0 when it is, 10 when it is not, and 11 when that cannot be decided.  Of
    many clips the worst decides: an error, else 11, else 10; 0 means that all were accepted.
    """
    refuse_both(how["threshold"], how["target_fmr"], "--target-fmr")
    sources = clips(audio, console)
    if how["challenge"] is not None and len(sources) != 1:
        raise click.UsageError("--challenge takes one clip: a code is answered once.")
    with open_voiceid(console) as vid:
        answers = vid.verify_all(name, sources, caller=caller, **how)
        return tell_all(sources, answers, console)
