"""Makes the INT8 form of an encoder: which layers, at which ranges, measured on speech."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from voiceid.domain import Float32Array
from voiceid.errors import CheckpointInvalid
from voiceid.models.cards import ModelCard, Quantized, SelfTest
from voiceid.models.fetch import Progress
from voiceid.models.int8 import FloatGraph, Layer, Quantizer, Ranges, quantized
from voiceid.models.network import at_opset, opset_of
from voiceid.models.runtime import Session
from voiceid.models.selftest import signal

_WORTH = 2e-4
"""Share of a network's multiplications below which a layer stays as it is."""

MAX_COST = 2e-4
"""What a layer may take from the mean cosine to the float32 embeddings; else it stays."""
_JUDGES = 6
"""Clips on which that is measured."""
_REFERENCE_OPSET = 21
"""The reference evaluator has the operators of integers in no older form than that of 19."""
_ORIGIN = "the same graph in onnx's reference evaluator, in NumPy"
_MIN_COSINE = 0.98
"""A value near the middle of two steps falls to either side from one machine to another."""


def measure(graph: FloatGraph, clips: Iterable[Float32Array]) -> tuple[Ranges, list[Layer]]:
    """Return the range of every value that may be quantized, and the layers that are worth it.

    Parameters
    ----------
    graph : FloatGraph
    clips : iterable of (n,) float32
        Speech at 16 kHz, -1 to 1.

    Returns
    -------
    ranges
        The median over the clips of the least and of the greatest value; what goes beyond
        has the eighth bit.
    layers

    Raises
    ------
    CheckpointInvalid
        There is nothing to quantize.
    """
    layers = graph.layers()
    names = list(dict.fromkeys([*(n for x in layers for n in (x.input, x.output)), *graph.sums()]))
    session = Session.of_bytes(
        _observed(graph, names), "it", inputs={"waveform": 2}, outputs=[_seen(n) for n in names]
    )
    seen = np.array([session.run({"waveform": clip[None]}) for clip in clips], dtype=np.float64)
    if not layers or not len(seen):
        raise CheckpointInvalid(
            "there are no convolutions, or no speech, to measure",
            hint="Only networks of convolutions are quantized; give recordings with speech.",
        )
    low, high = np.median(seen[:, :, 0], axis=0), np.median(seen[:, :, 1], axis=0)
    sizes = dict(zip(names, seen[:, :, 2].sum(axis=0), strict=True))
    weights = {
        n.output[0]: graph.weights[n.input[1]]
        for n in graph.nodes
        if n.op_type == "Conv" and n.input[1] in graph.weights
    }
    work = {x.name: sizes[x.output] * weights[x.name][0].size for x in layers}
    total = sum(work.values())
    ranges = {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}
    return ranges, [layer for layer in layers if work[layer.name] >= _WORTH * total]


def _seen(name: str) -> str:
    return f"seen/{name}"


def _observed(graph: FloatGraph, names: Iterable[str]) -> bytes:
    """Return the graph with (3,) more outputs: least, greatest and number of each value."""
    from onnx import ModelProto, TensorProto, helper  # noqa: PLC0415 - once per model

    model = ModelProto()
    model.CopyFrom(graph.model)
    for name in names:
        parts = [f"{_seen(name)}/{kind}" for kind in ("ReduceMin", "ReduceMax", "Size")]
        made = [
            helper.make_node("ReduceMin", [name], [parts[0]], keepdims=0),
            helper.make_node("ReduceMax", [name], [parts[1]], keepdims=0),
            helper.make_node("Size", [name], [f"{parts[2]}/int"]),
            helper.make_node("Cast", [f"{parts[2]}/int"], [parts[2]], to=TensorProto.FLOAT),
            *(helper.make_node("Unsqueeze", [p, "seen/axis"], [f"{p}/1"]) for p in parts),
            helper.make_node("Concat", [f"{p}/1" for p in parts], [_seen(name)], axis=0),
        ]
        model.graph.node.extend(made)
        value = helper.make_tensor_value_info(_seen(name), TensorProto.FLOAT, [3])
        model.graph.output.append(value)
    model.graph.initializer.append(helper.make_tensor("seen/axis", TensorProto.INT64, [1], [0]))
    return bytes(model.SerializeToString())


