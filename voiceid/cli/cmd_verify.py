"""``voiceid verify``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import click

from voiceid.cli.asked_speech import mic_option, require_order
from voiceid.cli.clip_arguments import clips
from voiceid.cli.console import Console
from voiceid.cli.decision_text import tell_all
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import (
    allow_replayed_option,
    leaf,
    name_argument,
    purpose_option,
    refuse_both,
    solo_option,
    target_fmr_option,
    threshold_option,
)

if TYPE_CHECKING:  # they load numpy
    from voiceid.audio import AudioSource
    from voiceid.verification.calls import VerifyKeywords


@leaf(
    "verify",
    examples=[
        "voiceid verify alice door.wav",
        "voiceid verify alice door.wav --target-fmr 1/10000",
        "voiceid verify alice door.wav --group vault",
        'voiceid verify alice door.wav --attempts "front door"',
        "voiceid verify alice answer.wav --challenge 71d5b8b0c9f04c8e9a3f6f2f1f0d7c25",
        "voiceid verify alice --challenge --mic",
    ],
    audio=True,
)
@name_argument
@click.argument("audio", metavar="[AUDIO...]", nargs=-1)
@mic_option
@target_fmr_option
@threshold_option
@click.option("--group", metavar="GROUP", help="NAME must be in this group; its settings apply.")
@click.option(
    "--attempts",
    "caller",
    metavar="CALLER",
    help="Count failures of NAME and of this caller, e.g. a door, and lock both after a few.",
)
@click.option(
    "--challenge",
    is_flag=False,
    flag_value="",
    metavar="[ID]",
    help="The clip must be the code of this ID from `challenges new`, said by NAME alone; with"
    " --mic and no ID, a new code is shown.",
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
    source: str | None,
    **how: Unpack[VerifyKeywords],
) -> int:
    """Decide whether a clip is the voice of one speaker.

    AUDIO is a file, a folder (the audio files in it and below), a pattern, or - for standard
    input; with --mic it is recorded now, until the speaker is silent.  Exits with 0 when it is, 10
    when it is not, and 11 when no decision is possible.  With many clips the worst decides: an
    error, else 11, else 10; 0 means that all were accepted.
    """
    refuse_both(how)
    challenge = how["challenge"]
    if challenge and not audio and source is None:
        raise click.UsageError(
            f"--challenge used {challenge} as the ID of the code, so AUDIO is missing:"
            " also give AUDIO or --mic."
        )
    if (source is None) == (not audio):
        raise click.UsageError("Give NAME and AUDIO, or NAME and --mic to record now.")
    require_order(name, audio, console)
    names = clips(audio, console)
    if source is None and challenge == "":
        raise click.UsageError(
            "--challenge without an ID records the answer: give --mic instead of AUDIO, or the ID"
            " from `voiceid challenges new`."
        )
    if source is None and challenge is not None and len(names) != 1:
        raise click.UsageError("--challenge takes one clip and an ID: a code can be answered once.")
    with open_voiceid(console) as vid:
        recordings: Sequence[AudioSource] = names
        if source is not None:
            vid.speakers.get(name)  # before anything is recorded
            vid.warm_up()

            def ask() -> None:
                text = "Speak now"
                if challenge == "":
                    code = vid.challenges.new(name, caller=caller)
                    how["challenge"], text = code.id, f"{text}: {' '.join(code.words)}"
                console.complain(text)  # also with --quiet

            names, recordings = [source], [vid.challenges.record(source, opened=ask)]
        answers = vid.verify_all(name, recordings, caller=caller, **how)
        return tell_all(names, answers, console)
