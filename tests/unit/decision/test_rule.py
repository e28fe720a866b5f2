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
    BAND_SETS,
    CalibratedPoint,
    Calibration,
    Conditions,
    HeldOut,
    StoredCalibration,
    Weight,
)
from voiceid.decision.rule import DEFAULT_FMR, DecisionRule, OperatingPoint, accepted
from voiceid.domain import Band, Condition, QualityReport, band_of, bands_of, shares_among
from voiceid.errors import ConfigError, ThresholdUnavailable


def point(min_s: float, threshold: float, band: Band = Band.WIDEBAND) -> OperatingPoint:
    return OperatingPoint(band.value, min_s, threshold, 0.001, 0.01, 1000, 100)


NARROW = [point(1, 0.8, Band.NARROWBAND), point(3, 0.7, Band.NARROWBAND)]


def of(net_speech_s: float | None, band: Band = Band.WIDEBAND) -> Condition:
    return Condition((band,), net_speech_s, None, 10.0, 3)


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
        bands=("wideband",),
        min_net_speech_s=2.0,
        points=tuple(
            CalibratedPoint(fmr, llr, (0.0, 1.0), 0.1, (0.0, 1.0))
            for fmr, llr in ((0.1, 0.0), (0.01, 3.0))
        ),
        impostor_trials=300,
    ),
    held_out=HeldOut(9, 900, 9_000, 0.01, 0.1, 0.09, {}, {}),
)
"""Of wideband clips from 2 s on, down to a false match rate of 0.01."""
RULE = DecisionRule("net", [point(4, 0.4), *NARROW, point(1, 0.6), point(2, 0.5)], margin=0.05)


@pytest.mark.parametrize(
    ("net_speech_s", "threshold"), [(1.0, 0.6), (1.99, 0.6), (2.0, 0.5), (3.9, 0.5), (60, 0.4)]
)
def test_the_longest_point_that_was_reached_decides(net_speech_s: float, threshold: float) -> None:
    assert RULE.threshold(of(net_speech_s)).value == threshold


@pytest.mark.parametrize(("net_speech_s", "threshold"), [(1.0, 0.8), (2.9, 0.8), (3.0, 0.7)])
def test_each_band_has_points_of_its_own(net_speech_s: float, threshold: float) -> None:
    assert RULE.threshold(of(net_speech_s, Band.NARROWBAND)).value == threshold


@pytest.mark.parametrize(
    ("clip", "share", "band"),
    [
        (False, 0.0, Band.WIDEBAND),
        (False, 0.5, Band.WIDEBAND),
        (False, 1.0, Band.CROSSBAND),
        (True, 0.0, Band.CROSSBAND),
        (True, 1 / 3, Band.MIXEDBAND),
        (True, 0.9, Band.MIXEDBAND),
        (True, 1.0, Band.NARROWBAND),
    ],
)
def test_the_band_is_decided_by_both_sides(clip: bool, share: float, band: Band) -> None:
    assert band_of(clip, share) is band


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_it_does_not_matter_which_side_comes_first(one: float, other: float) -> None:
    assert band_of(one, other) is band_of(other, one)


def test_two_speakers_with_samples_of_both_kinds_are_compared_as_a_call_with_one() -> None:
    assert band_of(0.2, 0.8) is Band.MIXEDBAND


@pytest.mark.parametrize(
    ("clip", "enrolled", "bands"),
    [
        (None, [False, False], {Band.WIDEBAND, Band.CROSSBAND}),
        (None, [True, True], {Band.NARROWBAND, Band.CROSSBAND}),
        (None, [True, False], {Band.WIDEBAND, Band.MIXEDBAND}),
        (None, [None], {Band.WIDEBAND, Band.CROSSBAND, Band.NARROWBAND}),
        (False, [None], {Band.WIDEBAND, Band.CROSSBAND}),
        (False, [None, False], {Band.WIDEBAND}),
        (True, [None, False], {Band.CROSSBAND}),
        (True, [None, True], {Band.NARROWBAND}),
    ],
)
def test_in_doubt_every_band_is_possible_that_either_side_can_make(
    clip: bool | None, enrolled: list[bool | None], bands: set[Band]
) -> None:
    assert set(bands_of(shares_among([clip]), shares_among(enrolled))) == bands


