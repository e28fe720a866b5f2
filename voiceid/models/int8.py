"""Writes the convolutions of a float graph in 8-bit integers.

Weights become signed, with a scale for each output channel; activations unsigned, with one
scale a tensor (B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018).  The graph keeps ONNX's own operators, with
QuantizeLinear and DequantizeLinear around what the engine then runs in integers.

What a convolution takes is spread over 7 of the 8 bits: x86 processors without VNNI add
products in pairs in 16 bits and saturate, and 2 x 127 x 127 is the most that fits (255 would
overflow).  The eighth bit is room for what is louder than anything that was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid.errors import CheckpointInvalid

_WEIGHT_STEPS = 127
"""Weights lie in -127 to 127."""
_CONV_STEPS, _STEPS = 127, 255
"""Steps over the range of what a convolution takes, and of everything else."""
_MIN_SCALE = 1e-8
_INT32 = 2**31 - 1

Array = npt.NDArray[Any]
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution that can be quantized.

    Parameters
    ----------
    name : str
        Its output's name in the graph.
    input, output : str
        What it takes; and what it gives, behind its ReLU if it has one.
    """

    name: str
    input: str
    output: str


class FloatGraph:
    """A graph in float32, and where its values come from and go to.

    Parameters
    ----------
    data : bytes
        The ONNX file.
    """

    def __init__(self, data: bytes) -> None:
        import onnx  # noqa: PLC0415 - once per model that is quantized
        from onnx import numpy_helper  # noqa: PLC0415 - as above

        self.model = onnx.load_model_from_string(data)
        self.nodes = list(self.model.graph.node)
        tensors = self.model.graph.initializer
        self.weights: dict[str, Array] = {t.name: numpy_helper.to_array(t) for t in tensors}
        self.takers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)

    def layers(self) -> list[Layer]:
        """Return the convolutions with weights of their own, in order."""
        return [
            Layer(node.output[0], node.input[0], self.behind(node))
            for node in self.nodes
            if node.op_type == "Conv" and self._is_plain(node)
        ]

    def _is_plain(self, node: Any) -> bool:
        grouped = any(a.name == "group" and a.i != 1 for a in node.attribute)
        return not grouped and all(name in self.weights for name in node.input[1:])

    def relu_of(self, node: Any) -> Any | None:
        """Return the ReLU that is all that takes a node's output."""
        takers = self.takers.get(node.output[0], [])
        return takers[0] if len(takers) == 1 and takers[0].op_type == "Relu" else None

    def behind(self, node: Any) -> str:
        """Return the node's output, or that of its ReLU."""
        relu = self.relu_of(node)
        return str(node.output[0] if relu is None else relu.output[0])

    def sums(self) -> list[str]:
        """Return what additions give, behind their ReLUs: the stream of a residual network."""
        known = {layer.output for layer in self.layers()}
        found = []
        for node in self.nodes:
            if node.op_type == "Add" and known.issuperset(node.input):
                found.append(self.behind(node))
                known.add(found[-1])
        return found


def quantized(graph: FloatGraph, layers: Iterable[str], ranges: Ranges) -> bytes:
    """Return the ONNX file with the named layers in integers.

    Parameters
    ----------
    graph : FloatGraph
    layers : iterable of str
        Names of layers; the ranges of what they take and give must be known.
    ranges : mapping of str to (float, float)

    Raises
    ------
    CheckpointInvalid
        A layer is not in the graph, or a range is missing.
    """
    return Quantizer(graph, set(layers), ranges).run()


