"""Networks as other toolkits export them: features in, an embedding out, metadata or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy.signal import firwin

from voiceid.models.graph import Graph

DIM = 16
THREE_D_SPEAKER = {
    "framework": "3d-speaker",
    "sample_rate": "16000",
    "output_dim": str(DIM),
    "normalize_samples": "1",
    "feature_normalize_type": "global-mean",
}
WESPEAKER = {"framework": "wespeaker", "sample_rate": "16000", "normalize_samples": "0"}


def pooled(
    shape: Sequence[str | int] = ("N", "T", 80),
    metadata: Mapping[str, str] | None = None,
    *,
    opset: int = 14,
    dim: int = DIM,
) -> onnx.ModelProto:
    """A small network: a layer over the frames, the mean over time, another layer."""
    rng = np.random.default_rng(7)
    bins = shape[-1] if isinstance(shape[-1], int) else 1
    axes: dict[str, object] = {} if opset >= 18 else {"axes": [1]}
    extra = ["time"] if opset >= 18 else []
    flat = [] if len(shape) == 3 else [helper.make_node("Unsqueeze", ["feats", "last"], ["x"])]
    nodes = [
        *flat,
        helper.make_node("MatMul", ["x" if flat else "feats", "w1"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("ReduceMean", ["b", *extra], ["c"], keepdims=0, **axes),
        helper.make_node("MatMul", ["c", "w2"], ["embs"]),
    ]
    made = {
        "w1": (0.1 * rng.normal(size=(bins, 24))).astype("f4"),
        "w2": rng.normal(size=(24, dim)).astype("f4"),
        **({"time": np.array([1])} if extra else {}),
        **({"last": np.array([2])} if flat else {}),
    }
    graph = helper.make_graph(
        nodes,
        "pooled",
        [helper.make_tensor_value_info("feats", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("embs", TensorProto.FLOAT, [shape[0], dim])],
        [numpy_helper.from_array(value, name) for name, value in made.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    helper.set_model_props(model, dict(metadata or {}))
    return model


def campplus_features_in(installed: Path, metadata: Mapping[str, str]) -> bytes:
    """The installed CAM++ without its front end: what stands behind the removal of the mean."""
    model = onnx.load(installed)
    graph = model.graph
    mean = next(node for node in graph.node if node.op_type == "Sub")
    norm = next(node for node in graph.node if node.op_type == "ReduceL2")
    before = set()
    for node in graph.node:
        before.update(node.output)
        if node is mean:
            break
    behind = [n for n in graph.node if not before.issuperset(n.output)]
    behind = behind[: next(i for i, node in enumerate(behind) if node is norm)]
    turned = helper.make_node("Transpose", ["x"], list(mean.output), perm=[0, 2, 1])
    end = helper.make_node("Identity", [norm.input[0]], ["embedding"])
    used = {name for node in behind for name in node.input}
    cut = helper.make_graph(
        [turned, *behind, end],
        "campplus",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", 80])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 192])],
        [tensor for tensor in graph.initializer if tensor.name in used],
    )
    made = helper.make_model(cut, opset_imports=model.opset_import)
    made.ir_version = model.ir_version
    helper.set_model_props(made, dict(metadata))
    onnx.checker.check_model(made)
    return made.SerializeToString()


def redimnet_like(name: str = "features", batch: str | int = 1) -> bytes:
    """A small network that takes what ReDimNet2's exports take: frames by fours, as a picture."""
    rng = np.random.default_rng(5)
    graph = Graph("blocks")
    weight = graph.const(rng.normal(size=(8, 1, 3, 3)) / 3)
    x = graph.op("Relu", graph.op("Conv", name, weight, pads=[1, 1, 1, 1]))
    fours = graph.op("Reshape", x, graph.ints(0, 8 * 72, -1, 4))
    mean = graph.op("ReduceMean", fours, axes=[2, 3], keepdims=0)
    embedding = graph.op("MatMul", mean, graph.const(rng.normal(size=(8 * 72, 192))))
    return graph.serialize(
        {name: [batch, 1, 72, "4*groups"]}, {"embedding": (embedding, [batch, 192])}
    )


def conv_features_in() -> bytes:
    """A small network of convolutions, as an export of 3D-Speaker."""
    rng = np.random.default_rng(3)
    graph = Graph("convolutions")
    x = graph.op("Transpose", "x", perm=[0, 2, 1])
    for inputs, outputs in ((80, 64), (64, 64), (64, 32)):
        weight = rng.normal(size=(outputs, inputs, 3)) / np.sqrt(3 * inputs)
        x = graph.op("Relu", graph.op("Conv", x, graph.const(weight), pads=[1, 1]))
    mean = graph.op("ReduceMean", x, axes=[2], keepdims=0)
    data = graph.serialize({"x": ["N", "T", 80]}, {"embedding": (mean, ["N", 32])})
    model = onnx.load_from_string(data)
    helper.set_model_props(model, {"framework": "3d-speaker"})
    return model.SerializeToString(deterministic=True)


def band_detector(
    samples: str | int = "samples", *, classes: int = 1, edge_hz: float = 4500.0, sign: float = 1.0
) -> bytes:
    """A countermeasure that hears how wide the band is: the level above an edge, in dB of all.

    It finds what was played over a telephone, and nothing else.
    """
    graph = Graph("band")
    kernel = firwin(129, edge_hz, fs=16_000, pass_zero=False)
    x = graph.op("Unsqueeze", "x", graph.ints(1))
    high = graph.op("Conv", x, graph.const(kernel[None, None]))
    powers = [
        graph.op("ReduceMean", graph.op("Mul", y, y), axes=[2], keepdims=0) for y in (high, x)
    ]
    floored = [graph.op("Max", power, graph.const(1e-12)) for power in powers]
    level = graph.op("Log", graph.op("Div", *floored))
    score = graph.op("Mul", level, graph.const(np.full((1, classes), sign * 10 / np.log(10))))
    return graph.serialize({"x": ["N", samples]}, {"score": (score, ["N", classes])})


def band_score(samples: np.ndarray, edge_hz: float = 4500.0) -> float:
    """What `band_detector` says, without ONNX."""
    high = np.convolve(samples, firwin(129, edge_hz, fs=16_000, pass_zero=False), mode="valid")
    return float(10 * np.log10(np.mean(high**2) / np.mean(samples.astype(np.float64) ** 2)))
