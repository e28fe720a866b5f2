"""Which threshold decides, and that none can be had where none was measured."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.domain import QualityReport
from voiceid.errors import ConfigError, ThresholdUnavailable
from voiceid.scoring import (
    Band,
    DecisionRule,
    OperatingPoint,
    band_of,
    checked_cosine,
    checked_margin,
    thresholds_among,
)


def point(min_s: float, threshold: float, band: Band = Band.WIDEBAND) -> OperatingPoint:
    return OperatingPoint(band.value, min_s, threshold, 0.001, 0.01, 1000, 100)


NARROW = [point(1, 0.8, Band.NARROWBAND), point(3, 0.7, Band.NARROWBAND)]
RULE = DecisionRule("net", [point(4, 0.4), *NARROW, point(1, 0.6), point(2, 0.5)], margin=0.05)


@pytest.mark.parametrize(
    ("net_speech_s", "threshold"), [(1.0, 0.6), (1.99, 0.6), (2.0, 0.5), (3.9, 0.5), (60, 0.4)]
)
def test_the_longest_point_that_was_reached_decides(net_speech_s: float, threshold: float) -> None:
    assert RULE.threshold(net_speech_s, Band.WIDEBAND).value == threshold


@pytest.mark.parametrize(("net_speech_s", "threshold"), [(1.0, 0.8), (2.9, 0.8), (3.0, 0.7)])
def test_each_band_has_points_of_its_own(net_speech_s: float, threshold: float) -> None:
    assert RULE.threshold(net_speech_s, Band.NARROWBAND).value == threshold


@pytest.mark.parametrize(
    ("clip", "share", "band"),
    [
        (False, 0.0, Band.WIDEBAND),
        (False, 0.5, Band.WIDEBAND),
        (False, 1.0, Band.CROSSBAND),
        (True, 0.0, Band.CROSSBAND),
        (True, 1 / 3, Band.WIDEBAND),
        (True, 0.5, Band.NARROWBAND),
        (True, 1.0, Band.NARROWBAND),
    ],
)
def test_the_band_is_told_by_both_sides(clip: bool, share: float, band: Band) -> None:
    assert band_of(clip, share) is band


@given(st.booleans(), st.booleans())
def test_of_two_clips_it_does_not_matter_which_comes_first(one: bool, other: bool) -> None:
    assert band_of(one, float(other)) is band_of(other, float(one))


def test_the_threshold_says_where_it_comes_from() -> None:
    assert RULE.threshold(2.5, Band.WIDEBAND).source == "card net, wideband, net speech >= 2 s"
    assert RULE.with_flags(0.7, None).threshold(0.0, Band.CROSSBAND).source == "flag"


@pytest.mark.parametrize("rule", [RULE, DecisionRule("net", [], 0.05)])
@pytest.mark.parametrize("band", Band)
def test_without_a_measured_point_there_is_no_threshold(rule: DecisionRule, band: Band) -> None:
    with pytest.raises(ThresholdUnavailable):
        rule.threshold(0.99, band)


def test_points_of_one_band_are_no_stand_in_for_another() -> None:
    with pytest.raises(ThresholdUnavailable, match="crossband"):
        RULE.threshold(10.0, Band.CROSSBAND)


def test_a_flag_wins_over_the_card() -> None:
    rule = RULE.with_flags(0.9, 0.2)
    assert rule.threshold(10.0, Band.WIDEBAND).value == 0.9
    assert rule.margin == 0.2
    assert RULE.with_flags(None, None) == RULE


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_what_cannot_be_a_cosine_is_never_a_threshold(value: float) -> None:
    if math.isfinite(value) and -1 <= value <= 1:
        assert checked_cosine("threshold", value) == value
    else:
        with pytest.raises(ConfigError, match="cosine"):
            checked_cosine("threshold", value)


@pytest.mark.parametrize("value", [-0.1, 2.1, math.nan, math.inf])
def test_what_cannot_be_a_lead_is_never_a_margin(value: float) -> None:
    with pytest.raises(ConfigError, match="margin"):
        checked_margin(value)


@given(st.lists(st.tuples(st.floats(0.1, 6.0), st.booleans()), max_size=12))
def test_the_thresholds_among_clips_are_those_of_all_their_pairs(
    clips: list[tuple[float, bool]],
) -> None:
    every = set()
    for one, other in itertools.combinations(clips, 2):
        try:
            band = band_of(one[1], float(other[1]))
            every.add(RULE.threshold(min(one[0], other[0]), band))
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
