"""INT8 graphs compute what integer arithmetic says, on every kind of processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from exports import conv_features_in
from networks import CARDS, checkpoint, embed
from onnx import numpy_helper

from voiceid.errors import CheckpointInvalid
from voiceid.models import runtime
from voiceid.models.add import Addition
from voiceid.models.build import build_graph
from voiceid.models.cards import Quantized, load_cards, own_cards_folder
from voiceid.models.graph import Graph
from voiceid.models.install import ModelStore
from voiceid.models.int8 import FloatGraph, quantized
from voiceid.models.quantize import measure

INT8 = CARDS["campplus-int8"]
SPEECH = ("alice-1", "alice-2", "bob-1", "bob-2", "carol-1", "carol-2")


def small(seed: int = 0) -> bytes:
    """Two convolutions and a residual sum over (N, samples), to (N, 4)."""
    rng = np.random.default_rng(seed)
    g = Graph("small")
    x = g.op("Unsqueeze", "waveform", g.ints(1))
    x = g.op("Relu", g.op("Conv", x, g.const(rng.normal(size=(4, 1, 9))), strides=[4]))
    y = g.op(
        "Conv", x, g.const(rng.normal(size=(4, 4, 3))), g.const(rng.normal(size=4)), pads=[1, 1]
    )
    both = g.op("Relu", g.op("Add", x, y))
    mean = g.op("ReduceMean", both, axes=[2], keepdims=0)
    shapes = {"waveform": ["N", "samples"]}
    return g.serialize(shapes, {"embedding": (mean, ["N", 4])})


def rounded(x: np.ndarray, low: float, high: float, steps: int) -> np.ndarray:
    """To 8 bits and back, as ONNX's QuantizeLinear states it."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / steps)
    zero = np.rint(-low / scale)
    return (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale


def conv(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2], axis=1)[:, ::stride]
    return np.einsum("ock,ctk->ot", w, windows)


def coarse(w: np.ndarray) -> np.ndarray:
    step = np.abs(w).reshape(len(w), -1).max(axis=1)[:, None, None] / 127
    return np.rint(w / step) * step


def test_a_small_graph_is_what_the_arithmetic_by_hand_says() -> None:
    graph = FloatGraph(small())
    rng = np.random.default_rng(1)
    clips = [rng.normal(size=400).astype("f4") for _ in range(3)]
    ranges, layers = measure(graph, clips)
    data = quantized(graph, [layer.name for layer in layers], ranges)
    first, second = layers
    total = list(graph.rounded([layer.name for layer in layers]))[-1]
    w = {
        n.output[0]: [graph.weights[i] for i in n.input[1:]]
        for n in graph.nodes
        if n.op_type == "Conv"
    }
    for clip in clips:
        x = rounded(clip[None].astype("f8"), *ranges[first.input], 127)
        x = np.maximum(conv(x, coarse(w[first.name][0]), 4, 0), 0)
        x = rounded(x, *ranges[first.output], 127)
        weight, bias = w[second.name]
        y = conv(x, coarse(weight), 1, 1) + bias[:, None]
        y = rounded(y, *ranges[second.output], 255)
        expected = rounded(np.maximum(x + y, 0), *ranges[total], 255).mean(axis=1)
        step = (ranges[total][1] - min(0, ranges[total][0])) / 255
        np.testing.assert_allclose(embed(data, clip[None])[0], expected, atol=step / 4)


def test_the_range_of_a_value_is_the_median_of_what_the_clips_reach() -> None:
    graph = FloatGraph(small())
    clips = [np.full(400, level, "f4") for level in (0.1, 0.2, 0.9)]
    ranges, _ = measure(graph, clips)
    assert ranges["unsqueeze_2_0"] == pytest.approx((0.2, 0.2))


