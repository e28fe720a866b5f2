"""What is compared with what, how a threshold is chosen, and how it gets into a card."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibrate
from voiceid.decision.calibration import Conditions
from voiceid.decision.compensation import Compensation
from voiceid.decision.operating_points import thresholds_at
from voiceid.evaluation import model_fit
from voiceid.evaluation.degradations import Clip
from voiceid.evaluation.model_fit import BUCKETS_S, Comparisons, Fitted, Part
from voiceid.models.cards import load_cards, shipped_cards_folder

TARGETS = (0.1, 0.02)
Parts = list[tuple[bool, Comparisons]]


def fit(parts: Parts, targets: tuple[float, ...]) -> Fitted:
    """Fit to comparisons of as many pairs of conditions."""
    own = [Part((f"{i}", "clean"), line, 1, found) for i, (line, found) in enumerate(parts)]
    return model_fit.fit(own, targets)


def part(
    impostor_mean: float, rng: np.random.Generator, n: int = 12_000, telephone: float = 0.0
) -> Comparisons:
    """Return scores of 20 speakers in which strangers of one sex are more alike."""
    genuine, same_sex = np.arange(2 * n) < n, rng.integers(0, 2, 2 * n) == 1
    speaker = rng.integers(0, 20, 2 * n)
    enrolled = np.where(genuine, speaker, (speaker + 1) % 20)
    return Comparisons(
        scores=rng.normal(np.where(genuine, 0.7, impostor_mean + 0.1 * same_sex), 0.1),
        genuine=genuine,
        same_sex=same_sex,
        conditions=Conditions(
            net_speech_s=rng.uniform(1.0, 8.0, 2 * n),
            snr_db=np.full(2 * n, 30.0),
            enrolled_speech_s=np.full(2 * n, 20.0),
            n_enrolled=np.full(2 * n, 3.0),
            telephone=np.full(2 * n, telephone),
        ),
        speakers=np.stack([enrolled, speaker], axis=1),
    )


def strangers(one: Comparisons, low_s: float) -> Comparisons:
    """Return the strangers of one sex among the clips of the bucket that begins there."""
    high_s = BUCKETS_S[BUCKETS_S.index(low_s) + 1]
    net_speech_s = one.conditions.net_speech_s
    inside = (net_speech_s >= low_s) & (net_speech_s < high_s)
    return one.where(inside & ~one.genuine & one.same_sex)


def matches(fitted: Fitted, target: float, one: Comparisons) -> float:
    """Return the rate of the comparisons that are accepted."""
    return float(np.mean(one.scores >= thresholds_at(fitted.points, target, one.conditions)))


@pytest.fixture(scope="module", autouse=True)
def _few_trials_for_llrs() -> Iterator[None]:
    """Fit LLRs to few trials: thresholds, which are looked at here, do not depend on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_fit, "_FITTED", 8000)
        yield


@pytest.fixture(scope="module")
def fitted() -> tuple[Parts, Fitted]:
    rng = np.random.default_rng(0)
    parts = [
        (False, part(0.0, rng)),
        (False, part(0.1, rng)),
        (True, part(0.2, rng, telephone=1.0)),
        (True, part(0.15, rng, telephone=0.5)),
    ]
    return parts, fit(parts, TARGETS)


def test_the_worst_condition_sets_each_of_the_two_thresholds(fitted) -> None:
    parts, found = fitted
    assert [(p.target_fmr, p.min_net_speech_s) for p in found.points] == [
        (target, low) for low in BUCKETS_S[:-1] for target in TARGETS
    ]
    for point in found.points:
        target, low = point.target_fmr, point.min_net_speech_s
        rates = [matches(found, target, strangers(one, low)) for _, one in parts]
        assert max(rates) <= target
        assert found.worst[target, low] == pytest.approx(max(rates))
        assert point.fmr < max(rates)
        # A little lower, and the worst condition of either line would miss its target.
        worst_wideband, worst_phone = (strangers(parts[i][1], low).scores for i in (1, 2))
        assert np.mean(worst_wideband >= point.threshold - 0.005) > target
        lower = np.mean(worst_phone >= point.telephone_threshold - 0.005)
        seeming = strangers(parts[3][1], low).scores
        middle = (point.threshold + point.telephone_threshold - 0.005) / 2
        assert lower > target or np.mean(seeming >= middle) > target


def test_a_telephone_that_is_half_recognized_is_kept_out_as_well(fitted) -> None:
    parts, found = fitted
    for low in BUCKETS_S[:-1]:
        for target in TARGETS:
            assert matches(found, target, strangers(parts[3][1], low)) <= target


def test_a_telephone_gets_higher_thresholds_when_strangers_are_more_alike(fitted) -> None:
    assert all(p.telephone_threshold > p.threshold for p in fitted[1].points)


def test_a_telephone_never_gets_a_lower_threshold_than_all_else() -> None:
    rng = np.random.default_rng(1)
    parts = [(False, part(0.2, rng, 4000)), (True, part(0.0, rng, 4000, telephone=1.0))]
    assert all(p.telephone_threshold >= p.threshold for p in fit(parts, TARGETS).points)


def test_a_condition_with_too_few_trials_sets_no_threshold(fitted) -> None:
    parts, found = fitted
    few = parts[1][1].where(np.arange(len(parts[1][1].scores)) % 400 == 0)
    few.scores[~few.genuine] = 0.9
    again = fit([*parts, (False, few)], TARGETS)
    assert [(p.threshold, p.telephone_threshold) for p in again.points] == [
        (p.threshold, p.telephone_threshold) for p in found.points
    ]


