"""``voiceid listen``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Unpack

import click

from voiceid.cli.console import Console
from voiceid.cli.decision_program import DecisionProgram
from voiceid.cli.decision_text import warning_text, who
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
from voiceid.cli.text import json_line, printable, seconds

if TYPE_CHECKING:
    from voiceid.domain import Decision, LiveEvent
    from voiceid.verification.calls import ListenKeywords


@leaf(
    "listen",
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
    help="Decide for each turn whether it is this speaker (default: which enrolled speaker).",
)
@click.option(
    "--attempts",
    "caller",
    metavar="CALLER",
    help="With --verify or --challenge: count failed turns of a speaker and of this caller, and"
    " lock both after a few.",
)
@click.option(
    "--challenge",
    is_flag=True,
    help="Ask the recognized speaker for a code, and accept only if the next turn says it.",
)
@click.option("--group", metavar="GROUP", help="Compare only with speakers of this group.")
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
    """Identify live speech: each turn is decided as soon as the decision is certain.

    SOURCE is mic or mic:NAME; an rtsp, http, udp or tcp address; - for standard input; or a file.
    An interrupted source is opened again.  Each event is a line, or with --json an object.  Exits
    with 0 at the end of a file (local or over http) or of standard input; otherwise it runs until
    it is stopped.
    """
    refuse_both(how)
    if how["speaker"] is not None and how["challenge"]:
        raise click.UsageError("Give only one of --challenge (for all speakers) and --verify.")
    if how["caller"] is not None and how["speaker"] is None and not how["challenge"]:
        raise click.UsageError(
            "--attempts counts failed claims and codes: also give --verify NAME or --challenge."
        )
    with contextlib.ExitStack() as stack:
        vid = stack.enter_context(open_voiceid(console))
        runner = None
        if program is not None:
            runner = stack.enter_context(DecisionProgram(program, console))
        stream = vid.listen(source, **how)
        warned = frozenset[str]()
        for event in stack.enter_context(stream):
            console.answer(event.to_dict(), *_event_text(event))
            warned = _warned(event, warned, console)
            if runner is not None and event.kind.value == "decision":
                runner.run(json_line(event.to_dict(), ascii_only=True))


def _warned(event: LiveEvent, warned: frozenset[str], console: Console) -> frozenset[str]:
    """Warn about problems of the sound that the last decision did not have; return the present."""
    quality = None if event.decision is None else event.decision.quality
    if quality is None or console.settings.as_json:
        return warned
    for code in quality.warnings:
        if code not in warned:
            console.warn(warning_text(code, quality))
    return frozenset(quality.warnings)


def _event_text(event: LiveEvent) -> tuple[str, str, int]:
    """Return the line of an event, its coloured word, and the position of that word."""
    start = f"{event.at_s:9.2f}  "
    if event.turn is None:
        return printable(f"{start}{event.detail}"), "", 0
    turn = f"turn {event.turn}"
    decision = event.decision
    match event.kind.value:
        case "speech_started":
            return f"{start}{turn} starts", "", 0
        case "challenge" if event.challenge is not None:
            code = event.challenge
            text = f"{start}{turn}  challenge  {code.speaker}, say: {' '.join(code.words)}"
            return printable(text), "", 0
        case "decision" if decision is not None:
            head = f"{start}{turn}  "
            text = f"{head}{decision.outcome.value}  {_facts(event, decision)}"
            return printable(text), decision.outcome.value, len(head)
        case "speech_ended":
            length_s = (event.end_s or 0.0) - (event.start_s or 0.0)
            return printable(f"{start}{turn} ends after {seconds(length_s)}: {event.detail}"), "", 0
    end = event.detail
    if decision is not None:
        end = f"{decision.outcome.value}  {who(decision)}"
    return printable(f"{start}{turn}: {end}"), "", 0


def _facts(event: LiveEvent, decision: Decision) -> str:
    """Return the speaker, the reason, and the time that it took."""
    took = f"after {seconds(event.since_start_s or 0.0)}"
    late = "" if event.delay_ms is None else f", {event.delay_ms:.0f} ms behind"
    name = who(decision)
    why = decision.detail if decision.parts else decision.detail.partition(";")[0]
    return f"{name}  {why.removeprefix(f'{name}: ')}  {took}{late}"