class Quantizer:
    """Writes a graph anew, node by node; a value that is quantized is called something else."""

    def __init__(self, graph: FloatGraph, names: set[str], ranges: Ranges) -> None:
        self.graph = graph
        self.ranges = ranges
        self.chosen = {layer.name: layer for layer in graph.layers() if layer.name in names}
        if missing := names - self.chosen.keys():
            raise _not_its_graph(min(missing))
        self.conv_inputs = {layer.input for layer in self.chosen.values()}
        self.nodes: list[Any] = []
        self.made: dict[str, Array] = {}
        self.rounded: dict[str, tuple[str, np.float32]] = {}
        """Values that there are in 8 bits too: what they are called then, and their scale."""
        self.coarse: set[str] = set()
        """Those of them that everybody takes in 8 bits."""

    def run(self) -> bytes:
        """Return the ONNX file."""
        import onnx  # noqa: PLC0415 - once per model that is quantized
        from onnx import numpy_helper  # noqa: PLC0415 - as above

        done: set[str] = set()
        for node in self.graph.nodes:
            if node.output[0] in done:
                continue
            if node.output[0] in self.chosen:
                done |= self._with_relu(node, self._convolution(node))
            elif node.op_type == "Add" and all(name in self.rounded for name in node.input):
                done |= self._with_relu(node, [self.rounded[name][0] for name in node.input])
            else:
                inputs = [self.rounded[n][0] if n in self.coarse else n for n in node.input]
                self._copy(node, inputs)
        model = onnx.ModelProto()
        model.CopyFrom(self.graph.model)
        del model.graph.node[:], model.graph.initializer[:]
        model.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        arrays = {**self.graph.weights, **self.made}
        model.graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in arrays.items() if name in used
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _copy(self, node: Any, inputs: Iterable[str]) -> None:
        from onnx import NodeProto  # noqa: PLC0415 - once per model that is quantized

        copy = NodeProto()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(inputs)
        self.nodes.append(copy)

    def _with_relu(self, node: Any, inputs: list[str]) -> set[str]:
        """Write a node and its ReLU, and round what they give; return what the ReLU gives."""
        self._copy(node, inputs)
        relu = self.graph.relu_of(node)
        if relu is not None:
            self._copy(relu, relu.input)
        output = self.graph.behind(node)
        self._round(output)
        self.coarse.add(output)
        return set() if relu is None else {output}

    def _convolution(self, node: Any) -> list[str]:
        """Return what a quantized convolution takes: input, weights and bias in integers."""
        x, scale = self._round(node.input[0])
        weight = self.graph.weights[node.input[1]].astype(np.float64)
        per_channel = (-1, *(1,) * (weight.ndim - 1))
        largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        steps = np.maximum(largest / _WEIGHT_STEPS, _MIN_SCALE).astype(np.float32)
        whole = np.rint(weight / steps.reshape(per_channel)).astype(np.int8)
        name = node.output[0]
        inputs = [x, self._given(f"{name}/weight", whole, steps)]
        if len(node.input) > 2:  # noqa: PLR2004 - a convolution's third input is its bias
            steps = steps * scale
            bias = np.rint(self.graph.weights[node.input[2]].astype(np.float64) / steps)
            inputs.append(
                self._given(f"{name}/bias", np.clip(bias, -_INT32, _INT32).astype(np.int32), steps)
            )
        return inputs

    def _round(self, name: str) -> tuple[str, np.float32]:
        """Write the way of a value to 8 bits and back; return what it is called then."""
        from onnx import helper  # noqa: PLC0415 - once per model that is quantized

        if name in self.rounded:
            return self.rounded[name]
        if name not in self.ranges:
            raise _not_its_graph(name)
        low, high = min(self.ranges[name][0], 0.0), max(self.ranges[name][1], 0.0)
        steps = _CONV_STEPS if name in self.conv_inputs else _STEPS
        scale = np.float32(max((high - low) / steps, _MIN_SCALE))
        self.made[f"{name}/scale"] = np.array(scale)
        self.made[f"{name}/zero"] = np.array(np.rint(-low / scale), dtype=np.uint8)
        ends = [f"{name}/scale", f"{name}/zero"]
        self.nodes += [
            helper.make_node("QuantizeLinear", [name, *ends], [f"{name}/uint8"]),
            helper.make_node("DequantizeLinear", [f"{name}/uint8", *ends], [f"{name}/rounded"]),
        ]
        self.rounded[name] = f"{name}/rounded", scale
        return self.rounded[name]

    def _given(self, name: str, whole: Array, steps: Array) -> str:
        """Write a constant in integers; return the name of its float form."""
        from onnx import helper  # noqa: PLC0415 - once per model that is quantized

        self.made[f"{name}/int"], self.made[f"{name}/scale"] = whole, steps.astype(np.float32)
        self.made[f"{name}/zero"] = np.zeros(len(steps), whole.dtype)
        parts = [f"{name}/{part}" for part in ("int", "scale", "zero")]
        self.nodes.append(helper.make_node("DequantizeLinear", parts, [name], axis=0))
        return name


def _not_its_graph(name: str) -> CheckpointInvalid:
    return CheckpointInvalid(
        f"the ranges of the card are of another graph: {name} is missing",
        hint="Quantize the model again: `voiceid models quantize`.",
    )
