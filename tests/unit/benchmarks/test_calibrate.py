"""How a threshold is chosen, and how it gets into a card."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibrate
from benchmarks.trials import BANDS, Table
from voiceid.domain import Band
from voiceid.models.cards import load_cards, shipped_cards_folder


def table(impostor_mean: float, rng: np.random.Generator, n: int = 24_000) -> Table:
    """Return scores in which same-sex strangers, and those of narrowband, are more alike."""
    genuine, same_sex = np.arange(2 * n) < n, rng.integers(0, 2, 2 * n) == 1
    band = rng.integers(0, len(BANDS), 2 * n)
    stranger = impostor_mean + 0.1 * same_sex + 0.1 * (band == BANDS.index(Band.NARROWBAND))
    speaker = rng.integers(0, 20, 2 * n)
    return Table(
        score=rng.normal(np.where(genuine, 0.7, stranger), 0.1),
        net_speech_s=rng.uniform(1.0, 12.0, 2 * n),
        genuine=genuine,
        same_sex=same_sex,
        band=band,
        enrolled=np.where(genuine, speaker, (speaker + 1) % 20),
        speaker=speaker,
    )


TARGETS = (0.1, 0.02)


@pytest.fixture(scope="module")
def points() -> tuple[dict[str, Table], list[calibrate.Point]]:
    rng = np.random.default_rng(0)
    tables = {"clean": table(0.0, rng), "worse": table(0.2, rng)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "SHOWN", min(TARGETS))
        return tables, calibrate.fit(tables, TARGETS)


def test_the_worst_condition_sets_the_threshold(points) -> None:
    tables, found = points
    assert len(found) == len(TARGETS) * len(Band) * (len(calibrate.BUCKETS_S) - 1)
    for point in found:
        target = point.target_fmr
        for one in tables.values():
            strangers = point.of(one).other
            close = strangers.where(strangers.same_sex).score
            assert np.mean(close >= point.threshold) <= target
        assert point.fmr < point.fmr_worst <= target
        assert point.fmr < point.fmr_upper or target != min(TARGETS)
        assert point.fnmr < point.fnmr_upper
        # One hundredth lower and the worst condition would miss its target.
        worst = point.of(tables["worse"]).other
        assert np.mean(worst.where(worst.same_sex).score >= point.threshold - 0.01) > target


def test_narrowband_gets_higher_thresholds_when_strangers_are_more_alike(points) -> None:
    strict = [p for p in points[1] if p.target_fmr == min(TARGETS)]
    by_band = {band: [p.threshold for p in strict if p.band is band] for band in Band}
    assert min(by_band[Band.NARROWBAND]) > max(by_band[Band.WIDEBAND])


def test_a_condition_with_too_few_trials_sets_no_threshold(points) -> None:
    tables, found = points
    few = tables["worse"].where(np.arange(len(tables["worse"].score)) % 400 == 0)
    few.score[:] = 0.99
    again = calibrate.fit({**tables, "few": few}, TARGETS)
    assert [p.threshold for p in again] == [p.threshold for p in found]


def test_a_target_that_the_worst_condition_is_too_small_for_has_no_point(points) -> None:
    """By the rule of three; the many strangers of a harmless condition do not help."""
    tables, _ = points
    few = tables["worse"].where(np.arange(len(tables["worse"].score)) % 2 == 0)
    found = calibrate.fit({"clean": tables["clean"], "worse": few}, (0.1, 0.02, 0.004))
    left_out = 0
    for band in Band:
        for low, high in itertools.pairwise(calibrate.BUCKETS_S):
            strangers = few.of_band(band).between(low, high).other
            n_close = int(np.sum(strangers.same_sex))
            mine = [p.target_fmr for p in found if (p.band, p.min_net_speech_s) == (band, low)]
            assert mine == [target for target in (0.1, 0.02, 0.004) if n_close >= 3 / target]
            left_out += len(mine) < 3
    assert left_out > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_threshold_never_falls_as_the_target_gets_stricter(seed: int) -> None:
    """Not even when the stricter target has fewer conditions to be judged by."""
    rng = np.random.default_rng(seed)
    tables = {"worse": table(0.1, rng), "many": table(0.08, rng, n=60_000)}
    found = calibrate.fit(tables, (0.2, 0.02, 0.005))
    for band in Band:
        for low in calibrate.BUCKETS_S[:-1]:
            mine = [p for p in found if (p.band, p.min_net_speech_s) == (band, low)]
            assert [p.target_fmr for p in mine] == sorted(
                (p.target_fmr for p in mine), reverse=True
            )
            assert [p.threshold for p in mine] == sorted(p.threshold for p in mine)
            assert [p.fmr for p in mine] == sorted((p.fmr for p in mine), reverse=True)
            assert [p.fnmr for p in mine] == sorted(p.fnmr for p in mine)


@pytest.mark.parametrize("model", ["campplus", "campplus-int8", "ge2e", "ge2e-800ms"])
def test_shipped_thresholds_never_fall_as_the_target_gets_stricter(model: str) -> None:
    points = load_cards(shipped_cards_folder())[model].operating_points
    assert {p.target_fmr for p in points} == set(calibrate.TARGETS)
    for band in Band:
        for low in calibrate.BUCKETS_S[:-1]:
            mine = [p for p in points if (p.band, p.min_net_speech_s) == (band.value, low)]
            assert len(mine) >= 2
            thresholds = {p.target_fmr: p.threshold for p in mine}
            assert [thresholds[t] for t in sorted(thresholds)] == sorted(
                thresholds.values(), reverse=True
            )


def test_points_are_written_into_a_card_that_reads_back(points, tmp_path: Path) -> None:
    card = tmp_path / "campplus.toml"
    shutil.copy(shipped_cards_folder() / "campplus.toml", card)
    before = load_cards(tmp_path)["campplus"]
    for _ in range(2):  # the second time over its own work
        calibrate.write_points(card, calibrate.toml_of(points[1]))
    after = load_cards(tmp_path)["campplus"]
    assert [
        (p.band, p.target_fmr, p.min_net_speech_s, p.threshold) for p in after.operating_points
    ] == [
        (p.band.value, p.target_fmr, p.min_net_speech_s, pytest.approx(p.threshold))
        for p in points[1]
    ]
    assert after.selftest == before.selftest
    assert after.source == before.source
