"""A calibration: LLRs, and the cosine at which a comparison has one."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.decision.calibration import (
    CalibratedPoint,
    Calibration,
    Conditions,
    HeldOut,
    Weight,
    trials_needed,
)
from voiceid.domain import Condition
from voiceid.errors import ThresholdUnavailable


def at(fmr: float, llr: float) -> CalibratedPoint:
    return CalibratedPoint(fmr, llr, (0.5 * fmr, min(1.0, 2 * fmr)), 0.01, (0.0, 0.1))


FITTED = Calibration(
    slope=20.0,
    intercept=-9.0,
    weights=(
        Weight("ln_net_speech", -0.5, 0.0, 2.0),
        Weight("ln_enrolled_speech", -0.3, 0.0, 3.0),
        Weight("telephone", -2.0, 0.0, 0.5),
        Weight("snr_10db", 0.1, 0.0, 3.0),
    ),
    telephone=(0.0, 0.5),
    min_net_speech_s=1.2,
    points=(at(0.1, -2.0), at(0.01, 1.0), at(0.001, 4.0)),
    impostor_trials=3000,
)
CONDITIONS = st.builds(
    Condition,
    net_speech_s=st.floats(1.2, 100.0),
    snr_db=st.one_of(st.none(), st.floats(-10.0, 60.0)),
    enrolled_speech_s=st.floats(1.0, 100.0),
    n_enrolled=st.integers(1, 20),
    telephone=st.floats(0.0, 0.75),
)
WIDEBAND = Condition(3.0, 20.0, 10.0, 3, telephone=0.0)


@given(CONDITIONS, st.floats(-1.0, 1.0))
def test_a_score_has_the_llr_of_which_it_is_the_cosine(condition: Condition, score: float) -> None:
    given_ = Conditions.of(condition)
    llr = FITTED.llrs([score], given_)
    assert FITTED.cosines(llr, given_)[0] == pytest.approx(score, abs=1e-9)


@given(CONDITIONS, st.floats(-1.0, 1.0), st.floats(-3.0, 5.0))
def test_accepting_by_cosine_is_accepting_by_llr(
    condition: Condition, score: float, needed: float
) -> None:
    given_ = Conditions.of(condition)
    llr, cosine = FITTED.llrs([score], given_)[0], FITTED.cosines(needed, given_)[0]
    if abs(llr - needed) > 1e-9:
        assert (score >= cosine) == (llr >= needed)


def test_quality_measures_are_clamped_to_what_was_heard() -> None:
    for heard, beyond in (
        ({"net_speech_s": math.e**2}, {"net_speech_s": 500.0}),
        ({"telephone": 0.5}, {"telephone": 0.75}),
    ):
        both = [Conditions.of(replace(WIDEBAND, **facts)) for facts in (heard, beyond)]
        found = [FITTED.llrs([0.5], one)[0] for one in both]
        assert found[0] == pytest.approx(found[1])


def test_on_a_telephone_the_same_score_says_less_and_the_cosine_is_higher() -> None:
    lines = [Conditions.of(replace(WIDEBAND, telephone=share)) for share in (0.0, 0.25, 0.5)]
    llrs = [FITTED.llrs([0.5], line)[0] for line in lines]
    assert llrs == pytest.approx([llrs[0], llrs[0] - 0.5, llrs[0] - 1.0])
    cosines = [FITTED.cosines(1.0, line)[0] for line in lines]
    assert cosines == pytest.approx([cosines[0], cosines[0] + 0.025, cosines[0] + 0.05])


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_it_speaks_of_lines_that_it_has_heard_or_nearly(one: float, other: float, x: float) -> None:
    low, high = sorted((one, other))
    heard = replace(FITTED, telephone=(low, high))
    line = Conditions.of(replace(WIDEBAND, telephone=x))
    beyond = x - high
    if abs(beyond - 0.25) > 1e-9:
        assert heard.covers(line)[0] == (beyond < 0.25)


@pytest.mark.parametrize(
    "condition",
    [
        replace(WIDEBAND, telephone=0.76),
        replace(WIDEBAND, telephone=math.nan),
        replace(WIDEBAND, net_speech_s=1.1),
        replace(WIDEBAND, net_speech_s=None),
    ],
)
def test_of_what_was_not_heard_there_is_no_llr_and_no_cosine(condition: Condition) -> None:
    given_ = Conditions.of(condition)
    assert not FITTED.covers(given_)[0]
    assert math.isnan(FITTED.llrs([0.5], given_)[0])
    assert math.isnan(FITTED.cosines(1.0, given_)[0])


def test_the_llr_of_a_rate_is_interpolated_between_the_points() -> None:
    assert FITTED.llr_at(0.01) == 1.0
    assert FITTED.llr_at(math.sqrt(0.01 * 0.001)) == pytest.approx(2.5)
    assert FITTED.llr_at(0.4) == -2.0, "above the highest rate the strictest that was measured"


def test_a_rate_below_the_points_is_refused_with_the_trials_that_it_takes() -> None:
    with pytest.raises(ThresholdUnavailable, match=r"30000 impostor trials.* has 3000"):
        FITTED.llr_at(1e-4)


@given(st.floats(1e-9, 0.5))
def test_the_rule_of_three_says_how_many_trials_a_rate_takes(rate: float) -> None:
    assert (trials_needed(rate) - 1) * rate <= 3.0 <= trials_needed(rate) * rate * (1 + 1e-9)


def test_it_survives_json() -> None:
    assert Calibration.of_dict(json.loads(json.dumps(FITTED.to_dict()))) == FITTED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slope", -1.0),
        ("slope", math.nan),
        ("slope", "x"),
        ("slope", 1e-10),
        ("intercept", math.inf),
        ("intercept", 1e7),
        ("slope", 0.0),
        ("impostor_trials", 2999),
        ("weights", [{**FITTED.to_dict()["weights"][0], "low": 3.0}]),
        ("weights", [{**FITTED.to_dict()["weights"][0], "low": -math.inf}]),
        ("points", []),
        ("points", [{**FITTED.to_dict()["points"][0], "fmr_bounds": None}]),
        ("points", [{**FITTED.to_dict()["points"][0], "fnmr": math.nan}]),
        ("points", [{**FITTED.to_dict()["points"][0], "fmr_bounds": [0.0, math.inf]}]),
        ("points", [{**FITTED.to_dict()["points"][0], "fnmr_bounds": ["nan", 1.0]}]),
        ("points", FITTED.to_dict()["points"][::-1]),
        ("telephone", None),
        ("telephone", []),
        ("telephone", [0.5]),
        ("telephone", [0.0, 0.5, 1.0]),
        ("telephone", [0.5, 0.4]),
        ("telephone", [-0.1, 0.5]),
        ("telephone", [0.0, 1.1]),
        ("telephone", [0.0, math.nan]),
        ("points", [{**point, "llr": -point["llr"]} for point in FITTED.to_dict()["points"]]),
        ("points", [{**FITTED.to_dict()["points"][0], "fmr": 1.1}]),
        ("points", [FITTED.to_dict()["points"][0]] * 2),
        ("normalization", {"cohort": 1, "top": 100}),
        ("weights", [{"feature": "mood", "weight": 1.0, "low": 0.0, "high": 1.0}]),
    ],
)
def test_what_is_no_calibration_is_not_taken_for_one(key: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Calibration.of_dict({**FITTED.to_dict(), key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("speakers", math.nan),
        ("genuine", "many"),
        ("eer", math.inf),
        ("cllr", "low"),
        ("act_dcf", {"0.01": -math.inf}),
        ("min_dcf", [0.1]),
    ],
)
def test_measures_that_are_no_numbers_are_not_shown(key: str, value: object) -> None:
    held_out = HeldOut(10, 100, 1000, 0.01, 0.1, 0.1, {"0.01": 0.1}, {"0.01": 0.1})
    facts = json.loads(json.dumps(asdict(held_out)))
    assert HeldOut.of_dict(facts) == held_out
    with pytest.raises((ValueError, TypeError, AttributeError)):
        HeldOut.of_dict({**facts, key: value})


def test_what_is_not_known_of_a_comparison_is_nan() -> None:
    found = Conditions.of(replace(WIDEBAND, net_speech_s=None, snr_db=None))
    assert np.isnan([found.net_speech_s[0], found.snr_db[0], found.level_dbfs[0]]).all()
    assert (found.enrolled_speech_s[0], found.n_enrolled[0], found.telephone[0]) == (10.0, 3.0, 0.0)


def test_an_llr_is_the_sum_that_its_docstring_says() -> None:
    """Worked out by hand: e seconds against e squared, 20 dB, half a telephone."""
    call = Condition(math.e, 20.0, math.e**2, 3, telephone=0.5)
    by_hand = 20.0 * 0.6 - 9.0 - 0.5 * 1 - 0.3 * 2 - 2.0 * 0.5 + 0.1 * 2
    assert FITTED.llrs([0.6], Conditions.of(call))[0] == pytest.approx(by_hand)
    silent = replace(call, snr_db=None)
    assert FITTED.llrs([0.6], Conditions.of(silent))[0] == pytest.approx(by_hand + 0.1)
    assert FITTED.cosines(by_hand, Conditions.of(call))[0] == pytest.approx(0.6)


def test_the_shortest_clip_that_was_heard_is_covered_and_the_lowest_rate_supported() -> None:
    for net_speech_s, covered in ((1.2, True), (math.nextafter(1.2, 0.0), False)):
        one = Conditions.of(replace(WIDEBAND, net_speech_s=net_speech_s))
        assert FITTED.covers(one)[0] == covered
    assert FITTED.llr_at(0.001) == 4.0
    assert FITTED.supports(0.001 * (1 - 1e-10)), "the rounding of a computed rate is forgiven"
    assert not FITTED.supports(0.001 * (1 - 1e-6))


def test_a_calibration_that_its_trials_only_just_support_is_one() -> None:
    facts = FITTED.to_dict()
    assert Calibration.of_dict(facts).impostor_trials == 3000 == trials_needed(0.001)
    barely = {**facts, "slope": 1e-9, "intercept": 1e6}
    assert Calibration.of_dict(barely).slope == 1e-9
