"""Thresholds between operating points, by an oracle that is written out, comparison by comparison.

The points are of any rates and amounts of speech; every amount has its own rates.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.decision.calibration import Conditions
from voiceid.decision.operating_points import FEW_REFUSED, OperatingPoint, shortage, thresholds_at

RATES = st.floats(1e-5, 0.3)


def point(
    rate: float, min_s: float, threshold: float, over_telephone: float = 0.1
) -> OperatingPoint:
    """Return a point; `over_telephone` is how much higher its threshold is on a telephone."""
    return OperatingPoint(rate, min_s, threshold, threshold + over_telephone, rate, 0.1, 1000, 100)


def of(net_speech_s: list[float], telephone: list[float]) -> Conditions:
    n = len(net_speech_s)
    return Conditions(
        net_speech_s=np.array(net_speech_s, dtype=float),
        snr_db=np.full(n, np.nan),
        enrolled_speech_s=np.full(n, 10.0),
        n_enrolled=np.ones(n),
        telephone=np.array(telephone, dtype=float),
    )


@st.composite
def points(draw: st.DrawFn) -> list[OperatingPoint]:
    """Draw points whose thresholds rise as rates fall, for one to three amounts of speech."""
    found = []
    for min_s in draw(st.lists(st.sampled_from([1.0, 2.0, 4.0, 7.5]), min_size=1, unique=True)):
        threshold = draw(st.floats(0.1, 0.4))
        apart = st.lists(RATES, min_size=1, max_size=4, unique_by=lambda rate: f"{rate:.2g}")
        for rate in sorted(draw(apart))[::-1]:
            threshold += draw(st.floats(0.0, 0.1))
            found.append(point(rate, min_s, threshold, draw(st.floats(0.0, 0.3))))
    return draw(st.permutations(found))


COMPARISONS = st.lists(
    st.tuples(st.one_of(st.floats(0.0, 12.0), st.just(math.nan)), st.floats(0.0, 1.0)),
    min_size=1,
    max_size=6,
)


def by_hand(all_points: list[OperatingPoint], rate: float, net_s: float, share: float) -> float:
    """Return one threshold: the nearest rates on either side, weighed by their logarithms."""
    reached = [p.min_net_speech_s for p in all_points if p.min_net_speech_s <= net_s]
    if not reached:
        return math.nan
    own = [p for p in all_points if p.min_net_speech_s == max(reached)]
    stricter = [p for p in own if p.target_fmr * (1.0 - 1e-9) <= rate]  # rounding is forgiven
    looser = [p for p in own if p.target_fmr >= rate]
    if not stricter:
        return math.nan
    low = max(stricter, key=lambda p: p.target_fmr)
    high = min(looser, key=lambda p: p.target_fmr) if looser else low

    def at(p: OperatingPoint) -> float:
        return (1.0 - share) * p.threshold + share * p.telephone_threshold

    if high.target_fmr == low.target_fmr:
        return at(low)
    part = math.log(rate / low.target_fmr) / math.log(high.target_fmr / low.target_fmr)
    return (1.0 - part) * at(low) + part * at(high)


def test_of_known_points_the_thresholds_are_known() -> None:
    both = [point(0.01, 1.0, 0.4), point(0.0001, 1.0, 0.6, over_telephone=0.2)]
    found = thresholds_at(both, 0.001, of([3.0, 3.0, 3.0], [0.0, 1.0, 0.5]))
    assert found == pytest.approx([0.5, 0.65, 0.575])


@given(points(), RATES, COMPARISONS)
def test_thresholds_are_those_of_the_oracle(
    all_points: list[OperatingPoint], rate: float, comparisons: list[tuple[float, float]]
) -> None:
    speech, shares = map(list, zip(*comparisons, strict=True))
    found = thresholds_at(all_points, rate, of(speech, shares))
    expected = [by_hand(all_points, rate, *one) for one in comparisons]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(points())
def test_at_a_measured_rate_the_threshold_is_the_point_s(all_points: list[OperatingPoint]) -> None:
    for one in all_points:
        of_step = [p for p in all_points if p.min_net_speech_s == one.min_net_speech_s]
        given_ = of([one.min_net_speech_s] * 2, [0.0, 1.0])
        expected = [one.threshold, one.telephone_threshold]
        for rate in (one.target_fmr, one.target_fmr * (1.0 - 1e-12)):  # as arithmetic rounds
            assert thresholds_at(of_step, rate, given_) == pytest.approx(expected, abs=1e-9)


@given(points(), st.floats(0.01, 0.999), COMPARISONS)
def test_below_the_strictest_rate_there_is_none(
    all_points: list[OperatingPoint], part: float, comparisons: list[tuple[float, float]]
) -> None:
    speech, shares = map(list, zip(*comparisons, strict=True))
    rate = part * min(p.target_fmr for p in all_points)
    assert np.isnan(thresholds_at(all_points, rate, of(speech, shares))).all()


@given(points(), COMPARISONS)
def test_above_the_loosest_rate_it_is_the_loosest_s(
    all_points: list[OperatingPoint], comparisons: list[tuple[float, float]]
) -> None:
    speech, shares = map(list, zip(*comparisons, strict=True))
    given_ = of(speech, shares)
    loosest = [
        max(
            (p for p in all_points if p.min_net_speech_s == step),
            key=lambda point: point.target_fmr,
        )
        for step in {p.min_net_speech_s for p in all_points}
    ]
    np.testing.assert_array_equal(
        thresholds_at(all_points, 0.5, given_), thresholds_at(loosest, 0.5, given_)
    )


@given(points(), RATES, st.floats(0.0, 1.0))
def test_an_unknown_amount_of_speech_or_line_has_none(
    all_points: list[OperatingPoint], rate: float, share: float
) -> None:
    given_ = of([math.nan, 12.0], [share, math.nan])
    assert np.isnan(thresholds_at(all_points, rate, given_)).all()


def test_a_point_holds_from_its_net_speech_up_to_the_next() -> None:
    steps = [point(0.001, 4.0, 0.6), point(0.001, 1.0, 0.4), point(0.001, 2.0, 0.5)]
    speech = [0.0, 0.999, 1.0, 1.999, 2.0, 3.999, 4.0, 1e6]
    found = thresholds_at(steps, 0.001, of(speech, [0.0] * len(speech)))
    np.testing.assert_allclose(found, [np.nan, np.nan, 0.4, 0.4, 0.5, 0.5, 0.6, 0.6])


def test_more_speech_never_takes_the_threshold_of_less_for_want_of_a_rate() -> None:
    steps = [point(0.001, 1.0, 0.4), point(0.01, 4.0, 0.6)]
    np.testing.assert_allclose(
        thresholds_at(steps, 0.001, of([3.0, 4.0], [0.0, 0.0])), [0.4, np.nan]
    )


@given(points(), RATES, st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6))
def test_the_threshold_never_falls_along_the_share_of_a_telephone(
    all_points: list[OperatingPoint], rate: float, shares: list[float]
) -> None:
    found = thresholds_at(all_points, rate, of([12.0] * len(shares), sorted(shares)))
    if not np.isnan(found).all():
        assert np.all(np.diff(found) >= -1e-12)


@given(
    st.lists(st.floats(0.1, 0.9), min_size=2, max_size=5),
    st.lists(RATES, min_size=2, max_size=6),
    st.floats(0.0, 1.0),
)
def test_a_stricter_rate_never_has_a_lower_threshold(
    thresholds: list[float], asked: list[float], share: float
) -> None:
    own = [point(0.3 / 10**i, 1.0, t) for i, t in enumerate(sorted(thresholds))]
    found = np.array(
        [thresholds_at(own, rate, of([3.0], [share]))[0] for rate in sorted(asked)[::-1]]
    )
    kept = found[~np.isnan(found)]
    assert np.all(np.diff(kept) >= -1e-12)
    assert not np.isnan(found[: len(kept)]).any(), "looser rates than one that is kept are"


def test_without_points_there_is_no_threshold() -> None:
    assert np.isnan(thresholds_at([], 0.1, of([3.0, 9.0], [0.0, 1.0]))).all()
    assert thresholds_at([point(0.1, 1.0, 0.5)], 0.1, of([], [])).shape == (0,)


def refused(rate: float, min_s: float, fnmr: float) -> OperatingPoint:
    return OperatingPoint(rate, min_s, 0.5, 0.5, rate, fnmr, 1000, 100)


def test_a_clip_is_short_of_the_speech_with_which_few_were_refused() -> None:
    steps = [(1.0, 0.2), (2.0, 0.05), (4.0, FEW_REFUSED), (8.0, 0.001)]
    card = [refused(0.001, min_s, fnmr) for min_s, fnmr in steps]
    missing = shortage(card, 0.001, 2.5)
    assert missing is not None
    assert (missing.more_speech_s, missing.fnmr, missing.fnmr_then) == (1.5, 0.05, FEW_REFUSED)
    assert shortage(card, 0.001, 4.0) is None


def test_where_many_are_always_refused_the_fewest_are_enough() -> None:
    card = [refused(0.001, 1.0, 0.3), refused(0.001, 2.0, 0.1), refused(0.001, 4.0, 0.2)]
    missing = shortage(card, 0.001, 0.5)
    assert missing is not None
    assert (missing.more_speech_s, missing.fnmr, missing.fnmr_then) == (1.5, None, 0.1)


def test_no_speech_is_missing_where_the_score_is_that_of_a_stranger() -> None:
    card = [refused(0.1, 1.0, FEW_REFUSED), refused(0.001, 1.0, 0.2), refused(0.001, 4.0, 0.01)]
    assert shortage(card, 0.001, 2.0, 0.4999) is None
    assert shortage(card, 0.001, 2.0, 0.5) is not None
    assert shortage(card, 0.001, 0.5, 0.4999) is not None, "nothing is known of so little"
    card[0] = refused(0.1, 1.0, 2 * FEW_REFUSED)
    assert shortage(card, 0.001, 2.0, 0.4999) is not None, "right people have such scores too"


def test_a_rate_that_little_speech_does_not_support_is_short_of_more() -> None:
    card = [refused(0.01, 1.0, 0.1), refused(0.001, 4.0, 0.1), refused(0.01, 4.0, 0.001)]
    missing = shortage(card, 0.001, 1.5)
    assert missing is not None
    assert (missing.more_speech_s, missing.fnmr) == (2.5, None)
    assert shortage(card, 0.0001, 1.5) is None


@given(points(), RATES, st.floats(0.0, 12.0))
def test_with_what_is_missing_nothing_is_missing(
    card: list[OperatingPoint], rate: float, net_s: float
) -> None:
    missing = shortage(card, rate, net_s)
    if missing is not None:
        assert missing.more_speech_s > 0
        assert shortage(card, rate, net_s + missing.more_speech_s + 1e-9) is None
