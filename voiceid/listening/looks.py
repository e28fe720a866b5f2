"""When to check who is speaking, and when the answer is certain."""

from __future__ import annotations

import math

from voiceid.domain import Decision, Outcome, Reason

FIRST_S, STEP_S, LAST_S = 1.0, 0.5, 10.0
"""Net speech of the first check, between two checks, and of the last before the turn ends."""

_REJECTED_LLR = math.log(0.01)
"""A rejection is certain if the right speaker's speech would score this low in one of a hundred
turns, for any number of checks (A. Wald, Sequential Analysis, 1947, section 3.2)."""

_SCORED = frozenset({Reason.UNKNOWN, Reason.BELOW_THRESHOLD})


def is_due(net_speech_s: float, looked_s: float) -> bool:
    """Whether there is enough new speech since the last check for another one."""
    least_s = FIRST_S if looked_s == 0.0 else looked_s + STEP_S
    return least_s <= net_speech_s <= LAST_S


def is_certain(decision: Decision) -> bool:
    """Whether more speech would not change the answer, except for errors at the target rates."""
    if decision.outcome is Outcome.INCONCLUSIVE:
        return False
    if decision.reason in _SCORED:
        return decision.llr is not None and decision.llr <= _REJECTED_LLR
    return True
