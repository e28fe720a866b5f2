"""``voiceid identify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from voiceid.cli.clip_arguments import clips
from voiceid.cli.console import Console
from voiceid.cli.decision_text import tell_all
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import (
    COUNT,
    allow_replayed_option,
    audio_arguments,
    leaf,
    margin_option,
    purpose_option,
    refuse_both,
    solo_option,
    target_fpir_option,
    threshold_option,
)

if TYPE_CHECKING:
    from voiceid.verification.calls import IdentifyKeywords


@leaf(
    "identify",
    examples=[
        "voiceid identify door.mp3",
        "voiceid identify recordings/ --json --top 1",
        "voiceid identify door.mp3 --group vault --target-fpir 0.1%",
    ],
    audio=True,
)
@audio_arguments
@click.option("--top", type=COUNT, default=5, show_default=True, help="Candidates to show.")
@target_fpir_option
@threshold_option
@margin_option
@click.option("--group", metavar="GROUP", help="Compare only with speakers of this group.")
@allow_replayed_option
@solo_option
@purpose_option
def command(console: Console, *, audio: tuple[str, ...], **how: Unpack[IdentifyKeywords]) -> int:
    """Decide which enrolled speaker is speaking, if any.

    AUDIO is a file, a folder (the audio files in it and below), a pattern, or - for standard
    input.  Exits with 0 when a speaker is accepted, 10 when the voice is unknown, and 11 when no
    decision is possible: too little speech, two speakers too similar, or several people in the
    clip.  With many clips the worst decides: an error, else 11, else 10; 0 means that all were
    accepted.
    """
    refuse_both(how)
    sources = clips(audio, console)
    with open_voiceid(console) as vid:
        answers = vid.identify_all(sources, **how)
        return tell_all(sources, answers, console)
