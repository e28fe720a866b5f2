"""How a threshold is chosen, and how it gets into a card."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibrate
from benchmarks.trials import Table
from voiceid.registry import load_cards, shipped_cards_folder


def table(impostor_mean: float, rng: np.random.Generator, n: int = 4000) -> Table:
    genuine, same_sex = np.arange(2 * n) < n, rng.integers(0, 2, 2 * n) == 1
    mean = np.where(genuine, 0.7, impostor_mean + 0.1 * same_sex)
    score = rng.normal(mean, 0.1)
    speaker = rng.integers(0, 20, 2 * n)
    return Table(
        score=score,
        net_speech_s=rng.uniform(1.0, 12.0, 2 * n),
        genuine=genuine,
        same_sex=same_sex,
        enrolled=np.where(genuine, speaker, (speaker + 1) % 20),
        speaker=speaker,
    )


@pytest.fixture
def points() -> tuple[dict[str, Table], list[calibrate.Point]]:
    rng = np.random.default_rng(0)
    tables = {"clean": table(0.0, rng), "worse": table(0.2, rng)}
    return tables, calibrate.fit(tables, target=0.01)


def test_the_worst_condition_sets_the_threshold(points) -> None:
    tables, found = points
    for point, high in zip(found, calibrate.BUCKETS_S[1:], strict=True):
        for one in tables.values():
            strangers = one.between(point.min_net_speech_s, high).other
            close = strangers.where(strangers.same_sex).score
            assert np.mean(close >= point.threshold) <= 0.01
        assert point.fmr < point.fmr_worst <= 0.01
        assert point.fmr < point.fmr_upper
        assert point.fnmr < point.fnmr_upper
        # One hundredth lower and the worst condition would miss its target.
        worst = tables["worse"].between(point.min_net_speech_s, high).other
        assert np.mean(worst.where(worst.same_sex).score >= point.threshold - 0.01) > 0.01


def test_points_are_written_into_a_card_that_reads_back(points, tmp_path: Path) -> None:
    card = tmp_path / "campplus.toml"
    shutil.copy(shipped_cards_folder() / "campplus.toml", card)
    before = load_cards(tmp_path)["campplus"]
    for _ in range(2):  # the second time over its own work
        calibrate.write_points(
            card, "\n".join(calibrate.toml_of(points[1], name) for name in calibrate.POINTS)
        )
    after = load_cards(tmp_path)["campplus"]
    assert [p.threshold for p in after.operating_points] == [
        pytest.approx(p.threshold) for p in points[1]
    ]
    assert after.narrowband_points == after.operating_points
    assert [p.min_net_speech_s for p in after.operating_points] == [1.0, 2.0, 4.0, 8.0]
    assert after.selftest == before.selftest
    assert after.source == before.source