def test_of_the_bands_in_doubt_the_strictest_decides_and_the_lowest_llr_is_given() -> None:
    crossband = point(1, 0.3, Band.CROSSBAND)
    rule = replace(RULE, points=[*RULE.points, crossband])
    doubt = replace(of(3.0), bands=(Band.WIDEBAND, Band.CROSSBAND))
    assert rule.threshold(doubt) == rule.threshold(of(3.0))
    with pytest.raises(ThresholdUnavailable, match="crossband"):
        RULE.threshold(doubt)
    fitted = replace(CALIBRATION.calibration, bands=("wideband", "crossband"))
    shifted = replace(fitted, weights=(Weight("crossband", -2.0, 0.0, 1.0),))
    rule = replace(rule, calibration=replace(CALIBRATION, calibration=shifted))
    assert rule.llr(0.5, doubt) == rule.llr(0.5, of(3.0, Band.CROSSBAND)) == -1.0
    assert rule.aimed(Target(0.01)).threshold(doubt).value == pytest.approx(0.7)


def test_the_threshold_says_where_it_comes_from() -> None:
    found = RULE.threshold(of(2.5)).source
    assert found == "card net, wideband, net speech >= 2 s, FMR 0.1 %"


@pytest.mark.parametrize("rule", [RULE, DecisionRule("net", [], 0.05)])
@pytest.mark.parametrize("band", Band)
def test_without_a_measured_point_there_is_no_threshold(rule: DecisionRule, band: Band) -> None:
    with pytest.raises(ThresholdUnavailable):
        rule.threshold(of(0.99, band))


def test_points_of_one_band_are_no_stand_in_for_another() -> None:
    with pytest.raises(ThresholdUnavailable, match="crossband"):
        RULE.threshold(of(10.0, Band.CROSSBAND))


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
    points = [replace(point(1, 0.9 - rate), target_fmr=rate) for rate in rates]
    return DecisionRule("net", points, 0.05)


@pytest.mark.parametrize(("asked", "used"), [(0.3, 0.1), (0.1, 0.1), (0.02, 0.01), (0.01, 0.01)])
def test_the_point_for_the_highest_rate_that_is_not_above_the_target_decides(
    asked: float, used: float
) -> None:
    rule = several(0.1, 0.01).aimed(Target(asked))
    assert rule.threshold(of(3.0)).value == 0.9 - used


def test_a_target_below_every_point_is_refused_with_the_trials_that_it_would_take() -> None:
    rule = several(0.1, 0.01).aimed(Target(0.001))
    with pytest.raises(ThresholdUnavailable, match="3000 impostor trials"):
        rule.threshold(of(3.0))


