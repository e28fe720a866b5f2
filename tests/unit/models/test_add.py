"""A network from elsewhere becomes a model that answers as it does over its own features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import kaldi_native_fbank as knf
import numpy as np
import onnx
import pytest
from exports import THREE_D_SPEAKER, WESPEAKER, campplus_features_in, pooled, redimnet_like
from networks import CARDS, by_redimnet, checkpoint, embed, weights
from onnx import TensorProto, helper

from voiceid.decision.compensation import Compensation
from voiceid.decision.operating_points import OperatingPoint
from voiceid.errors import (
    CheckpointInvalid,
    ConfigError,
    HashMismatch,
    ModelError,
    ModelNotInstalled,
    NotEnoughSpeech,
)
from voiceid.models import ge2e
from voiceid.models.add import Addition
from voiceid.models.build import build_graph
from voiceid.models.cards import (
    LocalFile,
    ModelCard,
    Windowing,
    fitted_file,
    load_cards,
    own_cards_folder,
)
from voiceid.models.frontends import FrontEnd, front_ends
from voiceid.models.graph import Graph
from voiceid.models.install import ModelStore
from voiceid.models.network import read_network
from voiceid.models.runtime import Session
from voiceid.models.selftest import signal
from voiceid.models.weld import answer_apart
from voiceid.speech.encoder import Encoder

FBANK = Addition("kaldi-fbank-80")
REDIMNET = Addition("redimnet-mel-72")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", CARDS, offline=True)


def saved(folder: Path, model: onnx.ModelProto | bytes, name: str = "net.onnx") -> Path:
    path = folder / name
    data = model if isinstance(model, bytes) else model.SerializeToString()
    path.write_bytes(data)
    return path


def vector(store: ModelStore, name: str, samples: np.ndarray) -> np.ndarray:
    return embed(store.installed(name).path.read_bytes(), samples[None])[0]


def kaldi(samples: np.ndarray, taper: str) -> np.ndarray:
    """Kaldi's own filter bank: (frames, 80)."""
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = taper
    options.mel_opts.num_bins = 80
    bank = knf.OnlineFbank(options)
    bank.accept_waveform(16_000, samples.tolist())
    bank.input_finished()
    return np.stack([bank.get_frame(i) for i in range(bank.num_frames_ready)])


def over_kaldi(
    model: onnx.ModelProto, samples: np.ndarray, taper: str, scale: float, mean: bool
) -> np.ndarray:
    """The network itself over Kaldi's own features; unit length."""
    features = kaldi(samples * np.float32(scale), taper)
    features = features - features.mean(axis=0) if mean else features
    session = Session.of_bytes(
        model.SerializeToString(), "it", inputs={"feats": 3}, outputs=["embs"]
    )
    [[found]] = session.run({"feats": features[None].astype("f4")})
    return found / np.linalg.norm(found)


@pytest.mark.parametrize(
    ("metadata", "said", "kaldi_settings"),
    [
        (THREE_D_SPEAKER, {}, ("povey", 1, True)),
        (WESPEAKER, {}, ("hamming", 32768, True)),
        ({}, {"framework": "3d-speaker"}, ("povey", 1, True)),
        ({}, {"framework": "wespeaker"}, ("hamming", 32768, True)),
        (WESPEAKER, {"framework": "3d-speaker"}, ("povey", 32768, True)),
        (WESPEAKER, {"int16": False, "mean_removed": False}, ("hamming", 1, False)),
        ({}, {"taper": "hanning", "int16": True, "mean_removed": False}, ("hanning", 32768, False)),
    ],
)
def test_each_toolkits_filter_bank_is_kaldis_own_with_its_settings(
    metadata: Mapping[str, str],
    said: Mapping[str, Any],
    kaldi_settings: tuple[str, float, bool],
    store: ModelStore,
    tmp_path: Path,
    ami: Any,
) -> None:
    said = {key: "hann" if value == "hanning" else value for key, value in said.items()}
    model = pooled(metadata=metadata)
    store.add(saved(tmp_path, model), Addition("kaldi-fbank-80", **said))
    samples = ami.samples("alice-1")
    expected = over_kaldi(model, samples, *kaldi_settings)
    np.testing.assert_allclose(vector(store, "net", samples), expected, atol=2e-4)


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 21])
def test_networks_of_old_and_new_opsets_are_welded(
    opset: int, store: ModelStore, tmp_path: Path
) -> None:
    model = pooled(metadata=THREE_D_SPEAKER, opset=opset)
    store.add(saved(tmp_path, model), FBANK)
    expected = over_kaldi(model, signal(), "povey", 1, mean=True)
    np.testing.assert_allclose(vector(store, "net", signal()), expected, atol=2e-4)