def source_of(
    base: ModelCard, graph: FloatGraph, layers: Iterable[str], ranges: Ranges
) -> Quantized:
    """Return what a card says of a quantized model: its layers, and the ranges that they need."""
    chosen = tuple(layers)
    quantizer = Quantizer(graph, set(chosen), ranges)
    quantizer.run()
    needed = [name for name in ranges if name in quantizer.rounded]
    return Quantized(
        base=base.name,
        base_sha256=base.checkpoint_sha256,
        layers=chosen,
        tensors=tuple(needed),
        low=tuple(_short(ranges[name][0]) for name in needed),
        high=tuple(_short(ranges[name][1]) for name in needed),
    )


def card_of(
    name: str,
    base: ModelCard,
    data: bytes,
    clips: Sequence[Float32Array],
    progress: Progress,
) -> ModelCard:
    """Return the card of the INT8 form of a model, measured on speech.

    A layer stays in float32 when its multiplications are not worth it, or when it costs too
    much by itself: `MAX_COST` of the embeddings' cosine.

    Parameters
    ----------
    name : str
        Of the new model.
    base : ModelCard
    data : bytes
        The base's installed graph.
    clips : sequence of (n,) float32
        Speech at 16 kHz, -1 to 1.
    progress : Progress

    Raises
    ------
    CheckpointInvalid
        There is nothing to quantize.
    """
    graph = FloatGraph(data)
    stage = f"measuring {base.name} on {len(clips)} clips"
    progress(stage, 0, None)
    ranges, layers = measure(graph, clips)
    few = clips[:: max(1, len(clips) // _JUDGES)][:_JUDGES]
    exact = _embed(data, few)
    kept = []
    for layer in layers:
        progress(f"measuring what {len(layers)} layers cost", 0, None)
        rounded = _embed(quantized(graph, [layer.name], ranges), few)
        if 1.0 - float(np.mean(np.sum(exact * rounded, axis=1))) <= MAX_COST:
            kept.append(layer.name)
    if not kept:
        raise CheckpointInvalid(
            f"every convolution of {base.name} costs more than {MAX_COST:g} of the cosine in INT8",
            hint="It stays in float32; or give recordings of more people.",
        )
    source = source_of(base, graph, kept, ranges)
    golden = _reference(build(source, data), signal())
    return replace(
        base,
        name=name,
        title=f"{base.title}, {len(kept)} of {len(graph.layers())} convolutions in INT8",
        network="int8",
        source=source,
        selftest=SelfTest(tuple(map(_short, map(float, golden))), _ORIGIN, _MIN_COSINE),
        operating_points=(),
        operating_points_data="",
    )


def _embed(data: bytes, clips: Sequence[Float32Array]) -> Float32Array:
    session = Session.of_bytes(data, "it", inputs={"waveform": 2}, outputs=["embedding"])
    return np.concatenate([session.run({"waveform": clip[None]})[0] for clip in clips])


def _reference(data: bytes, samples: Float32Array) -> Float32Array:
    """Return what onnx's own evaluator, written in NumPy, makes of a graph and samples."""
    from onnx import load_model_from_string  # noqa: PLC0415 - once per model
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - as above

    model = load_model_from_string(data)
    model = at_opset(model, max(_REFERENCE_OPSET, opset_of(model)), "the quantized graph")
    [found] = ReferenceEvaluator(model).run(None, {"waveform": samples[None]})
    return np.asarray(found[0], dtype=np.float32)


def _short(value: float) -> float:
    """Return a number with as many digits as a card needs of it."""
    return float(f"{value:.4g}")


def build(source: Quantized, base: bytes) -> bytes:
    """Return the quantized graph of a card and the graph of its base model."""
    ranges = dict(zip(source.tensors, zip(source.low, source.high, strict=True), strict=True))
    return quantized(FloatGraph(base), source.layers, ranges)
