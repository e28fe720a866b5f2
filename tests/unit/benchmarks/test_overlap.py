"""What tells two who speak at once from an echo is learned, and written beside the card."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import overlap
from benchmarks.overlap import Row, Trial
from voiceid.models.cards import load_cards, shipped_cards_folder


def test_weights_part_one_from_two_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(400):
        two = i % 2 == 1
        statistics = rng.standard_normal(8) + 3 * two * np.eye(8)[2]
        trial = Trial(f"s{i % 20}", 1.5, 0 if two else None, "clean", float(two))
        rows.append(Row(trial, 0.5, statistics.astype(np.float32)))
    weights = overlap.fit(rows)
    above = overlap.scored(rows, weights) > 0
    assert np.mean(above[1::2]) == pytest.approx(overlap.KEPT, abs=0.02)
    assert np.mean(above[::2]) < 0.25

    shutil.copy(shipped_cards_folder() / "campplus.toml", tmp_path)
    before = load_cards(tmp_path)["campplus"]
    monkeypatch.setattr(overlap, "shipped_cards_folder", lambda: tmp_path)
    for _ in range(2):  # the second time over its own work
        overlap.write("campplus", weights)
    after = load_cards(tmp_path)["campplus"]
    assert np.array_equal(after.overlap(), weights)
    assert after.overlap_sha256 != before.overlap_sha256
    assert after.operating_points == before.operating_points