def test_no_sum_of_two_products_of_the_shipped_model_overflows_16_bits(models_folder: Path) -> None:
    """Within the measured ranges: processors without VNNI would saturate there."""
    model = onnx.load(models_folder / "campplus-int8.onnx")
    weights = [numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == 3]
    weights = [w for w in weights if w.ndim >= 3]
    assert len(weights) == len(INT8.source.layers)
    largest = max(int(np.abs(w.astype(int)).max()) for w in weights)
    assert 2 * 127 * largest <= 32767


def test_the_shipped_card_builds_the_same_bytes_everywhere(models_folder: Path) -> None:
    base = (models_folder / "campplus.onnx").read_bytes()
    assert build_graph(INT8, base) == (models_folder / "campplus-int8.onnx").read_bytes()


def test_embeddings_in_int8_stay_close_to_those_in_float32(models_folder: Path, ami: Any) -> None:
    graphs = [(models_folder / f"{n}.onnx").read_bytes() for n in ("campplus", "campplus-int8")]
    cosines = []
    for turn in SPEECH:
        exact, coarse_one = (embed(graph, ami.samples(turn)[None])[0] for graph in graphs)
        cosines.append(exact @ coarse_one)
    assert min(cosines) > 0.99
    assert len(graphs[1]) < 0.6 * len(graphs[0])


def test_the_front_end_stays_in_float32() -> None:
    assert isinstance(INT8.source, Quantized)
    graph = FloatGraph(build_graph(CARDS["campplus"], checkpoint("campplus")))
    first_two = [layer.name for layer in graph.layers()][:2]
    assert not set(first_two) & set(INT8.source.layers)
    assert set(INT8.source.layers) < {layer.name for layer in graph.layers()}


def test_ranges_of_another_graph_are_refused() -> None:
    graph = FloatGraph(small())
    with pytest.raises(CheckpointInvalid, match="conv_none is missing"):
        quantized(graph, ["conv_none"], {})
    with pytest.raises(CheckpointInvalid, match="unsqueeze_2_0 is missing"):
        quantized(graph, [graph.layers()[0].name], {})


def test_a_network_without_convolutions_is_refused() -> None:
    g = Graph("none")
    out = g.op("MatMul", "waveform", g.const(np.ones((100, 4))))
    data = g.serialize({"waveform": ["N", 100]}, {"embedding": (out, ["N", 4])})
    with pytest.raises(CheckpointInvalid, match="no convolutions"):
        measure(FloatGraph(data), [np.zeros(100, "f4")])


def test_a_model_is_quantized_on_recordings_and_pulled_again_from_its_base(
    models_folder: Path, tmp_path: Path, ami: Any
) -> None:
    folder = tmp_path / "models"
    store = ModelStore(folder, CARDS, offline=True)
    file = tmp_path / "net.onnx"
    file.write_bytes(conv_features_in())
    store.add(file, Addition("kaldi-fbank-80"))
    clips = [ami.samples(turn)[:32_000] for turn in SPEECH]
    card = store.quantize("net", clips, "net-int8")
    assert card.source.base == "net"
    assert card.operating_points == ()
    assert card.space("s").id != store.card("net").space("s").id
    digest = store.installed("net-int8").sha256
    again = ModelStore(folder, load_cards(own_cards_folder(folder)), offline=True)
    again.installed("net-int8").path.unlink()
    assert again.pull("net-int8").sha256 == digest
    vectors = [
        embed(again.installed(n).path.read_bytes(), clips[0][None])[0] for n in ("net", "net-int8")
    ]
    assert 0.99 < vectors[0] @ vectors[1] < 1
    again.remove("net-int8")
    assert [path.name for path in own_cards_folder(folder).iterdir()] == ["net.toml"]


@pytest.mark.usefixtures("from_scratch")
def test_the_quantized_convolutions_run_in_integers(models_folder: Path, tmp_path: Path) -> None:
    """The engine must recognise the pattern; else INT8 would be slower than float32."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        models_folder / "campplus-int8.onnx",
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=[runtime._NOT_WANTED],
    )
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    fused = sum(node.op_type == "QLinearConv" for node in nodes)
    assert fused == len(INT8.source.layers)
