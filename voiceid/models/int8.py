"""Quantization of the convolutions of a float graph to 8-bit integers, by ONNX Runtime.

Weights become signed, with a scale for each output channel; activations unsigned, with one
scale a tensor (B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018), as QuantizeLinear and DequantizeLinear.
Inputs of convolutions use 7 of the 8 bits: x86 processors without VNNI add products in pairs in
16 bits and saturate, and 2 x 127 x 127 is the most that fits.  The eighth bit is for values
beyond the measured range.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid.errors import CheckpointInvalid

_CONV_STEPS, _STEPS = 127, 255
"""Steps over the range of the input of a convolution, and of every other value."""

Array = npt.NDArray[Any]
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution that can be quantized."""

    name: str  # its output's name in the graph
    input: str
    output: str  # after its ReLU if it has one
    products: int  # multiplications for each value of the output


class FloatGraph:
    """A graph in float32, and the nodes that take each value."""

    def __init__(self, data: bytes) -> None:
        import onnx  # noqa: PLC0415 - once per model that is quantized
        from onnx import numpy_helper  # noqa: PLC0415 - as above

        self.model = onnx.load_model_from_string(data)
        self.nodes = list(self.model.graph.node)
        tensors = self.model.graph.initializer
        self.weights: dict[str, Array] = {t.name: numpy_helper.to_array(t) for t in tensors}
        self._takers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self._takers.setdefault(name, []).append(node)

    def layers(self) -> list[Layer]:
        """Return the convolutions with constant weights, in order."""
        return [
            Layer(
                node.output[0],
                node.input[0],
                self._behind(node),
                self.weights[node.input[1]][0].size,
            )
            for node in self.nodes
            if node.op_type == "Conv" and self._is_plain(node)
        ]

    def rounded(self, layers: Collection[str]) -> dict[str, str]:
        """Return the values that are in 8 bits when the named layers are, each with its node.

        An addition of such values is in integers too: the stream of a residual network.
        """
        chosen = {layer.name: layer for layer in self.layers()}
        if missing := set(layers) - chosen.keys():
            raise _not_its_graph(min(missing))
        values: dict[str, str] = {}
        for node in self.nodes:
            name = node.output[0]
            if name in layers:
                values.setdefault(chosen[name].input, "")
                values[chosen[name].output] = name
            elif node.op_type == "Add" and values.keys() >= set(node.input):
                values[self._behind(node)] = name
        return values

    def _is_plain(self, node: Any) -> bool:
        grouped = any(a.name == "group" and a.i != 1 for a in node.attribute)
        return not grouped and all(name in self.weights for name in node.input[1:])

    def _behind(self, node: Any) -> str:
        """Return the node's output, or that of its ReLU if nothing else uses it."""
        takers = self._takers.get(node.output[0], [])
        if len(takers) == 1 and takers[0].op_type == "Relu":
            return str(takers[0].output[0])
        return str(node.output[0])


def quantized(graph: FloatGraph, layers: Iterable[str], ranges: Ranges) -> bytes:
    """Return the ONNX file with the named layers in integers, by the ranges of their values."""
    import onnx  # noqa: PLC0415 - once per model that is quantized
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorsData  # noqa: PLC0415 - as above

    names = set(layers)
    rounded = graph.rounded(names)
    spans = _spans(graph, names, rounded, ranges)
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    for node in model.graph.node:
        node.name = node.output[0]
    quantizer = QDQQuantizer(
        model=model,
        per_channel=True,
        reduce_range=False,  # of the weights
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, spans),
        nodes_to_quantize=sorted({*rounded.keys(), *rounded.values()} - {""}),
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv", "Relu", "Add"],
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    model = quantizer.model.model
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _spans(
    graph: FloatGraph, layers: set[str], rounded: Mapping[str, str], ranges: Ranges
) -> dict[str, tuple[np.float32, np.float32]]:
    """Return the span of 255 steps of each value; ONNX Runtime also needs it before a ReLU."""
    taken = {layer.input for layer in graph.layers() if layer.name in layers}
    spans = {}
    for name, source in rounded.items():
        if name not in ranges:
            raise _not_its_graph(name)
        low, high = min(ranges[name][0], 0.0), max(ranges[name][1], 0.0)
        steps = _CONV_STEPS if name in taken else _STEPS
        spans[name] = np.float32(low), np.float32(low + (high - low) * _STEPS / steps)
        spans[source or name] = spans[name]
    return spans


def _not_its_graph(name: str) -> CheckpointInvalid:
    return CheckpointInvalid(
        f"the ranges of the card belong to another graph: {name} is missing",
        hint="Quantize the model again: `voiceid models quantize`.",
    )
