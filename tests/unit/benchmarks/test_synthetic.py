"""What is made for the study of synthetic speech, and what its checks measure."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.consistency import background_step_db, in_two, longest_silence_s
from benchmarks.copies import RATE_HZ, joined
from benchmarks.synthetic import farther
from voiceid.evaluation.degradations import Clip


@pytest.fixture
def clip(ami) -> Clip:
    return Clip("r", "alice", "F", ami.samples("alice-1"), RATE_HZ)


def test_how_much_farther_is_the_chance_against_a_real_clip() -> None:
    real = np.array([0.5, 0.6, 0.7, 0.8])
    assert farther(np.array([0.1]), real) == 1.0
    assert farther(np.array([0.9]), real) == 0.0
    assert farther(np.array([0.65]), real) == 0.5


def test_joined_pieces_are_the_speakers_own(clip: Clip) -> None:
    made = joined([clip], 2.0, 7).samples
    middle = made[3200 : 3200 + 64]  # of the first piece, away from its ends
    windows = np.lib.stride_tricks.sliding_window_view(clip.samples, 64)
    assert np.abs(windows - middle).max(axis=1).min() < 1e-6


def test_zeros_within_speech_and_a_louder_background_are_measured(clip: Clip) -> None:
    assert longest_silence_s(clip.samples) < 0.01
    assert longest_silence_s(in_two(clip, clip, 0.25).samples) == pytest.approx(0.25, abs=0.01)
    rng = np.random.default_rng(0)
    quiet, loud = (rng.normal(0, level, 2 * RATE_HZ).astype("f4") for level in (1e-3, 1e-2))
    assert background_step_db(quiet) < 1.0
    assert background_step_db(np.concatenate([quiet, loud])) == pytest.approx(20.0, abs=1.0)
