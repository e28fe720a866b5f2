"""The built encoders answer as the published implementations do: see README.md here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voiceid.models.cards import load_cards, shipped_cards_folder
from voiceid.models.install import ModelStore
from voiceid.speech.encoder import Encoder

pytestmark = pytest.mark.usefixtures("from_scratch")
CARDS = load_cards(shipped_cards_folder())
MIN_COSINE = 0.99999


@pytest.fixture(scope="module")
def goldens() -> Mapping[str, np.ndarray]:
    with np.load(Path(__file__).with_name("goldens.npz")) as file:
        return dict(file)


def cuts(goldens: Mapping[str, np.ndarray], folder: Path) -> list[np.ndarray]:
    found = []
    names = ("recording", "start_sample", "end_sample")
    for recording, start, stop in zip(*(goldens[name] for name in names), strict=True):
        path = folder / f"{recording}.wav"
        samples, rate = soundfile.read(path, start=start, stop=stop, dtype="float32")
        assert rate == 16_000
        found.append(samples)
    return found


@pytest.mark.parametrize("model", ["campplus", "ge2e"])
def test_embeddings_are_those_of_the_published_implementation(
    model: str, goldens: Mapping[str, np.ndarray], ami: Any, models_folder: Path
) -> None:
    installed = ModelStore(models_folder, CARDS, offline=True).installed(model)
    card = CARDS[model]
    encoder = Encoder.open(
        installed.path, installed.sha256, card.space("none"), compensation=card.compensation()
    )
    clips = cuts(goldens, ami.folder)
    assert len(clips) == len(goldens[model]) == 14
    cosines = [
        float(golden.astype("f8") @ encoder.raw.embed(clip).vector)
        for golden, clip in zip(goldens[model], clips, strict=True)
    ]
    assert min(cosines) >= MIN_COSINE


def test_the_goldens_tell_voices_apart(goldens: Mapping[str, np.ndarray]) -> None:
    """Otherwise agreement with them would say little."""
    for model in ("campplus", "ge2e"):
        cosines = goldens[model] @ goldens[model].T
        assert cosines.min() < (0.2 if model == "campplus" else 0.7)
