"""The only way from audio to a vector, with real models and real speech."""

from __future__ import annotations

import io
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from voiceid.audio import AudioOptions
from voiceid.domain import Embedding, Utterance
from voiceid.errors import AudioInvalid, AudioNotFound, AudioUnreadable
from voiceid.models.cards import load_cards, shipped_cards_folder
from voiceid.speech.embedder import Embedder
from voiceid.speech.encoder import Encoder
from voiceid.speech.quality import QualityLimits
from voiceid.speech.vad import SpeechDetector, SpeechOptions, open_detector

pytestmark = pytest.mark.usefixtures("from_scratch")
RATE = 16_000


class Installed:
    """A model as it lies in the folder."""

    def __init__(self, folder: Path, name: str) -> None:
        receipt = json.loads((folder / f"{name}.json").read_text())
        self.path = folder / f"{name}.onnx"
        self.sha256: str = receipt["sha256"]


@cache
def opened(models_folder: Path) -> tuple[Encoder, SpeechDetector]:
    card = load_cards(shipped_cards_folder())["campplus"]
    space, compensation = card.space(SpeechOptions().describe()), card.compensation()
    model = Installed(models_folder, "campplus")
    encoder = Encoder.open(model.path, model.sha256, space, compensation=compensation)
    return encoder, open_detector(Installed(models_folder, "silero-vad"), SpeechOptions())


def build(models_folder: Path, workers: int = 1) -> Embedder:
    return Embedder(*opened(models_folder), AudioOptions(), QualityLimits(), workers)


@pytest.fixture(scope="module")
def embedder(models_folder: Path) -> Embedder:
    return build(models_folder)


def score(one: Utterance, other: Utterance) -> float:
    assert one.embedding is not None
    assert other.embedding is not None
    return float(one.embedding.vector @ other.embedding.vector)


def test_one_voice_is_nearer_to_itself_than_to_another(embedder: Embedder, ami) -> None:
    heard = {
        name: embedder.utterance((ami.samples(name), RATE))
        for name in ("alice-1", "alice-3", "bob-1", "stranger")
    }
    same = score(heard["alice-1"], heard["alice-3"])
    for other in ("bob-1", "stranger"):
        assert score(heard["alice-1"], heard[other]) < same - 0.2
    alice = heard["alice-1"]
    assert alice.embedding is not None
    assert alice.embedding.vector.shape == (192,)
    assert np.linalg.norm(alice.embedding.vector) == pytest.approx(1, abs=1e-5)
    assert alice.quality.net_speech_s > 2
    assert "narrowband" not in alice.quality.warnings
    assert alice.quality.telephone == alice.embedding.telephone < 0.1


@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "MP3", "OGG", "AIFF"])
def test_the_format_hardly_moves_the_vector(embedder: Embedder, ami, file_format: str) -> None:
    samples = ami.samples("alice-1")
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=file_format)
    file.seek(0)
    likeness = score(embedder.utterance(file), embedder.utterance((samples, RATE)))
    assert likeness > (0.9 if file_format in {"MP3", "OGG"} else 0.9999)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_the_rate_hardly_moves_the_vector(embedder: Embedder, ami, rate: int) -> None:
    samples = ami.samples("alice-1")
    other = scipy.signal.resample(samples, round(len(samples) * rate / RATE)).astype(np.float32)
    heard = embedder.utterance((other, rate))
    assert heard.quality.sample_rate_hz == rate
    assert score(heard, embedder.utterance((samples, RATE))) > 0.99


def test_silence_around_speech_hardly_moves_the_vector(embedder: Embedder, ami) -> None:
    samples = ami.samples("bob-1")
    quiet = np.random.default_rng(0).standard_normal(10 * RATE).astype(np.float32) * 1e-3
    around = embedder.utterance((np.concatenate([quiet, samples, quiet]), RATE))
    plain = embedder.utterance((samples, RATE))
    assert score(around, plain) > 0.95
    assert around.quality.net_speech_s == pytest.approx(plain.quality.net_speech_s, abs=0.3)
    assert around.quality.snr_db is not None


def test_telephone_speech_is_reported(embedder: Embedder, ami) -> None:
    narrow = scipy.signal.resample_poly(ami.samples("bob-1"), 1, 2).astype(np.float32)
    heard = embedder.utterance((narrow, 8000))
    assert "narrowband" in heard.quality.warnings
    assert heard.embedding is not None
    assert heard.quality.telephone == heard.embedding.telephone > 0.9


def test_what_the_encoder_makes_is_the_same_recording_without_a_compensation(
    embedder: Embedder, ami
) -> None:
    clip = (ami.samples("bob-1"), RATE)
    made, raw = embedder.utterance(clip), embedder.raw.utterance(clip)
    assert raw.pcm_sha256 == made.pcm_sha256
    assert raw.embedding.space == embedder.raw.space == embedder.space.raw != embedder.space
    assert score(made, raw) < 0.99
    assert raw.quality.telephone is None


