"""What live sound is to be answered with; for tests of listening."""

from __future__ import annotations

from voiceid import LiveEvent

RATE = 16_000
NAMES = [("accepted", "alice"), ("accepted", "bob"), ("rejected", None)]
"""Of the fixture ``talk``."""


def answers(events: list[LiveEvent]) -> list[tuple[str, str | None]]:
    decided = [e.decision for e in events if e.kind.value == "decision"]
    return [(d.outcome.value, d.speaker.name if d.accepted else None) for d in decided]
