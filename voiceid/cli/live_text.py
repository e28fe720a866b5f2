"""The text of what happens live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.cli.decision_text import who
from voiceid.cli.text import printable, seconds

if TYPE_CHECKING:
    from voiceid.domain import Decision, LiveEvent


def event_text(event: LiveEvent) -> tuple[str, str, int]:
    """Return the line of an event, the word in it that has a colour, and where that stands."""
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
    return printable(f"{start}{turn}: {_summary(decision, event.detail)}"), "", 0


def _facts(event: LiveEvent, decision: Decision) -> str:
    """Return who it is, by what, and how long it took."""
    took = f"after {seconds(event.since_start_s or 0.0)}"
    late = "" if event.delay_ms is None else f", {event.delay_ms:.0f} ms behind"
    name = who(decision)
    why = decision.detail if decision.parts else decision.detail.partition(";")[0]
    return f"{name}  {why.removeprefix(f'{name}: ')}  {took}{late}"


def _summary(decision: Decision | None, detail: str) -> str:
    return detail if decision is None else f"{decision.outcome.value}  {who(decision)}"