def test_clipped_speech_is_reported(embedder: Embedder, ami) -> None:
    samples = ami.samples("alice-1")
    loud = np.clip(samples / np.abs(samples).max() * 20, -1, 1)
    assert "clipped" in embedder.utterance((loud, RATE)).quality.warnings
    assert "clipped" not in embedder.utterance((samples, RATE)).quality.warnings


def worthless() -> dict[str, tuple[np.ndarray, int]]:
    rng = np.random.default_rng(0)
    n = 20 * RATE
    t = np.arange(n) / RATE
    return {
        "one sample": (np.zeros(1), RATE),
        "one loud sample": (np.ones(1), RATE),
        "silence": (np.zeros(n), RATE),
        "offset": (np.full(n, 0.7), RATE),
        "white noise": (0.1 * rng.standard_normal(n), RATE),
        "noise at 44.1 kHz": (0.1 * rng.standard_normal(n), 44100),
        "full scale noise": (np.sign(rng.standard_normal(n)), RATE),
        "hum": (0.5 * np.sin(2 * np.pi * 50 * t), RATE),
        "square": (0.5 * np.sign(np.sin(2 * np.pi * 220 * t)), RATE),
        "tiny": (1e-30 * rng.standard_normal(n), RATE),
    }


@pytest.mark.parametrize("name", worthless())
def test_what_holds_no_speech_never_gets_a_vector(embedder: Embedder, name: str) -> None:
    heard = embedder.utterance(worthless()[name])
    assert heard.embedding is None
    assert "too_short" in heard.quality.warnings
    assert heard.quality.to_dict()["net_speech_s"] < 0.5


def test_less_speech_than_the_limit_gets_no_vector(embedder: Embedder, ami) -> None:
    samples = ami.samples("bob-1")
    for seconds in (0.1, 0.5, 0.9):
        heard = embedder.utterance((samples[: round(seconds * RATE)], RATE))
        assert heard.embedding is None
    assert embedder.utterance((samples[: 4 * RATE], RATE)).embedding is not None


def test_repeating_one_short_word_with_pauses_counts_only_its_speech(
    embedder: Embedder, ami
) -> None:
    word = ami.samples("bob-1")[RATE : RATE + RATE // 2]
    pause = np.zeros(20 * RATE, np.float32)
    heard = embedder.utterance((np.concatenate([pause, word, pause]), RATE))
    assert heard.quality.duration_s == 40.5
    assert heard.embedding is None


def test_samples_that_are_not_numbers_are_an_error(embedder: Embedder, ami) -> None:
    samples = ami.samples("bob-1").copy()
    samples[-1] = np.nan
    with pytest.raises(AudioInvalid):
        embedder.utterance((samples, RATE))


def test_utterances_come_in_order_with_errors_in_their_places(
    models_folder: Path, ami, tmp_path: Path
) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("dear all")
    good = [ami.cut(name, tmp_path / f"{name}.wav") for name in ("alice-1", "bob-1", "carol-1")]
    sources = [good[0], tmp_path / "missing.wav", good[1], text, good[2], (np.zeros(5), RATE)]
    for workers in (1, 2, 5):
        results = list(build(models_folder, workers).utterances(sources))
        assert [type(result) for result in results] == [
            Utterance,
            AudioNotFound,
            Utterance,
            AudioUnreadable,
            Utterance,
            Utterance,
        ]
        names = [result.name for result in results if isinstance(result, Utterance)]
        assert names == ["alice-1.wav", "bob-1.wav", "carol-1.wav", "<array>"]


def test_only_a_few_recordings_are_in_flight(models_folder: Path) -> None:
    drawn = itertools.count()
    sources = ((next(drawn) * np.zeros(RATE), RATE) for _ in range(100))
    results = build(models_folder, workers=2).utterances(sources)
    next(results)
    assert next(drawn) <= 8
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("voiceid")]


def test_threads_that_share_an_embedder_get_the_same_vectors(embedder: Embedder, ami) -> None:
    samples = {name: ami.samples(name) for name in ("alice-1", "bob-1", "carol-1", "stranger")}
    expected = {name: embedder.utterance((s, RATE)) for name, s in samples.items()}

    def check(name: str) -> bool:
        heard = embedder.utterance((samples[name], RATE))
        assert heard.embedding is not None
        same = expected[name].embedding
        assert same is not None
        return bool(np.array_equal(heard.embedding.vector, same.vector))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(check, list(samples) * 4))


def test_of_a_long_recording_the_encoder_gets_its_first_speech_only(
    embedder: Embedder, ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, lengths = Encoder.encode, []

    def counted(self: Encoder, speech: np.ndarray) -> tuple[Embedding, np.ndarray | None]:
        lengths.append(len(speech))
        return encode(self, speech)

    monkeypatch.setattr(Encoder, "encode", counted)
    heard = embedder.utterance((np.tile(ami.samples("alice-2"), 25), RATE))
    assert heard.quality.net_speech_s > 130
    assert heard.embedding is not None
    assert lengths == [SpeechOptions().max_speech_s * RATE]
