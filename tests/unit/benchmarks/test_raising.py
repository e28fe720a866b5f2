"""How a rate is raised without a filter, and what is counted then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks import raising
from benchmarks.trials import Voice
from voiceid.decision.embeddings import unit
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.evaluation.degradations import Clip

RATE_HZ, TONE_HZ = 16_000, 3000.0
RULE = DecisionRule("a model", [OperatingPoint(0.001, 1.0, 0.5, 0.6, 0.0, 0.0, 1, 1)], 0.05)


def tone(speaker: str = "a") -> Clip:
    samples = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(4 * RATE_HZ) / RATE_HZ)
    return Clip(f"{speaker}-0", speaker, "F", samples.astype(np.float32), RATE_HZ)


@pytest.mark.parametrize("name", raising.WAYS)
def test_a_tone_keeps_its_length_and_gets_an_image_without_a_filter(name: str) -> None:
    clip = raising.WAYS[name](tone())
    assert clip.duration_s == pytest.approx(4.0, abs=0.05)
    power = np.abs(np.fft.rfft(clip.samples)) ** 2
    frequency_hz = np.fft.rfftfreq(len(clip.samples), 1 / clip.rate_hz)
    assert frequency_hz[np.argmax(power)] == pytest.approx(TONE_HZ, abs=2)
    image = power[(frequency_hz > 4200) & (frequency_hz < 8000)].sum() / power.sum()
    assert (image > 1e-3) == ("with a filter" not in name)


class OneVoice:
    """Hears one and the same voice in every clip."""

    def hear(self, clips: Sequence[Clip]) -> list[Voice]:
        vector = unit(np.ones(4, np.float32))
        return [Voice(c.recording, c.speaker, c.sex, 3.0, 30.0, 1.0, vector) for c in clips]


def test_every_fourth_speaker_meets_the_others_of_one_sex() -> None:
    people = [tone(speaker=name) for name in "abcdefghijkl"]
    table = raising.raised_table(RULE, OneVoice(), people)
    rows = [row.split(" | ") for row in table.splitlines()[4:] if row]
    assert [row[0].lstrip("| ") for row in rows] == list(raising.WAYS)
    assert {row[3] for row in rows} == {"6 / 6"}  # three of twelve, each by two others
