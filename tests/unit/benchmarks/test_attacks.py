"""How loud the added sounds are, and what is counted under an attack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks import attacks
from benchmarks.trials import Voice
from voiceid.decision.embeddings import unit
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.evaluation.degradations import Clip

RATE_HZ = 16_000
RULE = DecisionRule("a model", [OperatingPoint(0.001, 1.0, 0.5, 0.6, 0.0, 0.0, 1, 1)], 0.05)


def clip(speaker: str, sex: str = "F") -> Clip:
    """Return noise of -26 dBFS with a silent second half."""
    rng = np.random.default_rng(ord(speaker))
    samples = 0.05 * rng.standard_normal(8 * RATE_HZ).astype(np.float32)
    samples[4 * RATE_HZ :] = 0.0
    return Clip(f"{speaker}-0", speaker, sex, samples, RATE_HZ)


def added_by(change) -> np.ndarray:
    one = clip("a")
    return change(one).samples.astype(np.float64) - one.samples


def test_the_level_of_speech_is_that_of_its_louder_half() -> None:
    assert attacks.speech_level(clip("a").samples) == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize(
    ("change", "below_db"),
    [
        (attacks.with_tone, 0.0),
        (attacks.with_beeps, 0.0),
        (attacks.with_following_tone, 0.0),
        (attacks.with_sweep, 0.0),
        (attacks.with_hiss, 20.0),
    ],
)
def test_sounds_are_as_loud_as_they_say(change, below_db: float) -> None:
    level_db = 20 * np.log10(np.sqrt(np.mean(added_by(change) ** 2)) / 0.05)
    assert level_db == pytest.approx(-below_db, abs=0.2)


@pytest.mark.parametrize(
    ("change", "hz"), [(attacks.with_tone, attacks.TONE_HZ), (attacks.with_beeps, attacks.BEEP_HZ)]
)
def test_tones_and_beeps_are_of_one_frequency(change, hz: float) -> None:
    power = np.abs(np.fft.rfft(added_by(change))) ** 2
    near = np.abs(np.fft.rfftfreq(8 * RATE_HZ, 1 / RATE_HZ) - hz) < 100
    assert power[near].sum() > 0.99 * power.sum()


def test_a_tone_that_follows_the_speech_is_silent_in_its_pauses() -> None:
    first, second = np.abs(added_by(attacks.with_following_tone)).reshape(2, -1)
    assert first.max() > 0.05
    assert second[RATE_HZ // 10 :].max() < 1e-6


def test_a_sweep_rises_from_its_lowest_to_its_highest_frequency() -> None:
    pieces = added_by(attacks.with_sweep).reshape(80, -1)[[0, -1]]
    loudest = np.abs(np.fft.rfft(pieces, axis=1)).argmax(axis=1) * RATE_HZ / pieces.shape[1]
    assert loudest == pytest.approx(attacks.SWEEP_HZ, abs=100)


def test_beeps_are_silent_for_half_of_the_time() -> None:
    frames = np.abs(added_by(attacks.with_beeps)).reshape(16, -1).max(axis=1)
    assert (frames > 0.01).tolist() == [True, False] * 8


def test_a_sound_that_would_clip_makes_all_softer_instead() -> None:
    one = clip("a")
    loud = attacks.with_tone(Clip("a-0", "a", "F", 10 * one.samples, RATE_HZ)).samples
    assert np.max(np.abs(loud)) == pytest.approx(1.0)


class OneVoice:
    """Hears one and the same voice in every clip; of cuts with a sound, in every second."""

    def __init__(self) -> None:
        self.times = 0

    def hear(self, clips: Sequence[Clip]) -> list[Voice]:
        self.times += 1
        deaf = self.times > 1 + len(attacks.CUTS_S)
        return [self._voice(one, deaf=deaf and i % 2 == 1) for i, one in enumerate(clips)]

    def _voice(self, one: Clip, *, deaf: bool) -> Voice:
        vector = None if deaf else unit(np.ones(4, np.float32))
        return Voice(one.recording, one.speaker, one.sex, 3.0, 30.0, 0.0, vector)


def test_only_strangers_of_one_sex_are_counted() -> None:
    people = [clip("a"), clip("b"), clip("c"), clip("d", "M")]
    rows = list(attacks.attack_rows(RULE, OneVoice(), people))
    assert [row[0] for row in rows] == [name for name in attacks.ATTACKS for _ in attacks.CUTS_S]
    row = dict(zip(attacks.HEADERS, rows[0], strict=True))
    assert row["accepted / compared"] == "6 / 6"  # three women, each by two others
    assert (row["FMR %, same sex"], row["threshold, mean"]) == ("100.00", "0.500")
    assert row["without a score, %"] == "0.00"
    row = dict(zip(attacks.HEADERS, rows[-1], strict=True))
    assert (row["without a score, %"], row["accepted / compared"]) == ("50.00", "4 / 4")


def test_without_strangers_of_one_sex_there_is_no_rate() -> None:
    for row in attacks.attack_rows(RULE, OneVoice(), [clip("a"), clip("d", "M")]):
        assert row[3:] == ["-"] * 5


def test_no_stranger_in_a_hundred_says_three_percent_at_most() -> None:
    speakers = np.stack([np.arange(100), np.arange(100) + 1], axis=1)
    assert attacks.fmr_upper(np.zeros(100, bool), speakers) == pytest.approx(0.03, abs=1e-3)
    some = np.arange(100) < 10
    assert 0.1 < attacks.fmr_upper(some, speakers) < 0.3