def test_campplus_without_its_front_end_gives_the_same_embeddings_when_it_is_welded(
    store: ModelStore, models_folder: Path, tmp_path: Path, ami: Any
) -> None:
    installed = models_folder / "campplus.onnx"
    meta = {**THREE_D_SPEAKER, "output_dim": "192"}
    card = store.add(saved(tmp_path, campplus_features_in(installed, meta), "cam.onnx"), FBANK)
    assert (card.frontend, card.dim) == (CARDS["campplus"].frontend, 192)
    for turn in ("alice-1", "bob-2", "stranger"):
        [own] = embed(installed.read_bytes(), ami.samples(turn)[None])
        assert vector(store, "cam", ami.samples(turn)) @ own > 0.999999
    assert card.space("s").id != CARDS["campplus"].space("s").id


def ge2e_features_in() -> tuple[bytes, bytes]:
    """GE2E with random weights, and the same network as (N, frames, 40) to (N, 256)."""
    made = {key.removeprefix("model_state."): value for key, value in weights("ge2e").items()}
    graph = Graph("ge2e")
    sequence = graph.op("Transpose", "mel", perm=[1, 0, 2])
    vectors = ge2e._project(graph, made, ge2e._lstm(graph, made, sequence))
    data = graph.serialize({"mel": ["N", "T", 40]}, {"embedding": (vectors, ["N", 256])})
    return build_graph(CARDS["ge2e"], checkpoint("ge2e")), data


def test_ge2e_without_its_windows_gives_the_same_embeddings_when_it_is_welded(
    store: ModelStore, tmp_path: Path, ami: Any
) -> None:
    whole, features_in = ge2e_features_in()
    said = Addition("ge2e-mel-40", window_frames=160, step_frames=77)
    card = store.add(saved(tmp_path, features_in), said)
    assert card.windowing == CARDS["ge2e"].windowing
    assert card.frontend == CARDS["ge2e"].frontend
    for turn in ("alice-1", "bob-1"):
        [own] = embed(whole, ami.samples(turn)[None])
        assert vector(store, "net", ami.samples(turn)) @ own > 0.999999


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.6, 1.61, 2.0, 2.75, 2.8, 3.97, 4.0, 6.1])
def test_windows_are_cut_outside_the_graph_as_in_it(
    seconds: float, store: ModelStore, tmp_path: Path, ami: Any
) -> None:
    model = pooled(("N", "T", 40))
    windows = Windowing(160, 77, 0.75)
    store.add(saved(tmp_path, model), Addition("ge2e-mel-40", window_frames=160, step_frames=77))
    samples = ami.samples("alice-2")[: round(seconds * 16_000)]
    network = read_network(model.SerializeToString(), "it")
    apart = answer_apart(network, FrontEnd("ge2e-mel-40"), windows, samples)
    np.testing.assert_allclose(vector(store, "net", samples), apart, atol=1e-6)


@pytest.mark.usefixtures("from_scratch")
def test_no_library_of_the_tests_is_needed_to_add_a_network(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "librosa.py").write_text("raise ImportError")  # for the process that tries it
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = Addition("ge2e-mel-40", window_frames=160, step_frames=77)
    assert store.add(saved(tmp_path, pooled(("N", "T", 40))), said).name == "net"


