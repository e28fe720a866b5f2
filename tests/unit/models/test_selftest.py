"""The test signal is the same everywhere, and a wrong answer to it is found."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import CARDS

from voiceid.errors import SelfTestFailed
from voiceid.models import selftest
from voiceid.models.cards import SelfTest
from voiceid.models.selftest import run_selftest, speech_frames

NAMES = ["campplus", "ge2e", "ge2e-800ms", "segmentation", "silero-vad"]


def sample(n: int) -> float:
    """One sample before scaling, in plain Python floating point."""
    t = n / 16000
    swing = 2 * math.pi * 0.6
    phase = 2 * math.pi * 130 * t - 2 * math.pi * 40 / swing * math.cos(swing * t)
    pitch = 130 + 40 * math.sin(swing * t)
    voice = 0.0
    for k in range(1, 25):
        bumps = sum(
            math.exp(-0.5 * ((k * pitch - hz) / width) ** 2)
            for hz, width in ((600, 120), (1300, 160), (2600, 250))
        )
        voice += (0.05 + bumps) / math.sqrt(k) * math.sin(k * phase)
    syllable = min(1.0, max(0.0, math.sin(2 * math.pi * 3.5 * t) + 0.6))
    return voice * syllable + 0.01 * (n * 2654435761 % 2**32 / 2**31 - 1)


def test_the_signal_is_the_documented_formula() -> None:
    found = selftest.signal()
    assert found.shape == (48_000,)
    assert found.dtype == np.float32
    assert np.max(np.abs(found)) == pytest.approx(0.5)
    at = range(0, 48_000, 97)
    expected = np.array([sample(n) for n in at])
    scale = found[at[7]] / expected[7]
    np.testing.assert_allclose(found[list(at)], scale * expected, atol=1e-6)


def test_frames_of_the_detector_carry_the_64_samples_before_them() -> None:
    samples = np.arange(1200, dtype="f4")
    frames = speech_frames(samples)
    assert frames.shape == (2, 576)
    assert frames[0, :64].tolist() == [0.0] * 64
    assert frames[0, 64:].tolist() == samples[:512].tolist()
    assert frames[1].tolist() == samples[448:1024].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_installed_models_answer_as_independent_implementations_do(
    name: str, models_folder: Path
) -> None:
    distance = run_selftest(CARDS[name], (models_folder / f"{name}.onnx").read_bytes())
    assert distance < (1e-5 if CARDS[name].kind == "encoder" else 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_of_another_model_is_found_out(name: str, models_folder: Path) -> None:
    graph = (models_folder / f"{name}.onnx").read_bytes()
    other = tuple(reversed(CARDS[name].selftest.output))
    with pytest.raises(SelfTestFailed, match="does not answer the test signal"):
        run_selftest(replace(CARDS[name], selftest=SelfTest(other, "nobody")), graph)


def test_windows_of_another_length_are_distinguished(models_folder: Path) -> None:
    graph = (models_folder / "ge2e-800ms.onnx").read_bytes()
    with pytest.raises(SelfTestFailed):
        run_selftest(CARDS["ge2e"], graph)
