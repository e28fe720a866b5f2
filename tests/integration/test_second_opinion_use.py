"""A recording in which Silero hears too little is heard all the same, or a notice says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

import voiceid


@pytest.fixture
def shout(ami) -> np.ndarray:
    """A turn with pitch and formants raised, and clipped: Silero finds 0.16 s of speech in it."""
    raised = scipy.signal.resample_poly(ami.samples("alice-2"), 100, 220)
    return np.clip(raised / np.abs(raised).max() * 8, -1, 1).astype(np.float32)


def test_a_shout_gets_a_vector_and_a_siren_none(empty_home: Path, shout: np.ndarray) -> None:
    t = np.arange(80_000) / 16_000
    siren = 0.5 * np.sin(2 * np.pi * (100 * t + 60 * t**2)).astype(np.float32)
    with voiceid.VoiceID.open(home=empty_home) as vid:
        heard = vid.models.hear((shout, 16_000))
        assert heard.embedding is not None
        assert heard.quality.net_speech_s > 1.0
        assert vid.models.hear((siren, 16_000)).embedding is None


def test_without_the_model_a_notice_says_once_what_to_do(
    models_folder: Path, tmp_path: Path, shout: np.ndarray
) -> None:
    for name in ("campplus", "silero-vad"):
        for suffix in (".onnx", ".json"):
            (tmp_path / "models").mkdir(exist_ok=True)
            shutil.copy(models_folder / f"{name}{suffix}", tmp_path / "models")
    notices: list[str] = []
    settings = {"models": str(tmp_path / "models")}  # not offline: nothing is fetched for this
    with voiceid.VoiceID.open(home=tmp_path, overrides=settings, notify=notices.append) as vid:
        for _ in range(2):
            heard = vid.models.hear((shout, 16_000))
            assert heard.embedding is None
            assert "too_short" in heard.quality.warnings
        [missing] = [f for f in vid.events.examine() if "segmentation" in f.message]
    assert missing.health == "warning"
    [notice] = [text for text in notices if "segmentation" in text]
    assert "`voiceid models pull segmentation`" in notice
