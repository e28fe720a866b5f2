"""What is split, how what held is counted, and that fits are judged on strangers only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import calibrated
from benchmarks.calibrated import Comparisons, Held, Judged, compared, degraded, halves, judge
from benchmarks.trials import Voice
from voiceid.decision.calibration import CalibratedPoint, Calibration
from voiceid.decision.embeddings import unit
from voiceid.domain import EmbeddingSpace
from voiceid.evaluation.degradations import Clip
from voiceid.evaluation.fitting import PRIORS

SPACE = EmbeddingSpace("test", 16, "0" * 64, "none", "none", "none")


def voices(speakers: int, takes: int, seed: int = 0) -> list[Voice]:
    rng = np.random.default_rng(seed)
    own = rng.standard_normal((speakers, SPACE.dim))
    found = []
    for take in range(takes):
        for s in range(speakers):
            vector = unit((own[s] + 0.8 * rng.standard_normal(SPACE.dim)).astype(np.float32))
            net_s = float(rng.uniform(1.0, 8.0))
            found.append(Voice(f"{s}-{take}", f"s{s}", "F", net_s, np.nan, 0.1, vector))
    return found


def site(speakers: int = 10, takes: int = 8, seed: int = 0) -> Comparisons:
    return compared(voices(speakers, takes, seed), SPACE)


def judged(fmr: float, bounds: tuple[float, float] = (0.005, 0.02)) -> Judged:
    costs = (0.5,) * len(PRIORS)
    return Judged(1.0, 0.2, 0.1, costs, costs, (Held(0.01, bounds, fmr, 0.1),))


def test_halves_share_no_speaker_and_come_in_both_directions() -> None:
    everybody = np.arange(10) * 7
    found = [(tuple(a), tuple(b)) for a, b in halves(everybody, 20)]
    assert len(found) == 40
    assert len(set(found)) == 40
    assert all(sorted(one + other) == everybody.tolist() for one, other in found)
    assert all(len(one) == len(other) == 5 for one, other in found)
    assert {(b, a) for a, b in found} == set(found)


def test_there_are_no_more_halves_than_ways_to_split() -> None:
    assert len(list(halves(np.arange(4), 20))) == 6


@pytest.mark.parametrize(
    ("fmr", "within", "above"), [(0.005, True, False), (0.021, False, True), (0.004, False, False)]
)
def test_a_rate_is_within_its_bounds_or_above_or_below(
    fmr: float, within: bool, above: bool
) -> None:
    one = Held(0.01, (0.005, 0.02), fmr, 0.1)
    assert (one.within, one.above) == (within, above)


def test_a_row_counts_the_fits_whose_rate_was_within_the_bounds() -> None:
    rows = list(calibrated.held_rows("x", [judged(rate) for rate in (0.006, 0.01, 0.03, 0.001)]))
    assert len(rows) == 1  # none of them supports the other target
    row = dict(zip(calibrated.HELD_HEADERS, rows[0], strict=True))
    assert row["fits"] == "4"
    assert row["within the bounds, % of fits"] == "50"
    assert row["above them, %"] == "25"
    assert row["FMR by target, median"] == "0.80"
    assert row["least and most"] == "0.10 to 3.00"


def test_the_trials_among_some_speakers_are_of_these_alone() -> None:
    whole = site()
    some = whole.among(np.array([1, 4, 7]))
    assert set(some.everybody) == {1, 4, 7}
    both = np.isin(whole.speakers, [1, 4, 7]).all(axis=1)
    assert len(some.scores) == int(both.sum()) == len(some.conditions)


def test_numbers_of_speakers_say_who_is_the_same() -> None:
    found = site(speakers=12)  # as names, s10 comes before s2
    np.testing.assert_array_equal(found.target, found.speakers[:, 0] == found.speakers[:, 1])


def test_a_take_is_never_compared_with_itself_through_another_condition() -> None:
    own = voices(2, 1)
    again = [replace(voice, telephone=0.9) for voice in own]
    other = voices(2, 2, seed=1)[2:]
    found = compared([*own, *again, *other], SPACE)
    assert found.scores[found.target].max() < 0.999


def test_each_clip_goes_through_different_conditions_and_neighbours_are_of_different_clips() -> (
    None
):
    rng = np.random.default_rng(0)
    clips = [
        Clip(f"r{i}", "a", "F", rng.normal(0, 0.1, 48_000).astype(np.float32), 16_000)
        for i in range(5)
    ]
    found = degraded(clips, 3, (1.3, 1.8))
    assert [clip.recording for clip in found] == [f"r{i}" for i in range(5)] * 3
    assert {round(clip.duration_s, 1) for clip in found} == {1.3, 1.8}
    again = degraded(clips, 3, (1.3, 1.8))
    for one, two in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.samples, two.samples)


def test_a_calibration_is_judged_by_its_rates_at_the_llrs_of_its_points() -> None:
    points = (
        CalibratedPoint(0.01, 0.0, (0.0, 0.4), 0.1, (0.0, 0.2)),
        CalibratedPoint(0.005, 1.0, (0.0, 0.4), 0.1, (0.0, 0.2)),
    )
    calibration = Calibration(2.0, -1.0, (), (0.0, 0.1), 2.0, points, 300)
    on = site()
    found = judge(calibration, on)
    kept = on.conditions.net_speech_s >= 2.0
    assert found.covered == pytest.approx(kept.mean())
    (one,) = found.held
    impostor = on.scores[kept & ~on.target]
    assert one.fmr == pytest.approx(np.mean(impostor >= 0.5))
    assert found.cllr >= found.min_cllr


def test_a_fit_on_some_speakers_holds_for_others_of_the_same_kind() -> None:
    whole = site(speakers=16, takes=8)
    found = judge(whole.among(np.arange(8)).fitted().calibration, whole.among(np.arange(8, 16)))
    assert found.ratio < 1.5
    assert found.held[0].fmr < 0.05
