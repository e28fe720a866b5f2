"""A detector of attacks from elsewhere becomes a model that gives its own scores."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from exports import band_detector, band_score, pooled
from networks import CARDS

from voiceid.decision.attack_threshold import AttackThreshold
from voiceid.errors import CheckpointInvalid, ConfigError, ModelUnknown, ThresholdUnavailable
from voiceid.models.add import Addition
from voiceid.models.cards import load_cards, own_cards_folder
from voiceid.models.install import ModelStore
from voiceid.models.providers import EngineOptions
from voiceid.speech.countermeasure import Countermeasure

WAVEFORM = Addition("waveform", kind="countermeasure")
THRESHOLD = AttackThreshold(-35.5, 0.05, 60, 12, "attacks.csv")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", CARDS, offline=True)


def added(
    store: ModelStore, folder: Path, data: bytes, said: Addition = WAVEFORM
) -> Countermeasure:
    path = folder / "band.onnx"
    path.write_bytes(data)
    card = store.add(path, said)
    return Countermeasure.open(card, store.installed(card.name), EngineOptions())


def test_its_scores_are_its_own_whether_it_takes_any_length_or_one(
    store: ModelStore, tmp_path: Path, ami: Any
) -> None:
    samples = ami.samples("alice-1")
    any_length = added(store, tmp_path, band_detector())
    assert any_length.score(samples) == pytest.approx(band_score(samples), abs=1e-3)
    one = added(store, tmp_path, band_detector(64_600), replace(WAVEFORM, name="one-length"))
    for n in (20_000, 64_600, 90_000):
        over_and_over = np.resize(samples[:n], 64_600)
        assert one.score(samples[:n]) == pytest.approx(band_score(over_and_over), abs=1e-3)
    assert store.verify("one-length").distance < 1e-3
    assert store.card("band").kind == "countermeasure"
    assert store.card("band").dim == 0


def test_features_are_made_for_it_as_for_an_encoder(store: ModelStore, tmp_path: Path) -> None:
    said = Addition("kaldi-fbank-80", framework="wespeaker", kind="countermeasure")
    detector = added(store, tmp_path, pooled(dim=1).SerializeToString(), said)
    assert math.isfinite(
        detector.score(np.random.default_rng(0).normal(0, 0.1, 16_000).astype("f4"))
    )


@pytest.mark.parametrize(
    ("data", "said", "words"),
    [
        (band_detector(classes=2), WAVEFORM, "must give one finite score"),
        (band_detector(sign=0.0), WAVEFORM, "the same score for all audio"),
        (band_detector(sign=math.nan), WAVEFORM, "must give one finite score"),
        (band_detector(), replace(WAVEFORM, front_end="kaldi-fbank-80"), "filter bank"),
        (band_detector(), replace(WAVEFORM, window_frames=160), "takes the whole clip"),
        (band_detector(64_600), replace(WAVEFORM, kind="encoder"), "its input x is"),
    ],
)
def test_what_gives_no_score_is_not_added(
    data: bytes, said: Addition, words: str, store: ModelStore, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointInvalid, match=words):
        added(store, tmp_path, data, said)
    assert "band" not in store.cards


def test_a_network_that_the_engine_refuses_is_not_one_to_pull_again(
    store: ModelStore, tmp_path: Path
) -> None:
    model = onnx.load_model_from_string(band_detector())
    model.graph.node[-1].output[0] = "counts"  # an integer under the name of a float
    cast = onnx.helper.make_node("Cast", ["counts"], ["score"], to=onnx.TensorProto.INT64)
    model.graph.node.append(cast)
    with pytest.raises(CheckpointInvalid, match=r"^band\.onnx cannot be added: ") as caught:
        added(store, tmp_path, model.SerializeToString())
    assert "pull" not in (caught.value.hint or "")


def test_its_threshold_is_kept_on_its_card_and_one_that_cannot_be_meant_is_refused(
    store: ModelStore, tmp_path: Path
) -> None:
    detector = added(store, tmp_path, band_detector())
    with pytest.raises(ThresholdUnavailable, match="has no threshold"):
        _ = detector.threshold
    store.refit(replace(store.card("band"), attack_threshold=THRESHOLD), None)
    folder = own_cards_folder(store.folder)
    assert load_cards(folder)["band"].attack_threshold == THRESHOLD
    assert store.verify("band").distance < 1e-3
    text = (folder / "band.toml").read_text()
    for said, wrong in (("value = -35.5", "value = nan"), ("bpcer = 0.05", "bpcer = 0.7")):
        (folder / "band.toml").write_text(text.replace(said, wrong))
        with pytest.raises(ConfigError, match="attack_threshold"):
            load_cards(folder)
    for made in (replace(THRESHOLD, attacks=0), replace(THRESHOLD, value=math.inf)):
        assert made.fault is not None
    assert not THRESHOLD.is_bona_fide(math.nan)


def test_an_encoder_is_no_countermeasure(store: ModelStore, models_folder: Path) -> None:
    installed = ModelStore(models_folder, CARDS, offline=True)
    with pytest.raises(ModelUnknown, match="not a countermeasure"):
        Countermeasure.open(CARDS["campplus"], installed.installed("campplus"), EngineOptions())