def test_the_longest_step_is_never_passed_over_for_want_of_a_rate() -> None:
    rule = DecisionRule(
        "net", [replace(point(1, 0.5), target_fmr=0.01), replace(point(4, 0.6), target_fmr=0.1)], 0
    ).aimed(Target(0.01))
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
            st.sampled_from(BAND_SETS),
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
    clips: list[tuple[tuple[Band, ...], float | None, float | None]],
    criterion: Target | SetThreshold,
    gallery_size: int,
    calibrated: bool,
) -> None:
    points = [
        replace(point(least, base + least / 100 - rate, band), target_fmr=rate)
        for band, base in ((Band.WIDEBAND, 0.5), (Band.NARROWBAND, 0.57))
        for least, rates in ((1.0, (0.1, 0.01)), (4.0, (0.1,)))
        for rate in rates
    ]
    calibration = CALIBRATION if calibrated else None
    rule = DecisionRule("net", points, 0.05, calibration, criterion, min_level_dbfs=-40.0)
    conditions = [replace(of(net), bands=b, level_dbfs=level) for b, net, level in clips]
    rows = [
        replace(Conditions.of(one).rows(slice(1)), band=np.array([BAND_SETS.index(one.bands)]))
        for one in conditions
    ]
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
        if len(one.bands) > 1:
            each = [rule.threshold(replace(one, bands=(b,)), gallery_size) for b in one.bands]
            assert threshold.value == max(found.value for found in each)
            assert threshold in each
            continue
        covers = calibrated and one.bands == (Band.WIDEBAND,) and one.net_speech_s >= 2.0
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
            band = band_of(one[1], other[1])
            every.add(RULE.threshold(of(min(one[0], other[0]), band)))
        except ThresholdUnavailable:
            continue
    qualities = [
        QualityReport(net, net, 20.0, 0.0, 7000.0, 16000, -20.0, warnings=("narrowband",) * narrow)
        for net, narrow in clips
    ]
    found = thresholds_among(qualities, RULE)
    assert set(found) == every
    assert len(found) == len(every)
    assert found == sorted(found, key=lambda threshold: threshold.value)


def test_a_rate_that_the_calibration_does_not_reach_falls_to_the_card_and_says_so() -> None:
    rule = replace(RULE, calibration=CALIBRATION)
    assert rule.aimed(Target(0.01)).threshold(of(3.0)).source.startswith("calibration 3, FMR 1 %")
    below = rule.aimed(Target(0.001)).threshold(of(3.0))
    assert below.value == 0.5
    assert below.source == (
        "card net, wideband, net speech >= 2 s, FMR 0.1 %; calibration 3 does not reach FMR 0.1 %"
    )
    with pytest.raises(ThresholdUnavailable, match="impostor"):
        replace(rule, points=()).aimed(Target(0.001)).threshold(of(3.0))


def test_what_the_calibration_has_not_heard_falls_to_the_card() -> None:
    rule = replace(RULE, calibration=CALIBRATION).aimed(Target(0.01))
    for condition, value in ((of(3.0, Band.NARROWBAND), 0.7), (of(1.99), 0.6)):
        assert rule.threshold(condition).value == value
        assert rule.threshold(condition).source.startswith("card net, ")
        assert rule.llr(0.5, condition) is None


def test_a_cosine_set_by_hand_for_longer_speech_says_from_how_much_on_it_holds() -> None:
    rule = RULE.aimed(threshold_by_hand({2: 0.6, 4: 0.5}, "the settings"))
    assert rule.threshold(of(5.0)).value == 0.5
    with pytest.raises(ThresholdUnavailable, match=r"the settings .* from 2 s"):
        rule.threshold(of(1.5))
    with pytest.raises(ThresholdUnavailable, match="how much speech"):
        rule.threshold(of(None))


def test_speech_softer_than_anything_measured_has_no_threshold() -> None:
    rule = replace(RULE, min_level_dbfs=-40.0)
    assert rule.threshold(replace(of(3.0), level_dbfs=-40.0)).value == 0.5
    with pytest.raises(ThresholdUnavailable, match="dBFS"):
        rule.threshold(replace(of(3.0), level_dbfs=-40.1))


def test_a_calibration_decides_from_the_least_threshold_on_and_not_below() -> None:
    """Its cosine at an LLR of 0 is that of its intercept."""
    for cosine, decides in ((0.1, True), (0.0999, False), (0.05, False)):
        fitted = replace(CALIBRATION.calibration, slope=1.0, intercept=-cosine, weights=())
        rule = DecisionRule("net", [], 0.05, replace(CALIBRATION, calibration=fitted))
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
    rule = DecisionRule("net", [], 0.05, replace(CALIBRATION, calibration=wide_open))
    rule = rule.aimed(Target(0.1))
    with pytest.raises(ThresholdUnavailable, match="calibration 3, FMR 10 % would be -"):
        rule.threshold(of(4.0))
    assert np.isnan(rule.thresholds(Conditions.of(of(4.0))))
