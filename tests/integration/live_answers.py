"""What live sound is to be answered with; for tests of listening."""

from __future__ import annotations

import numpy as np

from voiceid import LiveEvent

RATE = 16_000
NAMES = [("accepted", "alice"), ("accepted", "bob"), ("rejected", None)]
"""Of the fixture ``talk``."""


def answers(events: list[LiveEvent]) -> list[tuple[str, str | None]]:
    decided = [e.decision for e in events if e.kind.value == "decision"]
    return [(d.outcome.value, d.speaker.name if d.accepted else None) for d in decided]


def in_turns(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return two who alternate every second, without a pause."""
    n = min(len(one), len(other)) // RATE * RATE
    seconds = zip(one[:n].reshape(-1, RATE), other[:n].reshape(-1, RATE), strict=True)
    return np.concatenate([part for both in seconds for part in both])
