"""``voiceid listen``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Unpack

import click

from voiceid.cli.console import Console
from voiceid.cli.decision_program import DecisionProgram
from voiceid.cli.live_text import event_text
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import (
    SPEAKER_NAME,
    Real,
    leaf,
    margin_option,
    purpose_option,
    refuse_both,
    solo_option,
    target_fmr_option,
    target_fpir_option,
    threshold_option,
)
from voiceid.cli.text import json_line

if TYPE_CHECKING:
    from voiceid.domain import LiveEvent
    from voiceid.verification.calls import ListenKeywords


@leaf(
    "listen",
    short_help="Say who speaks while they speak.",
    examples=[
        "voiceid listen mic",
        "voiceid listen rtsp://intercom/audio --group residents --command ./door",
        "voiceid listen mic --challenge --attempts 'front door' --command ./door",
        "voiceid listen - --format sln16 --json",
    ],
    audio=True,
)
@click.argument("source")
@click.option(
    "--verify",
    "speaker",
    type=SPEAKER_NAME,
    help="Decide of each turn whether it is this speaker's (default: who of the enrolled it is).",
)
@click.option(
    "--attempts",
    "caller",
    metavar="CALLER",
    help="With --verify or --challenge: count turns that fail for a speaker and this caller, and"
    " take no more after a few.",
)
@click.option(
    "--challenge",
    is_flag=True,
    help="Ask who speaks for a code, and accept only who says it in the next turn.",
)
@click.option("--group", metavar="GROUP", help="Ask only the speakers of this group.")
@target_fmr_option
@target_fpir_option
@threshold_option
@margin_option
@click.option(
    "--silence",
    "silence_s",
    type=Real(0.2, 10.0),
    metavar="S",
    help="Seconds without speech after which a turn is over (default: 0.8; with --challenge 1.5).",
)
@click.option(
    "--command",
    "program",
    metavar="PROGRAM",
    help="Run this program on every decision, accepted or not, with its JSON on standard input.",
)
@solo_option
@purpose_option
def command(
    console: Console, *, source: str, program: str | None, **how: Unpack[ListenKeywords]
) -> None:
    """Say who speaks while they speak: each turn is decided as soon as it is certain.

    SOURCE is mic or mic:NAME; an address of rtsp, http, udp or tcp; - for standard input; or a
    file.  What breaks off is opened again.  Each event is a line, or with --json an object.  Exits
    with 0 at the end of a file, here or behind http, or of standard input; else it goes on until it
    is stopped.
    """
    refuse_both(how)
    if how["speaker"] is not None and how["challenge"]:
        raise click.UsageError("--challenge asks who is recognized; --verify names a speaker.")
    if how["caller"] is not None and how["speaker"] is None and not how["challenge"]:
        raise click.UsageError(
            "--attempts counts claims and codes: give --verify NAME, or --challenge, as well."
        )
    with contextlib.ExitStack() as stack:
        vid = stack.enter_context(open_voiceid(console))
        runner = None
        if program is not None:
            runner = stack.enter_context(DecisionProgram(program, console))
        stream = vid.listen(source, **how)
        for event in stack.enter_context(stream):
            _tell(event, console, runner)


def _tell(event: LiveEvent, console: Console, runner: DecisionProgram | None) -> None:
    console.answer(event.to_dict(), *event_text(event))
    if runner is not None and event.kind.value == "decision":
        runner.run(json_line(event.to_dict(), ascii_only=True))