def test_a_network_that_takes_the_waveform_is_scaled_to_unit_length(
    store: ModelStore, tmp_path: Path
) -> None:
    card = store.add(
        saved(tmp_path, pooled(("N", "S"), opset=17)), Addition("waveform", int16=True)
    )
    assert card.frontend == "waveform v1, 16-bit samples"
    assert np.linalg.norm(vector(store, "net", signal())) == pytest.approx(1, abs=1e-6)
    assert store.verify("net").distance < 1e-6


def over_redimnet(data: bytes, samples: np.ndarray) -> np.ndarray:
    """The network itself over features by their definition; unit length."""
    session = Session.of_bytes(data, "it", inputs={"features": 4}, outputs=["embedding"])
    [[found]] = session.run({"features": by_redimnet(samples).T[None, None].astype("f4")})
    return found / np.linalg.norm(found)


@pytest.mark.parametrize("batch", [1, "B"])
def test_an_export_of_redimnet2_gets_its_front_end(
    batch: str | int, store: ModelStore, tmp_path: Path, ami: Any
) -> None:
    data, samples = redimnet_like(batch=batch), ami.samples("alice-1")
    card = store.add(saved(tmp_path, data), REDIMNET)
    assert (card.frontend, card.dim) == ("redimnet-mel-72 v1, 1 to 30 s at once", 192)
    found = vector(store, "net", samples)
    np.testing.assert_allclose(found, over_redimnet(data, samples), atol=2e-4)
    np.testing.assert_allclose(vector(store, "net", 0.1 * samples), found, atol=2e-4)
    assert store.verify("net").distance < 1e-6


def test_less_than_a_second_is_refused_and_more_than_thirty_are_heard_in_equal_parts(
    store: ModelStore, tmp_path: Path, ami: Any
) -> None:
    data = redimnet_like()
    card = store.add(saved(tmp_path, data), REDIMNET)
    installed = store.installed("net")
    encoder = Encoder.open(installed.path, installed.sha256, card.space("none"))
    speech = np.resize(ami.samples("alice-1"), 480_001)
    with pytest.raises(NotEnoughSpeech, match="15999 samples"):
        encoder.embed(speech[:15_999])
    for length, parts in ((16_000, 1), (480_000, 1), (480_001, 2)):
        heard = [over_redimnet(data, part) for part in np.array_split(speech[:length], parts)]
        mean = np.mean(heard, axis=0)
        expected = mean / np.linalg.norm(mean)
        np.testing.assert_allclose(encoder.embed(speech[:length]).vector, expected, atol=2e-4)


@pytest.mark.parametrize(
    ("model", "said", "complaint"),
    [
        (pooled((1, 72, "T")), {}, r"is \(1, 72, any\), but .* gives \(any, 1, 72, any\)"),
        (pooled((1, 1, 80, "T")), {}, r"is \(1, 1, 80, any\)"),
        (pooled((1, 1, 72, 400)), {}, r"is \(1, 1, 72, 400\)"),
        (pooled((2, 1, 72, "T")), {}, r"is \(2, 1, 72, any\)"),
        (redimnet_like("feats"), {}, "its input is feats, but that of .* is features"),
        (redimnet_like(), {"framework": "wespeaker"}, "framework was given, but redimnet-mel-72"),
        (redimnet_like(), {"int16": True}, "redimnet-mel-72 takes -1 to 1"),
        (redimnet_like(), {"window_frames": 160}, "redimnet-mel-72 takes the whole clip"),
    ],
)
def test_what_is_no_export_of_redimnet2_or_not_what_was_said_is_refused(
    model: onnx.ModelProto | bytes,
    said: Mapping[str, Any],
    complaint: str,
    store: ModelStore,
    tmp_path: Path,
) -> None:
    with pytest.raises(CheckpointInvalid, match=complaint) as caught:
        store.add(saved(tmp_path, model), Addition("redimnet-mel-72", **said))
    assert caught.value.hint
    assert not store.folder.exists()


