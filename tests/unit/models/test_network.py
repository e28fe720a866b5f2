"""A file from elsewhere is one network that stands for itself, or it is refused with a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from exports import DIM, THREE_D_SPEAKER, pooled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from voiceid.errors import CheckpointInvalid
from voiceid.models.network import opset_of, read_network


def test_what_a_file_says_of_itself_is_read() -> None:
    network = read_network(pooled(metadata=THREE_D_SPEAKER).SerializeToString(), "it.onnx")
    assert (network.input, network.output) == ("feats", "embs")
    assert (network.input_shape, network.output_shape) == ((None, None, 80), (None, DIM))
    assert network.metadata == THREE_D_SPEAKER
    assert opset_of(network.model) == 14


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")


def external_in_a_constant(model: onnx.ModelProto) -> None:
    value = numpy_helper.from_array(np.zeros(3, "f4"))
    external_tensor = TensorProto()
    external_tensor.CopyFrom(value)
    external_tensor.ClearField("raw_data")
    external_tensor.data_location = TensorProto.EXTERNAL
    external_tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=external_tensor))


def custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph(
        [helper.make_node("Relu", ["b"], ["z"])],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])],
    )
    node = helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner)
    model.graph.node.append(node)


def loop_without_an_end(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    model.graph.node.insert(0, helper.make_node("Loop", ["", ""], [], body=body))


def text(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "StringConcat"


def function(model: onnx.ModelProto) -> None:
    made = helper.make_function(
        "org.example", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], []
    )
    model.functions.append(made)


def second_input(model: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info("lengths", TensorProto.FLOAT, ["N"])
    model.graph.input.append(value)


def second_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N"]))


def half(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def not_an_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Tanhh"


def old(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 6


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (external, "its weights are in another file"),
        (external_in_a_constant, "its weights are in another file"),
        (custom_operator, "it uses Tanh of com.microsoft"),
        (branch, "loops and branches are not allowed"),
        (loop_without_an_end, "loops and branches are not allowed"),
        (text, "it uses the operator 'StringConcat'"),
        (function, "it defines functions of its own"),
        (second_input, r"it has 2 inputs \(feats, lengths\)"),
        (second_output, r"it has 2 outputs \(embs, b\)"),
        (half, "not of type float32"),
        (not_an_operator, "it uses the operator 'Tanhh'"),
        (old, "its opset is 6"),
    ],
)
def test_what_cannot_be_welded_is_refused_with_what_to_do(
    spoil: Callable[[onnx.ModelProto], None], said: str
) -> None:
    model = pooled()
    spoil(model)
    with pytest.raises(CheckpointInvalid, match=f"it.onnx cannot be added: .*{said}") as caught:
        read_network(model.SerializeToString(), "it.onnx")
    assert caught.value.hint
    assert "\n" not in caught.value.message


GOOD = pooled().SerializeToString()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255), keep=st.integers(0, len(GOOD))
)
def test_damage_is_a_typed_error_or_does_no_harm(
    where: int, byte: int, keep: int, tmp_path: Path
) -> None:
    data = bytearray(GOOD)
    data[where] = byte
    for damaged in (bytes(data), GOOD[:keep]):
        with contextlib.suppress(CheckpointInvalid):
            read_network(damaged, "it.onnx")


def test_weights_that_are_listed_as_inputs_are_no_inputs() -> None:
    model = pooled()
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(value)
    assert read_network(model.SerializeToString(), "it.onnx").input == "feats"
