"""What a decision aims at: rates and cosines that can be asked for, and whose wish wins."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.decision.aims import Aim, SetThreshold, Target, first_wish, rate_of, threshold_by_hand
from voiceid.errors import ConfigError

RATES = st.floats(1e-6, 0.5)
COSINES = st.floats(0.1, 1.0)
STEPS = st.dictionaries(st.floats(0.0, 60.0), COSINES, min_size=1, max_size=5)
SPEECH = st.one_of(st.floats(0.0, 100.0), st.just(math.nan))


def aims() -> st.SearchStrategy[Aim]:
    """Every wish that one level can have: nothing, rates or a cosine, and perhaps a margin."""
    maybe, margins = st.none() | RATES, st.none() | st.floats(0.0, 2.0)
    by_hand = st.builds(lambda x: threshold_by_hand(x, "test"), COSINES)
    return st.builds(Aim, maybe, maybe, st.none(), margins) | st.builds(
        Aim, st.none(), st.none(), by_hand, margins
    )


@given(st.lists(aims(), max_size=4), st.booleans())
def test_the_most_special_level_with_a_wish_wins_as_a_whole(
    levels: list[Aim], per_search: bool
) -> None:
    level, criterion, margin = first_wish(levels, per_search=per_search)
    wishes = [one.criterion(per_search=per_search) for one in levels]
    assert wishes[:level] == [None] * level
    if level == len(levels):
        assert criterion is None
    else:
        assert criterion == wishes[level]
        assert criterion is not None
    margins = [one.margin for one in levels if one.margin is not None]
    assert margin == (margins[0] if margins else None)


@given(RATES, RATES)
def test_a_search_aims_at_its_fpir_and_else_at_the_fmr_of_each_comparison(
    fmr: float, fpir: float
) -> None:
    both = Aim(target_fmr=fmr, target_fpir=fpir)
    assert both.criterion(per_search=True) == Target(fpir, per_search=True)
    assert both.criterion(per_search=False) == Target(fmr)
    assert Aim(target_fmr=fmr).criterion(per_search=True) == Target(fmr)
    assert Aim(target_fpir=fpir).criterion(per_search=False) is None


@given(RATES, COSINES)
def test_a_rate_and_a_threshold_at_one_level_are_refused(rate: float, cosine: float) -> None:
    by_hand = threshold_by_hand(cosine, "the call")
    for name in ("target_fmr", "target_fpir"):
        with pytest.raises(ConfigError, match="both"):
            Aim(**{name: rate}, threshold=by_hand)


@given(COSINES, SPEECH)
def test_one_cosine_holds_for_any_amount_of_speech_also_an_unknown_one(
    cosine: float, net_speech_s: float
) -> None:
    by_hand = threshold_by_hand(cosine, "the call")
    assert by_hand.cosines(np.array([net_speech_s])).tolist() == [cosine]


@given(STEPS, st.lists(SPEECH, min_size=1, max_size=8))
def test_of_several_cosines_the_one_of_the_longest_speech_that_is_reached_holds(
    steps: dict[float, float], amounts: list[float]
) -> None:
    by_hand = threshold_by_hand(steps, "the settings")
    same_for_all = list(steps) == [0.0]
    for amount, cosine in zip(amounts, by_hand.cosines(np.array(amounts)).tolist(), strict=True):
        reached = [start for start in steps if start <= amount]
        if math.isnan(amount) and same_for_all:
            assert cosine == steps[0.0]
        elif not reached:  # too little speech, or it is not known how much: no threshold
            assert math.isnan(cosine)
        else:
            assert cosine == steps[max(reached)]


def test_a_cosine_holds_from_the_very_amount_of_speech_on_that_it_is_set_for() -> None:
    by_hand = threshold_by_hand({2: 0.6, 4: 0.5}, "the settings")
    amounts = np.array([math.nextafter(2, 0), 2.0, math.nextafter(4, 0), 4.0])
    assert np.isnan(by_hand.cosines(amounts)[0])
    assert by_hand.cosines(amounts)[1:].tolist() == [0.6, 0.6, 0.5]


@pytest.mark.parametrize("steps", [{2: 0.5}, {0: 0.6, 4: 0.5}])
def test_an_unknown_amount_of_speech_gets_none_of_several_cosines(
    steps: dict[float, float],
) -> None:
    by_hand = threshold_by_hand(steps, "the settings")
    assert np.isnan(by_hand.cosines(np.array([math.nan]))).all()


def test_a_search_of_an_empty_gallery_aims_as_one_of_a_single_speaker() -> None:
    target = Target(0.01, per_search=True)
    assert target.fmr(0) == target.fmr(1) == pytest.approx(0.01)


@given(st.floats() | st.integers())
def test_only_a_cosine_that_tells_voices_apart_is_a_threshold(value: float) -> None:
    if 0.1 <= value <= 1.0:
        assert threshold_by_hand(value, "the call").steps == ((0.0, value),)
    else:
        with pytest.raises(ConfigError, match="threshold"):
            threshold_by_hand(value, "the call")


@pytest.mark.parametrize(
    "value",
    [
        *(True, None, "loud", [0.5], {}),
        *({2: 1.5}, {2: True}, {2: math.nan}),
        *({-1: 0.5}, {math.nan: 0.5}, {math.inf: 0.5}, {"long": 0.5}, {2: 0.6, "2": 0.4}),
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ConfigError):
        threshold_by_hand(value, "the settings")


def test_amounts_of_speech_rise() -> None:
    with pytest.raises(ConfigError, match="rising"):
        SetThreshold(((4.0, 0.5), (2.0, 0.6)), "the settings")


@given(st.integers(2, 10**6))
def test_a_rate_may_be_written_as_a_number_a_fraction_or_in_percent(one_in: int) -> None:
    expected = 1 / one_in
    assert rate_of(f"1/{one_in}") == expected
    assert rate_of(expected) == rate_of(repr(expected)) == expected
    assert rate_of(f" {100 * Fraction(1, one_in)}% ") == pytest.approx(expected)


@pytest.mark.parametrize(
    "value", [0, -0.1, 0.51, math.nan, math.inf, "1/0", "0/5", "60%", "%", "", "a", True, None, []]
)
def test_what_is_not_a_rate_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not"):
        rate_of(value)


def test_a_limit_for_a_measured_rate_is_0_to_1() -> None:
    for text, rate in {"0": 0.0, "1/200": 0.005, "0.5%": 0.005, "100%": 1.0}.items():
        assert rate_of(text, as_limit=True) == rate
    for text in ("-0.1%", "101%", "nan", ""):
        with pytest.raises(ValueError, match="not"):
            rate_of(text, as_limit=True)


@pytest.mark.parametrize("value", [-0.1, 2.1, math.nan, math.inf])
def test_what_cannot_be_a_lead_is_never_a_margin(value: float) -> None:
    with pytest.raises(ConfigError, match="margin"):
        Aim(margin=value)
