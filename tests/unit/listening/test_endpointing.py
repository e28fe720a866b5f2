from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceid.listening.endpointing import Endpointer

frames = st.lists(st.booleans(), max_size=120)


def spoken(flags: list[bool], silence: int) -> list[bool]:
    endpoints, found = Endpointer(silence), []
    for flag in flags:
        endpoints.push(flag)
        found.append(endpoints.is_speaking)
    return found


def by_the_rule(flags: list[bool], silence: int) -> list[bool]:
    """The same, written as the definition: three of five begin, so many silent ones end."""
    found: list[bool] = []
    began = 0  # where what is looked at begins: after the last turn
    for at in range(len(flags)):
        if found and found[-1]:
            recent = flags[max(0, at + 1 - silence) : at + 1]
            goes_on = any(recent) or len(recent) < silence
            began = began if goes_on else at + 1
            found.append(goes_on)
        else:
            found.append(sum(flags[max(began, at - 4) : at + 1]) >= 3)
    return found


@given(frames, st.integers(1, 30))
def test_a_turn_begins_with_three_of_five_frames_and_ends_after_silence(
    flags: list[bool], silence: int
) -> None:
    assert spoken(flags, silence) == by_the_rule(flags, silence)


def test_a_click_is_no_turn() -> None:
    assert not any(spoken([True, True, False, False, False] * 20, 10))


def test_after_a_reset_nothing_is_remembered() -> None:
    endpoints = Endpointer(5)
    for is_speech in [True] * 4:
        endpoints.push(is_speech)
    assert endpoints.is_speaking
    endpoints.reset()
    for is_speech in [True] * 2:
        endpoints.push(is_speech)
    assert not endpoints.is_speaking
