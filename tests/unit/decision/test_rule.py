"""Which threshold decides, and that none can be had where none was measured."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voiceid.decision.agreement import thresholds_among
from voiceid.decision.aims import SetThreshold, Target, threshold_by_hand
from voiceid.decision.calibration import (
    CalibratedPoint,
    Calibration,
    Conditions,
    HeldOut,
    StoredCalibration,
    Weight,
)
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DEFAULT_FMR, DecisionRule, accepted
from voiceid.domain import Condition, QualityReport
from voiceid.errors import ConfigError, ThresholdUnavailable


def point(min_s: float, threshold: float, fmr: float = 0.001) -> OperatingPoint:
    """Return a point whose threshold is 0.1 higher where both sides came over a telephone."""
    return OperatingPoint(fmr, min_s, threshold, threshold + 0.1, 0.001, 0.01, 1000, 100)


def of(net_speech_s: float | None, telephone: float = 0.0) -> Condition:
    return Condition(net_speech_s, None, 10.0, 3, telephone)


def quality(net_speech_s: float, telephone: float | None) -> QualityReport:
    return QualityReport(
        net_speech_s, net_speech_s, 20.0, 0.0, 7000.0, 16000, -20.0, telephone=telephone
    )


CALIBRATION = StoredCalibration(
    id=3,
    space_id="net-0",
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
    source="site.csv",
    target_fmr=None,
    in_use=True,
    calibration=Calibration(
        slope=20.0,
        intercept=-9.0,
        weights=(Weight("ln_net_speech", -0.5, 0.0, 2.0),),
        telephone=(0.0, 0.1),
        min_net_speech_s=2.0,
        points=tuple(
            CalibratedPoint(fmr, llr, (0.0, 1.0), 0.1, (0.0, 1.0))
            for fmr, llr in ((0.1, 0.0), (0.01, 3.0))
        ),
        impostor_trials=300,
    ),
    held_out=HeldOut(9, 900, 9_000, 0.01, 0.1, 0.09, {}, {}),
)
"""Of no telephone, from 2 s on, down to a false match rate of 0.01."""
RULE = DecisionRule("net", [point(4, 0.4), point(1, 0.6), point(2, 0.5)], margin=0.05)


@pytest.mark.parametrize(
    ("net_speech_s", "threshold"), [(1.0, 0.6), (1.99, 0.6), (2.0, 0.5), (3.9, 0.5), (60, 0.4)]
)
def test_the_longest_point_that_was_reached_decides(net_speech_s: float, threshold: float) -> None:
    assert RULE.threshold(of(net_speech_s)).value == threshold


@pytest.mark.parametrize(
    ("telephone", "threshold"), [(0.0, 0.5), (0.25, 0.525), (0.5, 0.55), (1.0, 0.6)]
)
def test_the_threshold_rises_with_the_share_of_a_telephone(
    telephone: float, threshold: float
) -> None:
    assert RULE.threshold(of(3.0, telephone)).value == pytest.approx(threshold)


SHARES = st.none() | st.floats(0.0, 1.0)


@given(SHARES, st.lists(SHARES, min_size=1, max_size=4))
def test_the_line_is_that_of_both_sides_and_an_unknown_one_is_a_telephone(
    clip: float | None, enrolled: list[float | None]
) -> None:
    found = RULE.threshold(
        Condition.of(quality(3.0, clip), [quality(3.0, share) for share in enrolled])
    )
    one, *others = (1.0 if share is None else share for share in (clip, *enrolled))
    assert found.value == pytest.approx(0.5 + 0.1 * one * sum(others) / len(others))


@given(SHARES, SHARES)
def test_it_does_not_matter_which_side_comes_first(one: float | None, other: float | None) -> None:
    clips = quality(3.0, one), quality(3.0, other)
    assert RULE.threshold(Condition.of_two(*clips)) == RULE.threshold(
        Condition.of_two(*clips[::-1])
    )


def test_the_threshold_says_where_it_comes_from() -> None:
    assert RULE.threshold(of(2.5)).source == "card net, FMR 0.1 %"
    search = RULE.aimed(Target(0.3, per_search=True)).threshold(of(2.5, 0.4), gallery_size=10)
    assert search.source == "card net, FPIR 30 % of 10 enrolled, FMR 3.5 %"


@pytest.mark.parametrize("rule", [RULE, DecisionRule("net", [], 0.05)])
@pytest.mark.parametrize("telephone", [0.0, 0.5, 1.0])
def test_without_a_measured_point_there_is_no_threshold(
    rule: DecisionRule, telephone: float
) -> None:
    with pytest.raises(ThresholdUnavailable):
        rule.threshold(of(0.99, telephone))


LLRS = replace(CALIBRATION.calibration, slope=10.0, intercept=-5.0, telephone=(0.0, 1.0))
"""Of the card: of every line."""


@pytest.mark.parametrize(
    ("llrs", "site", "condition", "expected"),
    [
        (LLRS, None, of(math.e), (0.5, None)),
        (LLRS, CALIBRATION, of(math.e), (2.5, 3)),
        (LLRS, CALIBRATION, of(math.e, 0.9), (0.5, None)),  # the site heard no telephone
        (None, CALIBRATION, of(math.e, 0.9), (None, None)),
        (None, None, of(math.e), (None, None)),
        (LLRS, CALIBRATION, of(1.9), (None, None)),
        (LLRS, CALIBRATION, of(None), (None, None)),
    ],
)
def test_an_llr_is_of_the_site_wherever_it_can_speak_and_else_of_the_card(
    llrs: Calibration | None,
    site: StoredCalibration | None,
    condition: Condition,
    expected: tuple[float | None, int | None],
) -> None:
    found = replace(RULE, llrs=llrs, calibration=site).llr(0.6, condition)
    assert found == (None if expected[0] is None else pytest.approx(expected[0]), expected[1])


def test_llrs_of_the_card_make_no_threshold() -> None:
    rule = replace(RULE, llrs=LLRS).aimed(Target(0.01))
    assert rule.threshold(of(3.0)) == RULE.aimed(Target(0.01)).threshold(of(3.0))
    with pytest.raises(ThresholdUnavailable, match="no thresholds were measured"):
        replace(rule, points=()).threshold(of(3.0))


def test_what_is_fitted_on_no_telephone_does_not_decide_on_one() -> None:
    rule = replace(RULE, calibration=CALIBRATION).aimed(Target(0.01))
    heard, unheard = (rule.threshold(of(3.0, share)) for share in (0.3, 0.9))
    assert heard.source == "calibration 3, FMR 1 %"
    assert unheard == RULE.aimed(Target(0.01)).threshold(of(3.0, 0.9))


def test_the_target_of_a_call_wins() -> None:
    rule = RULE.aimed(Target(0.01), 0.2)
    assert (rule.aim, rule.margin) == (Target(0.01), 0.2)
    assert RULE.aimed(None, None) == RULE
    assert RULE.aim == Target(DEFAULT_FMR)


@given(st.floats(allow_nan=True, allow_infinity=True))
@example(0.5)
@example(math.nextafter(0.5, 1.0))
@example(0.0)
def test_what_cannot_be_an_error_rate_is_never_a_target(value: float) -> None:
    if 0.0 < value <= 0.5:
        assert Target(value).rate == value
    else:
        with pytest.raises(ConfigError, match="target"):
            Target(value)


def several(*rates: float) -> DecisionRule:
    return DecisionRule("net", [point(1, 0.9 - rate, rate) for rate in rates], 0.05)


@pytest.mark.parametrize(
    ("asked", "threshold"), [(0.3, 0.8), (0.1, 0.8), (math.sqrt(0.001), 0.845), (0.01, 0.89)]
)
def test_between_two_rates_the_threshold_is_interpolated_and_above_it_is_the_loosest(
    asked: float, threshold: float
) -> None:
    rule = several(0.1, 0.01).aimed(Target(asked))
    assert rule.threshold(of(3.0)).value == pytest.approx(threshold)


def test_a_target_below_every_point_is_refused_with_the_trials_that_it_would_take() -> None:
    rule = several(0.1, 0.01).aimed(Target(0.001))
    with pytest.raises(
        ThresholdUnavailable, match=r"3000 impostor trials.* measured down to 0\.01"
    ):
        rule.threshold(of(3.0))


def test_the_longest_step_is_never_passed_over_for_want_of_a_rate() -> None:
    rule = DecisionRule("net", [point(1, 0.5, 0.01), point(4, 0.6, 0.1)], 0).aimed(Target(0.01))
    assert rule.least_fmr == 0.1
    assert rule.threshold(of(3.0)).value == 0.5
    with pytest.raises(ThresholdUnavailable):
        rule.threshold(of(5.0))


@given(st.integers(1, 100_000), st.sampled_from([0.3, 0.1, 0.01]))
def test_a_target_fpir_takes_a_lower_fmr_of_a_larger_gallery(size: int, fpir: float) -> None:
    target = Target(fpir, per_search=True)
    assert target.fmr(1) == pytest.approx(fpir)
    assert target.fmr(size + 1) < target.fmr(size)
    assert 1.0 - (1.0 - target.fmr(size)) ** size == pytest.approx(fpir)


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 1.0),
            st.one_of(st.none(), st.floats(0.5, 12.0)),
            st.one_of(st.none(), st.floats(-80.0, 0.0)),
        ),
        min_size=1,
        max_size=20,
    ),
    st.one_of(
        st.builds(Target, st.sampled_from([0.3, 0.1, 0.05, 0.01, 0.001]), st.booleans()),
        st.sampled_from([0.4, {1.0: 0.6, 4.0: 0.5}]).map(lambda x: threshold_by_hand(x, "test")),
    ),
    st.integers(1, 20),
    st.booleans(),
)
def test_many_thresholds_at_once_are_those_one_by_one(
    clips: list[tuple[float, float | None, float | None]],
    criterion: Target | SetThreshold,
    gallery_size: int,
    calibrated: bool,
) -> None:
    points = [
        point(least, 0.5 + least / 100 - rate, rate)
        for least, rates in ((1.0, (0.1, 0.01)), (4.0, (0.1,)))
        for rate in rates
    ]
    calibration = CALIBRATION if calibrated else None
    rule = DecisionRule(
        "net", points, 0.05, calibration=calibration, criterion=criterion, min_level_dbfs=-40.0
    )
    conditions = [replace(of(net, share), level_dbfs=level) for share, net, level in clips]
    rows = [Conditions.of(one) for one in conditions]
    joined = Conditions(
        *(np.concatenate([getattr(row, f.name) for row in rows]) for f in fields(Conditions))
    )
    for one, expected in zip(conditions, rule.thresholds(joined, gallery_size), strict=True):
        try:
            threshold = rule.threshold(one, gallery_size)
        except ThresholdUnavailable:
            assert math.isnan(expected)
            continue
        assert threshold.value == expected
        if isinstance(criterion, SetThreshold):
            assert threshold.source == "set by hand in test"
            continue
        covers = calibrated and one.telephone <= 0.35 and one.net_speech_s >= 2.0
        reaches = criterion.fmr(gallery_size) >= 0.01 * (1 - 1e-9)
        assert threshold.source.startswith(
            "calibration 3, " if covers and reaches else "card net, "
        )
        assert ("calibration 3 does not reach FMR" in threshold.source) == (covers and not reaches)


@given(st.lists(st.tuples(st.floats(), st.floats())))
@example([(0.1, 0.1), (1.0, 0.0999), (1.0, -1.0), (1.0, -math.inf), (math.nan, 0.5), (0.5, 0.5)])
def test_a_score_is_accepted_if_it_reaches_a_plausible_threshold_and_never_without_one(
    pairs: list[tuple[float, float]],
) -> None:
    scores, thresholds = [one for one, _ in pairs], [other for _, other in pairs]
    reached = accepted(scores, thresholds)
    for (score, threshold), found in zip(pairs, reached, strict=True):
        assert found == accepted(score, threshold) == (score >= threshold >= 0.1)
        assert not (found and (math.isnan(score) or math.isnan(threshold)))


@given(st.lists(st.tuples(st.floats(0.1, 6.0), st.booleans()), max_size=12))
def test_the_thresholds_among_clips_are_those_of_all_their_pairs(
    clips: list[tuple[float, bool]],
) -> None:
    every = set()
    for one, other in itertools.combinations(clips, 2):
        try:
            both = float(one[1] and other[1])
            every.add(RULE.threshold(of(min(one[0], other[0]), both)))
        except ThresholdUnavailable:
            continue
    qualities = [quality(net, float(over_telephone)) for net, over_telephone in clips]
    found = thresholds_among(qualities, RULE)
    assert set(found) == every
    assert len(found) == len(every)
    assert found == sorted(found, key=lambda threshold: threshold.value)


def test_a_rate_that_the_calibration_does_not_reach_falls_to_the_card_and_says_so() -> None:
    rule = replace(RULE, calibration=CALIBRATION)
    assert rule.aimed(Target(0.01)).threshold(of(3.0)).source.startswith("calibration 3, FMR 1 %")
    below = rule.aimed(Target(0.001)).threshold(of(3.0))
    assert below.value == 0.5
    assert below.source == ("card net, FMR 0.1 %; calibration 3 does not reach FMR 0.1 %")
    with pytest.raises(ThresholdUnavailable, match="impostor"):
        replace(rule, points=()).aimed(Target(0.001)).threshold(of(3.0))


def test_what_the_calibration_has_not_heard_falls_to_the_card() -> None:
    rule = replace(RULE, calibration=CALIBRATION).aimed(Target(0.01))
    for condition, value in ((of(3.0, 1.0), 0.6), (of(1.99), 0.6)):
        assert rule.threshold(condition).value == value
        assert rule.threshold(condition).source.startswith("card net, ")
        assert rule.llr(0.5, condition) == (None, None)


def test_a_cosine_set_by_hand_for_longer_speech_says_from_how_much_on_it_holds() -> None:
    rule = RULE.aimed(threshold_by_hand({2: 0.6, 4: 0.5}, "the settings"))
    assert rule.threshold(of(5.0)).value == 0.5
    with pytest.raises(ThresholdUnavailable, match=r"the settings .* from 2 s"):
        rule.threshold(of(1.5))
    with pytest.raises(ThresholdUnavailable, match="amount of speech"):
        rule.threshold(of(None))


def test_speech_softer_than_anything_measured_has_no_threshold() -> None:
    rule = replace(RULE, min_level_dbfs=-40.0)
    assert rule.threshold(replace(of(3.0), level_dbfs=-40.0)).value == 0.5
    with pytest.raises(ThresholdUnavailable, match="dBFS"):
        rule.threshold(replace(of(3.0), level_dbfs=-40.1))


def test_a_calibration_decides_from_the_least_threshold_on_and_not_below() -> None:
    """Its cosine at an LLR of 0 is that of its intercept."""
    for cosine, decides in ((0.1, True), (0.0999, False), (0.05, False)):
        at_zero = (replace(CALIBRATION.calibration.points[0], fmr=0.1, llr=0.0),)
        fitted = replace(
            CALIBRATION.calibration, slope=1.0, intercept=-cosine, weights=(), points=at_zero
        )
        rule = DecisionRule("net", [], 0.05, calibration=replace(CALIBRATION, calibration=fitted))
        rule = rule.aimed(Target(0.1))
        assert np.isnan(rule.thresholds(Conditions.of(of(4.0)))[0]) == (not decides)
        if decides:
            assert rule.threshold(of(4.0)).value == cosine
        else:
            with pytest.raises(ThresholdUnavailable, match="would be 0"):
                rule.threshold(of(4.0))


@pytest.mark.parametrize("intercept", [2.0, 500.0])
def test_a_calibration_that_would_accept_anybody_gives_no_threshold(intercept: float) -> None:
    wide_open = replace(CALIBRATION.calibration, slope=0.5, intercept=intercept)
    rule = DecisionRule("net", [], 0.05, calibration=replace(CALIBRATION, calibration=wide_open))
    rule = rule.aimed(Target(0.1))
    with pytest.raises(ThresholdUnavailable, match="calibration 3, FMR 10 % would be -"):
        rule.threshold(of(4.0))
    assert np.isnan(rule.thresholds(Conditions.of(of(4.0))))
