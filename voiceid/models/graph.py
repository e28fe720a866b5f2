"""A small writer of ONNX graphs: nodes get fresh names, arrays become initialisers.

`onnx` is imported when a graph is written, which happens once per installed model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Weights: TypeAlias = Mapping[str, npt.NDArray[np.float32]]
"""The tensors of a checkpoint, by name."""

OPSET = 17
"""Has LSTM, Pad and ReduceMean in the forms used here; every ONNX Runtime from 1.14 runs it."""

_IR_VERSION = 8
"""The ONNX file format that goes with opset 17."""

_GATES = (0, 3, 1, 2)
"""PyTorch stacks input, forget, cell, output; ONNX wants input, output, forget, cell."""


class Graph:
    """Collects the nodes and the weights of one graph."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[Any] = []
        self._weights: dict[str, npt.NDArray[Any]] = {}
        self._count = 0

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of names for several."""
        from onnx import helper  # noqa: PLC0415 - needed only when a model is installed

        self._count += 1
        names = [f"{kind.lower()}_{self._count}_{i}" for i in range(outputs)]
        node = helper.make_node(kind, list(inputs), names, name=f"{kind}_{self._count}")
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in sorted(attributes.items())
        )
        self._nodes.append(node)
        return names[0] if outputs == 1 else names

    def const(self, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        """Add an array as an initialiser and return its name."""
        self._count += 1
        name = f"w_{self._count}"
        self._weights[name] = np.ascontiguousarray(np.asarray(value, dtype=dtype))
        return name

    def ints(self, *values: int) -> str:
        """Add a (n,) int64 initialiser: a shape, axes, or bounds."""
        return self.const(values, np.int64)

    def unit_length(self, x: str) -> str:
        """Scale (..., dim) to unit length along the last axis."""
        norm = self.op("ReduceL2", x, axes=[-1], keepdims=1)
        return str(self.op("Div", x, self.op("Max", norm, self.const(1e-12))))

    def lstm(self, x: str, weights: Weights, suffixes: Sequence[str]) -> tuple[str, str]:
        """Add a layer of PyTorch's LSTM, in one direction or in both.

        (frames, batch, inputs) to the sequence (frames, directions, batch, hidden) and the last
        state (directions, batch, hidden).  The weights are ``lstm.weight_ih_l0`` and so on, where
        the suffix of a direction is ``l0`` or ``l0_reverse``.
        """
        inputs, recurrent, bias_i, bias_r = (
            np.stack([_in_onnx_order(weights[f"lstm.{kind}_{suffix}"]) for suffix in suffixes])
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        sequence, last = self.op(
            "LSTM",
            x,
            self.const(inputs),
            self.const(recurrent),
            self.const(np.concatenate([bias_i, bias_r], axis=1)),
            outputs=2,
            hidden_size=recurrent.shape[-1],
            **({"direction": "bidirectional"} if len(suffixes) > 1 else {}),
        )
        return sequence, last

    def serialize(
        self,
        inputs: dict[str, Sequence[str | int]],
        outputs: dict[str, tuple[str, Sequence[str | int]]],
    ) -> bytes:
        """Return the checked ONNX file.

        Inputs have a name and a shape, outputs a name, a node output and a shape; all are
        float32.  A word in a shape names a dynamic axis.
        """
        import onnx  # noqa: PLC0415 - as above
        from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

        for name, (source, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [source], [name], name=name))
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)
                for n, (_, shape) in outputs.items()
            ],
            [numpy_helper.from_array(w, name) for name, w in self._weights.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="voiceid"
        )
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def _in_onnx_order(stacked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    gates = np.split(stacked, 4)
    return np.concatenate([gates[i] for i in _GATES])
