"""Reads ONNX files of other people's networks, and trusts nothing in them.

`voiceid.models.operators` lists the operators that a graph may have; a graph that cannot be joined
with a front end is refused here, with a hint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voiceid.errors import CheckpointInvalid
from voiceid.models.graph import OPSET
from voiceid.models.operators import GraphRefused, require_plain

_OWN_DOMAINS = {"", "ai.onnx"}
_FIRST_OPSET = 7
"""Older files have fewer facts on shapes, and no recent exporter writes them."""

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """An exported network: one float input and output; None is a dimension that is not fixed."""

    model: Any
    input: str
    output: str
    input_shape: Shape
    output_shape: Shape
    metadata: dict[str, str]


def read_network(data: bytes, name: str) -> Network:
    """Read and check an ONNX file; its name is for messages."""
    import onnx  # noqa: PLC0415 - once per model that is added

    try:
        require_plain(memoryview(data))
    except GraphRefused as error:
        raise _refusal(name, str(error), error.hint) from error
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors have no base of their own
        why = f"it is not an ONNX file ({_line(error)})"
        raise _refusal(name, why, "Export the network to ONNX.") from error
    if opset_of(model) < _FIRST_OPSET:
        raise _refusal(name, f"its opset is {opset_of(model)}", f"Export it with opset {OPSET}.")
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        why = f"onnx's checker says: {_line(error)}"
        raise _refusal(name, why, "Export it again.") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    return Network(
        model,
        *_names(name, inputs, model.graph.output),
        _shape(inputs[0]),
        _shape(model.graph.output[0]),
        {entry.key: entry.value for entry in model.metadata_props},
    )


def fixed_samples(shape: Shape) -> int | None:
    """Return how many samples an input (n, samples) takes, or None: any number."""
    return shape[1] if len(shape) == 2 else None  # noqa: PLR2004 - axes


def opset_of(model: Any) -> int:
    """Return the version of ONNX's own operators that a model uses."""
    return max((o.version for o in model.opset_import if o.domain in _OWN_DOMAINS), default=0)


def at_opset(model: Any, opset: int, name: str) -> Any:
    """Return the model at a newer version of ONNX's operators."""
    from onnx import version_converter  # noqa: PLC0415 - once per model that is added

    if opset_of(model) == opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except Exception as error:
        why = f"it cannot be brought from opset {opset_of(model)} to {opset} ({_line(error)})"
        raise _refusal(name, why, f"Export it with opset {OPSET}.") from error


def _names(name: str, inputs: Any, outputs: Any) -> tuple[str, str]:
    """Return the names of the one input and the one output, both float32."""
    from onnx import TensorProto  # noqa: PLC0415 - once per model that is added

    for side, values in (("input", inputs), ("output", outputs)):
        if len(values) != 1:
            names = ", ".join(value.name for value in values) or "none"
            raise _refusal(
                name,
                f"it has {len(values)} {side}s ({names}), and must have one",
                "Export the part from the features, or the waveform, to the embedding.",
            )
        if values[0].type.tensor_type.elem_type != TensorProto.FLOAT:
            raise _refusal(name, f"its {side} is not of type float32", "Export it in float32.")
    return inputs[0].name, outputs[0].name


def _shape(value: Any) -> Shape:
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _refusal(name: str, why: str, hint: str) -> CheckpointInvalid:
    return CheckpointInvalid(f"{name} cannot be added: {why}", hint=hint)