def test_an_added_model_is_a_model_like_any_other(store: ModelStore, tmp_path: Path) -> None:
    file = saved(tmp_path, pooled(metadata=THREE_D_SPEAKER))
    card = store.add(file, FBANK)
    assert store.is_installed("net")
    assert load_cards(own_cards_folder(store.folder)) == {"net": card}
    assert isinstance(card.source, LocalFile)
    assert card.operating_points == ()
    again = ModelStore(store.folder, load_cards(own_cards_folder(store.folder)), offline=False)
    assert again.verify("net").distance < 1e-6
    again.installed("net").path.unlink()
    for lost in (again.pull, again.ensure, again.installed):
        with pytest.raises(ModelNotInstalled) as caught:
            lost("net")
        assert "voiceid models pull net --from net.onnx" in caught.value.hint
    with pytest.raises(HashMismatch):
        again.pull("net", source=saved(tmp_path, pooled(dim=8), "other.onnx"))
    again.pull("net", source=file)
    again.remove("net")
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []
    assert "net" not in again.cards


def test_a_model_whose_file_was_lost_can_still_be_removed(
    store: ModelStore, tmp_path: Path
) -> None:
    store.add(saved(tmp_path, pooled(metadata=THREE_D_SPEAKER)), FBANK)
    store.installed("net").path.unlink()
    store.remove("net")
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "name", ["campplus", "../up", "Net", "", "a b", ".hidden", "a/b", "x" * 65]
)
def test_a_name_that_is_taken_or_no_name_is_refused(
    name: str, store: ModelStore, tmp_path: Path
) -> None:
    file = saved(tmp_path, pooled(metadata=THREE_D_SPEAKER))
    with pytest.raises(ModelError, match=r"cannot be called|already") as caught:
        store.add(file, Addition("kaldi-fbank-80", name=name))
    assert "--name" in caught.value.hint
    assert not store.folder.exists()


