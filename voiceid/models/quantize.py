"""The INT8 form of an encoder: its layers and their ranges, measured on speech."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from voiceid.domain import Float32Array
from voiceid.errors import CheckpointInvalid
from voiceid.models.cards import ModelCard, Quantized, SelfTest
from voiceid.models.fetch import Progress
from voiceid.models.int8 import FloatGraph, Layer, Ranges, quantized
from voiceid.models.network import at_opset, opset_of
from voiceid.models.runtime import Session
from voiceid.models.selftest import signal

_WORTH = 2e-4
"""Share of a network's multiplications below which a layer stays as it is."""

MAX_COST = 2e-4
"""The most that a layer may reduce the mean cosine to the float32 embeddings; else it stays."""
_JUDGES = 6
"""Clips on which that is measured."""
_OBSERVED: dict[str, dict[str, Any]] = {
    "ReduceMin": {"keepdims": 0},
    "ReduceMax": {"keepdims": 0},
    "Size": {},
}
_REFERENCE_OPSET = 21
"""The reference evaluator has the operators of integers from opset 19 on."""
_ORIGIN = "the same graph in onnx's reference evaluator, in NumPy"
_MIN_COSINE = 0.98
"""A value near the middle of two steps may be rounded either way on different machines."""


def measure(graph: FloatGraph, clips: Iterable[Float32Array]) -> tuple[Ranges, list[Layer]]:
    """Return the range of every value that may be quantized, and the layers worth quantizing.

    Clips are (n,) float32 at 16 kHz, -1 to 1.  A range is the median over the clips of the least
    and of the greatest value; values beyond it use the eighth bit.
    """
    layers = graph.layers()
    names = list(graph.rounded([layer.name for layer in layers]))
    outputs = [f"{kind}/{name}" for kind in _OBSERVED for name in names]
    session = Session.of_bytes(
        _observed(graph, names), "it", inputs={"waveform": 2}, outputs=outputs
    )
    seen = [session.run({"waveform": clip[None]}) for clip in clips]
    if not layers or not seen:
        raise CheckpointInvalid(
            "there are no convolutions, or no speech, to measure",
            hint="Only networks of convolutions are quantized; give recordings with speech.",
        )
    table = np.array(seen, dtype=np.float64).reshape(len(seen), len(_OBSERVED), len(names))
    low, high = np.median(table[:, 0], axis=0), np.median(table[:, 1], axis=0)
    sizes = dict(zip(names, table[:, 2].sum(axis=0), strict=True))
    work = {layer.name: sizes[layer.output] * layer.products for layer in layers}
    total = sum(work.values())
    ranges = {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}
    return ranges, [layer for layer in layers if work[layer.name] >= _WORTH * total]


def _observed(graph: FloatGraph, names: Iterable[str]) -> bytes:
    """Return the graph with three more outputs for each value: least, greatest and number."""
    from onnx import ModelProto, TensorProto, helper  # noqa: PLC0415 - once per model

    model = ModelProto()
    model.CopyFrom(graph.model)
    for kind, how in _OBSERVED.items():
        for name in names:
            model.graph.node.append(helper.make_node(kind, [name], [f"{kind}/{name}"], **how))
            of = TensorProto.INT64 if kind == "Size" else TensorProto.FLOAT
            output = helper.make_tensor_value_info(f"{kind}/{name}", of, [])
            model.graph.output.append(output)
    return bytes(model.SerializeToString())


def source_of(
    base: ModelCard, graph: FloatGraph, layers: Iterable[str], ranges: Ranges
) -> Quantized:
    """Return the source of a quantized model for its card: its layers, and their ranges."""
    chosen = tuple(layers)
    rounded = graph.rounded(chosen)
    needed = [name for name in ranges if name in rounded]
    return Quantized(
        base=base.name,
        base_sha256=base.checkpoint_sha256,
        layers=chosen,
        tensors=tuple(needed),
        low=tuple(_short(ranges[name][0]) for name in needed),
        high=tuple(_short(ranges[name][1]) for name in needed),
    )


def card_of(
    name: str, base: ModelCard, data: bytes, clips: Sequence[Float32Array], progress: Progress
) -> ModelCard:
    """Return the card of the INT8 form of a model, measured on clips (n,) at 16 kHz, -1 to 1.

    A layer stays in float32 if it has too few multiplications, or if it alone reduces the
    embeddings' cosine by more than `MAX_COST`.
    """
    graph = FloatGraph(data)
    stage = f"measuring {base.name} on {len(clips)} clips"
    progress(stage, 0, None)
    ranges, layers = measure(graph, clips)
    few = clips[:: max(1, len(clips) // _JUDGES)][:_JUDGES]
    exact = _embed(data, few)
    kept = []
    for layer in layers:
        progress(f"measuring the cost of {len(layers)} layers", 0, None)
        rounded = _embed(quantized(graph, [layer.name], ranges), few)
        if 1.0 - float(np.mean(np.sum(exact * rounded, axis=1))) <= MAX_COST:
            kept.append(layer.name)
    if not kept:
        raise CheckpointInvalid(
            f"every convolution of {base.name} costs more than {MAX_COST:g} of the cosine in INT8",
            hint="Use it in float32, or give recordings of more people.",
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
        calibration=None,
        compensation_sha256="",
        overlap_sha256="",
        operating_points_data="",
    )


def _embed(data: bytes, clips: Sequence[Float32Array]) -> Float32Array:
    session = Session.of_bytes(data, "it", inputs={"waveform": 2}, outputs=["embedding"])
    return np.concatenate([session.run({"waveform": clip[None]})[0] for clip in clips])


def _reference(data: bytes, samples: Float32Array) -> Float32Array:
    """Return the output of onnx's own evaluator, written in NumPy, for a graph and samples."""
    from onnx import load_model_from_string  # noqa: PLC0415 - once per model
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - as above

    model = load_model_from_string(data)
    model = at_opset(model, max(_REFERENCE_OPSET, opset_of(model)), "the quantized graph")
    [vectors] = ReferenceEvaluator(model).run(None, {"waveform": samples[None]})
    return np.asarray(vectors[0], dtype=np.float32)


def _short(value: float) -> float:
    """Return a number with as many digits as a card needs."""
    return float(f"{value:.4g}")


def build(source: Quantized, base: bytes) -> bytes:
    """Return the quantized graph of a card and the graph of its base model."""
    ranges = dict(zip(source.tensors, zip(source.low, source.high, strict=True), strict=True))
    return quantized(FloatGraph(base), source.layers, ranges)
