"""The encoder gives unit vectors or a typed error, and is shared among threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from voiceid.domain import Embedding, QualityReport, Utterance
from voiceid.errors import AudioInvalid, HashMismatch, ModelRuntimeError, NotEnoughSpeech
from voiceid.models.cards import load_cards, shipped_cards_folder
from voiceid.models.graph import Graph
from voiceid.models.install import ModelStore
from voiceid.models.runtime import Session
from voiceid.speech.encoder import Encoder
from voiceid.speech.pooling import chosen, one_thread_for_numpy

pytestmark = pytest.mark.usefixtures("from_scratch")
CARDS = load_cards(shipped_cards_folder())
MODELS = ["campplus", "ge2e", "ge2e-800ms"]


@pytest.fixture(scope="module")
def encoders(models_folder: Path) -> dict[str, Encoder]:
    store = ModelStore(models_folder, CARDS, offline=True)
    installed = {name: store.installed(name) for name in MODELS}
    return {
        name: Encoder.open(
            model.path,
            model.sha256,
            CARDS[name].space("none"),
            compensation=CARDS[name].compensation(),
        )
        for name, model in installed.items()
    }


def encoder_of(answer: list[list[float]]) -> Encoder:
    """An encoder over a graph that always gives the same answer."""
    graph = Graph("constant")
    zero = graph.op("ReduceMin", graph.op("Mul", "waveform", graph.const(0.0)), keepdims=0)
    vector = graph.op("Add", graph.const(answer), zero)
    data = graph.serialize(
        {"waveform": ["N", "samples"]}, {"embedding": (vector, ["M", len(answer[0])])}
    )
    session = Session.of_bytes(data, "constant", inputs={"waveform": 2}, outputs=["embedding"])
    return Encoder(session, CARDS["campplus"].space("none"))


@pytest.mark.parametrize("model", MODELS)
def test_embeddings_are_unit_vectors_of_the_cards_size_that_cannot_be_changed(
    model: str, encoders: dict[str, Encoder], ami: Any
) -> None:
    for encoder in (encoders[model], encoders[model].raw):
        embedding = encoder.embed(ami.samples("alice-1"))
        vector = embedding.vector
        assert embedding.space == encoder.space
        assert vector.shape == (CARDS[model].dim,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
        with pytest.raises(ValueError, match="read-only"):
            vector[0] = 0
    assert encoders[model].space == CARDS[model].space("none")
    assert encoders[model].raw.space == CARDS[model].space("none").raw


def test_an_embedding_is_the_compensation_of_what_the_network_makes(
    encoders: dict[str, Encoder], ami: Any
) -> None:
    encoder, compensation = encoders["campplus"], CARDS["campplus"].compensation()
    wide = ami.samples("alice-1")
    narrow = soxr.resample(soxr.resample(wide, 16_000, 8000), 8000, 16_000)
    for samples, is_telephone in ((wide, False), (narrow, True)):
        made, raw = encoder.embed(samples), encoder.raw.embed(samples)
        np.testing.assert_allclose(made.vector, compensation.apply(raw.vector), atol=1e-6)
        assert made.telephone == pytest.approx(float(compensation.telephone(raw.vector)))
        assert (made.telephone > 0.5) is is_telephone
        assert raw.telephone is None
        assert encoder.space.id != encoder.raw.space.id


@pytest.mark.parametrize("model", MODELS)
def test_the_shortest_clip_that_is_taken_gives_a_vector_and_a_shorter_one_an_error(
    model: str, encoders: dict[str, Encoder], ami: Any
) -> None:
    encoder, samples = encoders[model], ami.samples("alice-2")[8000:]
    encoder.embed(samples[: encoder.min_samples])
    for n in (0, 1, encoder.min_samples - 1):
        with pytest.raises(NotEnoughSpeech, match=f"{n} samples"):
            encoder.embed(samples[:n])


@pytest.mark.parametrize("model", MODELS)
def test_samples_that_are_not_finite_or_absurd_never_give_a_vector(
    model: str, encoders: dict[str, Encoder]
) -> None:
    for bad in (np.nan, np.inf, -np.inf, 1e30):
        samples = np.zeros(16_000, "f4")
        samples[9000] = bad
        with pytest.raises(AudioInvalid):
            encoders[model].embed(samples)


def test_loudness_hardly_turns_a_vector(encoders: dict[str, Encoder], ami: Any) -> None:
    samples = ami.samples("alice-2")
    quiet, loud = (encoders["campplus"].embed(samples * gain).vector for gain in (0.25, 1.0))
    assert float(quiet @ loud) > 0.98


def test_voices_are_distinguished(encoders: dict[str, Encoder], ami: Any) -> None:
    embed = encoders["campplus"].embed
    alice, again, bob = (
        embed(ami.samples(turn)).vector for turn in ("alice-2", "alice-3", "bob-2")
    )
    assert float(alice @ again) > float(alice @ bob) + 0.3


def test_two_channels_are_one_voice_from_the_threshold_of_one_percent_on() -> None:
    card = CARDS["campplus"]
    encoder = encoder_of([[1.0] * card.dim])
    encoder = Encoder(encoder._session, encoder.space, card.rule)
    one_percent = next(p.threshold for p in card.operating_points if p.target_fmr == 0.01)

    def channel(cosine: float) -> Utterance:
        vector = np.zeros(card.dim, np.float32)
        vector[:2] = cosine, np.sqrt(1 - cosine**2)
        quality = QualityReport(5.0, 4.0, 30.0, 0.0, 8000.0, 16_000, -20.0, (), telephone=0.0)
        return Utterance("call", "", quality, Embedding(vector, encoder.space))

    for cosine, is_one in ((one_percent - 0.01, False), (one_percent + 0.01, True)):
        assert encoder.may_be_one_voice(channel(1.0), channel(cosine)) == is_one


def test_threads_get_the_same_vectors_as_one_alone(encoders: dict[str, Encoder], ami: Any) -> None:
    turns = [ami.samples(turn) for turn in ("alice-1", "bob-3", "carol-2")]
    alone = [encoders["campplus"].embed(turn) for turn in turns]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(encoders["campplus"].embed, turns * 4))
    for n, embedding in enumerate(together):
        np.testing.assert_allclose(embedding.vector, alone[n % 3].vector, atol=1e-6)
        assert embedding.telephone == pytest.approx(alone[n % 3].telephone, abs=1e-6)


@pytest.mark.parametrize(
    "answer",
    [
        [[1.0] + [0.0] * 100],
        [[2.0] + [0.0] * 191],
        [[0.0] * 192],
        [[float("nan")] + [0.0] * 191],
        [[1.0] + [0.0] * 191] * 2,
    ],
    ids=["another size", "too long", "no length", "not a number", "two"],
)
def test_an_answer_that_is_no_embedding_is_an_error(answer: list[list[float]]) -> None:
    with pytest.raises(ModelRuntimeError):
        encoder_of(answer).embed(np.zeros(16_000, "f4"))


def test_a_changed_model_file_is_not_opened(models_folder: Path) -> None:
    with pytest.raises(HashMismatch):
        Encoder.open(models_folder / "ge2e.onnx", "0" * 64, CARDS["ge2e"].space("none"))


@pytest.fixture(scope="module")
def encoded(encoders: dict[str, Encoder], ami: Any) -> tuple[np.ndarray, np.ndarray]:
    """Speech, and the frames that the encoder makes of it."""
    samples = ami.samples("bob-3")
    _, frames = encoders["campplus"].encode(samples)
    assert frames is not None
    return samples, frames


@given(n=st.integers(1600, 16_000))
@settings(max_examples=5)
def test_the_embedding_of_all_frames_is_that_of_the_encoder(
    n: int, encoders: dict[str, Encoder], ami: Any
) -> None:
    samples = ami.samples("alice-1")[:n]
    for encoder in (encoders["campplus"], encoders["campplus"].raw):
        whole, frames = encoder.encode(samples)
        [pooled] = encoder.embed_parts(samples, frames, [[(0, n)]])
        np.testing.assert_allclose(pooled.vector, whole.vector, atol=1e-5)
        np.testing.assert_array_equal(whole.vector, encoder.embed(samples).vector)
        assert pooled.space == whole.space
        assert pooled.telephone == pytest.approx(whole.telephone, abs=1e-4)


@given(spans=st.lists(st.tuples(st.floats(0, 0.9), st.floats(0.05, 1)), min_size=1, max_size=4))
def test_a_part_is_the_mean_and_deviation_of_its_frames_however_it_is_given(
    spans: list[tuple[float, float]], encoders: dict[str, Encoder], encoded: Any
) -> None:
    samples, frames = encoded
    n, encoder = len(samples), encoders["campplus"]
    part = [(int(at * n), int(min(1.0, at + length) * n)) for at, length in spans]
    [which] = chosen([part], n, frames.shape[1])
    [one, other] = encoder.embed_parts(samples, frames, [part, part[::-1]])
    np.testing.assert_array_equal(one.vector, other.vector)
    pooling = encoder._pooling
    values = frames[:, which].astype("f8")
    statistics = np.concatenate([values.mean(axis=1), values.std(axis=1, ddof=1), [1.0]])
    vector = pooling.projection @ statistics
    vector /= np.linalg.norm(vector)
    np.testing.assert_allclose(pooling.vectors(frames, which[None])[0], vector, atol=1e-5)


def test_parts_are_heard_by_themselves_where_there_are_no_frames(
    encoders: dict[str, Encoder], ami: Any
) -> None:
    samples = ami.samples("alice-1")[:48_000]
    part = [(0, 16_000), (30_000, 48_000)]
    joined = np.concatenate([samples[a:b] for a, b in part])
    for name in ("campplus", "ge2e"):
        [found] = encoders[name].embed_parts(samples, None, [part])
        np.testing.assert_array_equal(found.vector, encoders[name].embed(joined).vector)
    assert encoders["ge2e"].encode(samples)[1] is None
    assert not encoders["ge2e"].makes_frames


def test_numpy_multiplies_in_one_thread_once_an_encoder_is_open(models_folder: Path) -> None:
    [numpys] = [c for c in ThreadpoolController().lib_controllers if "numpy" in c.filepath]
    numpys.set_num_threads(2)
    one_thread_for_numpy.cache_clear()  # it acts once in a process
    model, card = ModelStore(models_folder, CARDS, offline=True).installed("ge2e"), CARDS["ge2e"]
    Encoder.open(model.path, model.sha256, card.space("none"))
    assert numpys.get_num_threads() == 1


def test_a_part_without_frames_has_no_embedding(encoders: dict[str, Encoder], encoded: Any) -> None:
    samples, frames = encoded
    for part in ([], [(100, 420)]):
        with pytest.raises(NotEnoughSpeech):
            encoders["campplus"].embed_parts(samples, frames, [part])