def constant(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same vector whatever comes in."""
    node = model.graph.node[-2]
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Sub", ["c", "c"], ["z"]))
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Cos", ["z"], ["one"]))
    model.graph.node[-1].input[0] = "one"
    assert node.op_type == "ReduceMean"
    return model


def not_finite(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.node[-1].input[0] = "bad"
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Sqrt", ["less"], ["bad"]))
    model.graph.node.insert(
        len(model.graph.node) - 2, helper.make_node("Sub", ["c", "ten"], ["less"])
    )
    model.graph.initializer.append(helper.make_tensor("ten", TensorProto.FLOAT, [1], [10.0]))
    return model


def times(factor: float, model: onnx.ModelProto) -> onnx.ModelProto:
    """The vector, longer or shorter."""
    mean = model.graph.node[-1]
    model.graph.node.insert(
        len(model.graph.node) - 1, helper.make_node("Mul", [mean.input[0], "factor"], ["longer"])
    )
    mean.input[0] = "longer"
    model.graph.initializer.append(helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor]))
    return model


def frames_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """An embedding for every frame."""
    model.graph.node[-1].input[0] = "b"
    return model


def without_the_mean(metadata: Mapping[str, str]) -> Mapping[str, str]:
    return {**metadata, "feature_normalize_type": "per_feature"}


@pytest.mark.parametrize(
    ("model", "said", "complaint"),
    [
        (pooled(), {}, "the filter bank that it was trained on is not known"),
        (pooled(metadata={"framework": "nemo"}), {}, "its framework is 'nemo'"),
        (pooled(metadata=without_the_mean(THREE_D_SPEAKER)), {}, "normalised by 'per_feature'"),
        (pooled(metadata={**WESPEAKER, "normalize_samples": "x"}), {}, "must be 0 or 1"),
        (pooled(metadata={**WESPEAKER, "sample_rate": "8000"}), {}, "audio at 8000 Hz"),
        (
            pooled(metadata=WESPEAKER),
            {"rate_hz": 8000},
            "--rate is 8000, but net.onnx states 16000",
        ),
        (pooled(metadata=WESPEAKER), {"dim": 17}, "vectors of 16 numbers, but --dim is 17"),
        (pooled(metadata={**WESPEAKER, "output_dim": "512"}), {}, "but it says 512"),
        (pooled(metadata=WESPEAKER), {"window_frames": 160}, "takes the whole clip"),
        (pooled(("N", "T", 40), WESPEAKER), {}, r"is \(any, any, 40\)"),
        (pooled(("N", 200, 80), WESPEAKER), {}, r"is \(any, 200, 80\)"),
        (pooled((2, "T", 80), WESPEAKER), {}, r"is \(2, any, 80\)"),
        (pooled(("N", "S"), WESPEAKER, opset=17), {}, r"is \(any, any\)"),
        (constant(pooled(metadata=WESPEAKER)), {}, "the same vector for all audio"),
        (not_finite(pooled(metadata=WESPEAKER)), {}, "not all finite"),
        (frames_out(pooled(metadata=WESPEAKER)), {}, "must give one vector"),
        (times(1e25, pooled(metadata=WESPEAKER)), {}, "longer than float32 can compute with"),
        (times(0.0, pooled(metadata=WESPEAKER)), {}, "has zero length"),
    ],
)
def test_what_is_no_encoder_or_not_what_was_said_is_refused(
    model: onnx.ModelProto,
    said: Mapping[str, Any],
    complaint: str,
    store: ModelStore,
    tmp_path: Path,
) -> None:
    with pytest.raises(CheckpointInvalid, match=complaint) as caught:
        store.add(saved(tmp_path, model), Addition("kaldi-fbank-80", **said))
    assert caught.value.hint
    assert not store.folder.exists()


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({}, "the number of frames in its windows is not known"),
        ({"window_frames": 80, "step_frames": 81}, "longer than the window"),
        ({"window_frames": 80, "taper": "hann"}, "taper was given"),
        ({"window_frames": 80, "int16": True}, "takes -1 to 1"),
    ],
)
def test_windows_that_are_missing_or_not_possible_are_reported(
    said: Mapping[str, Any], complaint: str, store: ModelStore, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointInvalid, match=complaint):
        store.add(saved(tmp_path, pooled(("N", "T", 40))), Addition("ge2e-mel-40", **said))


def test_every_front_end_has_a_text_of_its_own_by_which_it_is_found() -> None:
    known = front_ends()
    assert len(known) == 3 * 2 * 2 + 2 + 2
    assert all(front_end.describe() == text for text, front_end in known.items())
    assert known[CARDS["campplus"].frontend] == FrontEnd("kaldi-fbank-80")


def test_a_card_that_was_tampered_with_installs_nothing(store: ModelStore, tmp_path: Path) -> None:
    file = saved(tmp_path, pooled(metadata=THREE_D_SPEAKER))
    card = store.add(file, FBANK)
    path = own_cards_folder(store.folder) / "net.toml"
    path.write_text(path.read_text().replace(card.frontend, "something else"))
    again = ModelStore(store.folder, load_cards(path.parent), offline=True)
    assert not again.is_installed("net")
    with pytest.raises(CheckpointInvalid, match="'something else'"):
        again.pull("net", source=file)


def test_an_added_model_belongs_to_a_space_of_its_file(store: ModelStore, tmp_path: Path) -> None:
    spaces = set()
    for name, dim in (("one", 16), ("two", 17)):
        file = saved(tmp_path, pooled(metadata=WESPEAKER, dim=dim))
        card: ModelCard = store.add(file, Addition("kaldi-fbank-80", name=name))
        spaces.add(card.space("s").id.removeprefix(name))
    assert len(spaces) == 2


def fitted(card: ModelCard, seed: int) -> tuple[ModelCard, Compensation]:
    """What `voiceid models fit` gives a card; the numbers are drawn by lot."""
    rng = np.random.default_rng(seed)
    shapes = ((card.dim + 1,), (2, card.dim))
    weights, means = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    axes = np.eye(3, card.dim, dtype=np.float32)
    found = Compensation(weights, means, axes[:2], axes)
    points = (OperatingPoint(0.1, 1.0, 0.3, 0.4, 0.05, 0.01, 300, 30),)
    changes = {"operating_points": points, "operating_points_data": 'site "a".csv\nénough'}
    return replace(card, compensation_sha256=found.digest, **changes), found


def own_files(store: ModelStore) -> set[str]:
    return {path.name for path in own_cards_folder(store.folder).iterdir()}


def test_what_is_fitted_is_read_back_replaced_and_removed(
    store: ModelStore, tmp_path: Path
) -> None:
    for name in ("net", "net-0123456789abcdef"):  # the second looks like a file of the first
        said = Addition("kaldi-fbank-80", name=name)
        store.add(saved(tmp_path, pooled(metadata=THREE_D_SPEAKER)), said)
    other, of_other = fitted(store.card("net-0123456789abcdef"), 7)
    store.refit(other, of_other)
    raw = store.card("net").space("vad")
    for seed in (1, 2, 3):
        card, compensation = fitted(store.card("net"), seed)
        assert store.refit(card, compensation) == store.card("net") == card
        [read] = [load_cards(own_cards_folder(store.folder))["net"]]
        assert read == card
        found = read.compensation()
        assert found is not None
        assert found.digest == store.card("net").compensation().digest == compensation.digest
        assert read.space("vad").raw == raw != read.space("vad")
        store.verify("net")  # the network is as it was
    # The one before is still there for a process that has not read it yet, and no older one.
    assert len([name for name in own_files(store) if name.startswith("net-")]) == 2 + 2
    store.remove("net")
    assert own_files(store) == {"net-0123456789abcdef.toml", fitted_file(other)}
    assert store.card(other.name).compensation().digest == of_other.digest


def test_a_fit_that_is_cut_short_leaves_the_model_as_it_was(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(saved(tmp_path, pooled(metadata=THREE_D_SPEAKER)), FBANK)
    first, compensation = fitted(store.card("net"), 1)
    store.refit(first, compensation)
    moved = Path.replace
    for stopped_at in (".npz", ".toml"):

        def killed(path: Path, target: Path, end: str = stopped_at) -> Path:
            if path.suffix == end:
                raise KeyboardInterrupt
            return moved(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                store.refit(*fitted(first, 2))
        assert store.card("net") == first
        read = load_cards(own_cards_folder(store.folder))["net"]
        assert read == first
        assert read.compensation().digest == compensation.digest
    store.refit(*fitted(first, 3))
    assert len(own_files(store)) == 3  # what the second left is swept


def test_a_card_that_could_not_be_read_again_is_not_written(
    store: ModelStore, tmp_path: Path
) -> None:
    store.add(saved(tmp_path, pooled(metadata=THREE_D_SPEAKER)), FBANK)
    card, compensation = fitted(store.card("net"), 1)
    low = (replace(card.operating_points[0], threshold=0.01),)
    with pytest.raises(ConfigError, match="threshold is"):
        store.refit(replace(card, operating_points=low), compensation)
    with pytest.raises(HashMismatch):
        store.refit(replace(card, compensation_sha256="0" * 64), compensation)
    assert own_files(store) == {"net.toml"}
    assert not list(store.folder.glob(".pull-*"))


def test_a_shipped_model_is_not_fitted(store: ModelStore) -> None:
    with pytest.raises(ModelError, match="campplus comes with voiceid"):
        store.refit(*fitted(store.card("campplus"), 1))