def test_a_target_that_no_condition_of_a_line_has_enough_for_has_no_point(fitted) -> None:
    """By the rule of three; the many strangers of the other line do not help."""
    targets = (0.1, 0.02, 0.004)
    parts, _ = fitted
    phone = parts[2][1].where(np.arange(len(parts[2][1].scores)) % 4 == 0)
    found = fit([parts[1], (True, phone)], targets)
    left_out = 0
    for low in BUCKETS_S[:-1]:
        n_strangers = len(strangers(phone, low).scores)
        mine = [p.target_fmr for p in found.points if p.min_net_speech_s == low]
        assert mine == [target for target in targets if n_strangers >= 3 / target]
        left_out += len(mine) < len(targets)
    assert left_out > 0


def require_monotonous(points) -> None:
    """Thresholds rise and false matches fall as the target gets stricter."""
    for low in {p.min_net_speech_s for p in points}:
        mine = [p for p in points if p.min_net_speech_s == low]
        mine.sort(key=lambda p: -p.target_fmr)
        assert len(mine) >= 2
        for name, falls in (
            ("threshold", False),
            ("telephone_threshold", False),
            ("fmr", True),
            ("fnmr", False),
        ):
            values = [getattr(p, name) for p in mine]
            assert values == sorted(values, reverse=falls), name


@pytest.mark.parametrize("seed", range(3))
def test_a_threshold_never_falls_as_the_target_gets_stricter(seed: int) -> None:
    """Not even when the stricter target has fewer conditions to be judged by."""
    rng = np.random.default_rng(seed)
    parts = [
        (False, part(0.1, rng, 2000)),
        (False, part(0.08, rng, 12_000)),
        (True, part(0.2, rng, 2000, telephone=1.0)),
        (True, part(0.17, rng, 12_000, telephone=0.8)),
    ]
    require_monotonous(fit(parts, (0.2, 0.02, 0.005)).points)


@pytest.mark.parametrize("model", ["campplus"])
def test_shipped_thresholds_never_fall_as_the_target_gets_stricter(model: str) -> None:
    points = load_cards(shipped_cards_folder())[model].operating_points
    assert {p.target_fmr for p in points} == set(model_fit.TARGETS)
    assert {p.min_net_speech_s for p in points} == set(BUCKETS_S[:-1])
    require_monotonous(points)
    shown = [p for p in points if p.target_fmr == calibrate.SHOWN]
    assert all(0 <= p.telephone_threshold - p.threshold < 0.105 for p in shown)


def test_what_was_learned_is_written_into_a_card_that_reads_back(
    fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(shipped_cards_folder() / "campplus.toml", tmp_path)
    shutil.copy(shipped_cards_folder() / "campplus.npz", tmp_path)
    before = load_cards(tmp_path)["campplus"]
    rng = np.random.default_rng(0)
    shapes = ((before.dim + 1,), (2, before.dim))
    weights, means = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    axes = np.eye(3, before.dim, dtype=np.float32)
    learned = Compensation(weights, means, axes[:2], axes)
    monkeypatch.setattr(calibrate, "shipped_cards_folder", lambda: tmp_path)
    for _ in range(2):  # the second time over its own work
        calibrate.write("campplus", learned, fitted[1])
    text = (tmp_path / "campplus.toml").read_text(encoding="utf-8")
    assert text.count("compensation_sha256") == text.count("[calibration]") == 1
    after = load_cards(tmp_path)["campplus"]
    assert after.operating_points == fitted[1].points
    assert after.calibration == fitted[1].calibration
    assert after.compensation().digest == learned.digest
    assert (after.selftest, after.source, after.margin) == (
        before.selftest,
        before.source,
        before.margin,
    )


def clip(speaker: str, take: int, seconds: float) -> Clip:
    return Clip(f"{speaker}-{take}", speaker, "F", np.ones(int(seconds * 100), np.float32), 100)


def test_cuts_are_asked_but_never_enrolled() -> None:
    found = calibrate.pieces([clip("a", 0, 3.0)], [clip("b", 0, 6.0)])
    enrolled = [(one.clip.recording, one.clip.duration_s) for one in found if one.whole]
    assert enrolled == [("a-0", 3.0), *((f"b-0/{i}", 2.0) for i in range(3))]
    asked = [(p.clip.recording, round(p.clip.duration_s, 1)) for p in found if not p.whole]
    assert asked == [("a-0", s) for s in (1.3, 1.8, 2.5)] + [("b-0", s) for s in (1.3, 1.8, 2.5)]


@pytest.mark.parametrize(
    ("pair", "group"),
    [
        (("clean", "noise 10 dB"), "wideband"),
        (("clean", "8 kHz"), "wideband x telephone"),
        (("8 kHz", "clean"), "wideband x telephone"),
        (("8 kHz", "GSM 13 kbit/s"), "two codecs"),
        (("8 kHz", "8 kHz"), "same codec"),
    ],
)
def test_pairs_of_conditions_are_grouped_by_the_lines_they_join(pair, group) -> None:
    assert calibrate.group_of((*pair, 3)) == group


def test_rates_are_of_strangers_of_one_sex_and_of_the_right_speakers(
    fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "SHOWN", min(TARGETS))
    parts, found = fitted
    table = calibrate.rates_table("a model", {("clean", "clean", 3): parts[1][1]}, found)
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[4:] if row]
    assert [row[:3] for row in rows] == [
        ["wideband", "3", span] for span in ("1 to 2", "2 to 3", "3 to 4", "4 to 8")
    ]
    first = strangers(parts[1][1], 1.0)
    expected = 100 * matches(found, min(TARGETS), first)
    assert float(rows[0][3]) == pytest.approx(expected, abs=1e-4)
    assert int(rows[0][6]) == len(first.scores)
