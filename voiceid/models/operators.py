"""The operators that a graph may have, checked in its bytes before an engine loads it.

A graph is a program: a loop in it may have no end, a function may hide one, and weights in another
file name that file.  So only the operators of the list below are run: they compute each value
once.  The bytes are walked as Protocol Buffers lay them out (protobuf.dev/programming-guides/
encoding, and onnx.proto), without an object for any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Bytes: TypeAlias = memoryview
Budget: TypeAlias = Iterator[int]
"""An iterator with as many items as fields may still be read."""

_NAMES = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization
    BitShift Cast CastLike Ceil Celu Clip Compress Concat Constant ConstantOfShape Conv ConvInteger
    ConvTranspose Cos Cosh CumSum DFT DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu
    Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GroupNormalization
    HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf
    IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization
    LpPool MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization MelWeightMatrix Min Mish
    Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RNN
    Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence Round STFT
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus
    Softsign Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu
    Unsqueeze Where Xor
"""
_OPERATORS = frozenset(_NAMES.split())
"""ONNX's own, except loops, branches, sequences, texts, pictures and random numbers."""
_CONTROL = frozenset({"If", "Loop", "Scan"})
_OWN_DOMAINS = (b"", b"ai.onnx")

_MOST_FIELDS = 1_000_000
"""Limit of fields; CAM++ in integers has 21,249."""
_FIELD_ZERO = 7
"""The largest tag of field 0, which does not exist."""
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR = (5, 10)
_ATTRIBUTE_GRAPH = (6, 11)
_ATTRIBUTE_SPARSE = (22, 23)
_SPARSE_TENSOR = (1, 2)
_TENSOR_ELSEWHERE, _TENSOR_LOCATION = 13, 14
"""Numbers of fields in onnx.proto."""


class GraphRefused(ValueError):
    """A graph has a part that is not allowed; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def require_plain(graph: Bytes) -> None:
    """Raise `GraphRefused` unless the bytes of a model hold nothing but known operators."""
    has_graph, left = False, iter(range(_MOST_FIELDS))
    for number, part in _fields(graph, left):
        if number == _MODEL_GRAPH:
            has_graph = True
            _require_plain_graph(part, left)
        elif number in {_MODEL_FUNCTIONS, _MODEL_TRAINING}:
            raise GraphRefused("it defines functions of its own", "Inline them: onnx.inliner.")
    if not has_graph:
        raise _malformed()


def _require_plain_graph(graph: Bytes, left: Budget) -> None:
    for number, part in _fields(graph, left):
        if number == _GRAPH_NODE:
            _require_plain_node(part, left)
        elif number == _GRAPH_TENSOR:
            _require_here(part, left)
        elif number == _GRAPH_SPARSE:
            _require_sparse_here(part, left)


def _require_plain_node(node: Bytes, left: Budget) -> None:
    operator, domain, attributes = "", b"", list[Bytes]()
    for number, part in _fields(node, left):
        if number == _NODE_OPERATOR:
            operator = bytes(part).decode("utf-8", "replace")
        elif number == _NODE_DOMAIN:
            domain = bytes(part)
        elif number == _NODE_ATTRIBUTE:
            attributes.append(part)
    if domain not in _OWN_DOMAINS:
        raise GraphRefused(
            f"it uses {operator} of {domain.decode('utf-8', 'replace')}, which is not one of"
            " ONNX's operators",
            "Export it without that library's operators, and before any optimizer.",
        )
    if operator in _CONTROL:
        raise _controlled(operator)
    if operator not in _OPERATORS:
        raise GraphRefused(
            f"it uses the operator {operator!r}, which is not allowed",
            "Export it with other operators: voiceid/models/operators.py lists the allowed ones.",
        )
    for attribute in attributes:
        _require_plain_attribute(attribute, left)


def _require_plain_attribute(attribute: Bytes, left: Budget) -> None:
    for number, part in _fields(attribute, left):
        if number in _ATTRIBUTE_GRAPH:
            raise _controlled("a graph inside an operator")
        if number in _ATTRIBUTE_TENSOR:
            _require_here(part, left)
        elif number in _ATTRIBUTE_SPARSE:
            _require_sparse_here(part, left)


def _require_sparse_here(sparse: Bytes, left: Budget) -> None:
    for number, part in _fields(sparse, left):
        if number in _SPARSE_TENSOR:
            _require_here(part, left)


def _require_here(tensor: Bytes, left: Budget) -> None:
    for number, part in _fields(tensor, left):
        if number == _TENSOR_ELSEWHERE or (number == _TENSOR_LOCATION and bytes(part) != b"\0"):
            raise GraphRefused(
                "its weights are in another file, which is not read",
                "Save it as one file: onnx.save(model, path, save_as_external_data=False).",
            )


def _controlled(name: str) -> GraphRefused:
    return GraphRefused(
        f"it uses {name}: loops and branches are not allowed, because they may never end",
        "Export it without them; onnx-simplifier removes branches that are always the same.",
    )


def _fields(message: Bytes, left: Budget) -> Iterator[tuple[int, Bytes]]:
    """Yield the number and the bytes of each field of a message; raises `GraphRefused`."""
    at, end = 0, len(message)
    try:
        while at < end:
            if next(left, None) is None:
                raise GraphRefused(
                    f"it has more than {_MOST_FIELDS:,} parts, the limit", "Use a smaller network."
                )
            tag, at = _varint(message, at)
            kind = tag & 7
            if kind == _LENGTH:
                size, start = _varint(message, at)
            elif kind == _VARINT:
                start, size = at, _varint(message, at)[1] - at
            elif kind in {_EIGHT_BYTES, _FOUR_BYTES}:
                start, size = at, 8 if kind == _EIGHT_BYTES else 4
            else:
                raise _malformed()
            at = start + size
            if at > end or tag <= _FIELD_ZERO:
                raise _malformed()
            yield tag >> 3, message[start:at]
    except IndexError as error:
        raise _malformed() from error


def _varint(message: Bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a byte, and where it ends; raises IndexError."""
    byte = message[at]
    if byte < 0x80:  # noqa: PLR2004 - the bit that announces another byte
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    for at in range(at + 1, at + 10):  # noqa: B020, PLR1704
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - as above
            return value, at + 1
    raise _malformed()


def _malformed() -> GraphRefused:
    return GraphRefused("it is not an ONNX file", "Export the network to ONNX.")
