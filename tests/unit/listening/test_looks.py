from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.decision.aims import Target
from voiceid.decision.rule import SEQUENCE_LOOKS, DecisionRule
from voiceid.domain import Condition, Decision, Outcome, Reason
from voiceid.listening import looks
from voiceid.models.cards import load_cards, shipped_cards_folder


def decision(outcome: Outcome, reason: Reason, llr: float | None) -> Decision:
    found = Decision.__new__(Decision)
    for name, value in {"outcome": outcome, "reason": reason, "llr": llr}.items():
        object.__setattr__(found, name, value)
    return found


@given(st.lists(st.floats(0.001, 0.4), min_size=1, max_size=60))
def test_it_is_looked_once_each_half_second_of_new_speech(steps: list[float]) -> None:
    speech_s = looked_s = 0.0
    for step in steps:
        speech_s += step
        due = looks.is_due(speech_s, looked_s)
        enough = speech_s >= (1.0 if looked_s == 0.0 else looked_s + 0.5)
        assert due == (enough and speech_s <= looks.LAST_S)
        if due:
            looked_s = speech_s


@pytest.mark.parametrize(
    ("outcome", "reason", "llr", "certain"),
    [
        (Outcome.ACCEPTED, Reason.MATCH, 1.0, True),
        (Outcome.ACCEPTED, Reason.MATCH, None, True),
        (Outcome.REJECTED, Reason.UNKNOWN, math.log(0.01) - 1e-6, True),
        (Outcome.REJECTED, Reason.UNKNOWN, math.log(0.01) + 1e-6, False),
        (Outcome.REJECTED, Reason.BELOW_THRESHOLD, -9.0, True),
        (Outcome.REJECTED, Reason.BELOW_THRESHOLD, None, False),
        (Outcome.REJECTED, Reason.SPEAKER_EXPIRED, 4.0, True),
        (Outcome.REJECTED, Reason.GALLERY_EMPTY, None, True),
        (Outcome.INCONCLUSIVE, Reason.SEVERAL_VOICES, 9.0, False),
        (Outcome.INCONCLUSIVE, Reason.AMBIGUOUS, 9.0, False),
        (Outcome.INCONCLUSIVE, Reason.NOT_ENOUGH_SPEECH, None, False),
    ],
)
def test_an_answer_is_certain_where_more_speech_would_not_change_it(
    outcome: Outcome, reason: Reason, llr: float | None, certain: bool
) -> None:
    assert looks.is_certain(decision(outcome, reason, llr)) is certain


@given(st.sampled_from([0.03, 0.01, 0.003, 0.001]), st.floats(1.0, 20.0))
def test_a_look_of_a_sequence_is_held_to_a_share_of_the_rate(rate: float, speech_s: float) -> None:
    rule = load_cards(shipped_cards_folder())["campplus"].rule
    one = rule.aimed(Target(rate))
    sequence = DecisionRule(**{n: getattr(one, n) for n in one.__slots__} | {"in_sequence": True})
    stricter = rule.aimed(Target(rate / SEQUENCE_LOOKS))
    condition = Condition(speech_s, None, 20.0, 3, telephone=0.3)
    assert sequence.threshold(condition).value == stricter.threshold(condition).value
    assert sequence.threshold(condition).value > one.threshold(condition).value
    assert np.isclose(sequence.fmr(1) * SEQUENCE_LOOKS, rate)
