"""CAM++ as an ONNX graph.

H. Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using
Context-Aware Masking", Interspeech 2023: a 2-D convolutional head over the filter bank, then
three densely connected blocks of time-delay layers, each layer's output masked by its
context (the mean of the whole clip and of 100-frame segments), then mean and deviation.

Time-delay layers are written as 2-D convolutions of height 1: ONNX Runtime keeps chains of these
in blocks of channels, and there a normalisation with its ReLU is one pass.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voiceid.models.checkpoint import require_shapes
from voiceid.models.frontends import FrontEnd
from voiceid.models.graph import Graph, Weights

DIM = 192
_MELS = 80
_PLANES = 32
"""Channels of the head."""
_GROWTH, _BOTTLENECK = 32, 128
"""Channels that a dense layer adds, and between its two convolutions."""
_BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each dense block."""
_CHANNELS = 512
"""Channels of the frames under the statistics."""
_SEGMENT = 100
"""Frames of a context segment."""
_BN_EPSILON = 1e-5
"""PyTorch's default for BatchNorm; the network was trained with it."""


def build(weights: Weights) -> bytes:
    """Return the ONNX file: ``waveform`` (N, samples) to ``embedding`` (N, 192), unit length.

    Beside it ``frames`` (N, 512, T), whose mean and deviation over time the last layer takes, and
    that layer itself, ``projection`` (192, 1025): see `voiceid.speech.pooling`.
    """
    require_shapes(weights, _shapes(), name="the checkpoint of campplus")
    graph = Graph("campplus")
    network = _Network(graph, weights)
    frames = network.frames(FrontEnd("kaldi-fbank-80").add(graph, "waveform"))
    embedding = graph.unit_length(network.embedding(frames))
    projection = graph.const(np.column_stack(network.projection()))
    return graph.serialize(
        {"waveform": ["N", "samples"]},
        {
            "embedding": (embedding, ["N", DIM]),
            "frames": (frames, ["N", _CHANNELS, "T"]),
            "projection": (projection, [DIM, 2 * _CHANNELS + 1]),
        },
    )


class _Network:
    """Writes the layers, reading the weights by their names in the checkpoint."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.graph = graph
        self.weights = weights

    def embedding(self, frames: str) -> str:
        """(N, 512, T) -> (N, 192)."""
        return self.project(self.statistics(frames))

    def frames(self, features: str) -> str:
        """(N, 80, frames) -> (N, 512, T), half as many."""
        g = self.graph
        x = self.first(self.head(g.op("Unsqueeze", features, g.ints(1))))
        for number, (layers, dilation) in enumerate(_BLOCKS, start=1):
            for layer in range(1, layers + 1):
                new = self.dense_layer(x, f"xvector.block{number}.tdnnd{layer}", dilation)
                x = g.op("Concat", x, new, axis=1)
            transit = f"xvector.transit{number}"
            then = "xvector.out_nonlinear.batchnorm" if number == len(_BLOCKS) else None
            x = self.bn_relu_conv(x, f"{transit}.nonlinear.batchnorm", f"{transit}.linear", then)
        return str(g.op("Squeeze", x, g.ints(2)))

    def head(self, x: str) -> str:
        """(N, 1, 80, frames) -> (N, 32, 10, frames): residual blocks that shrink frequency by 8."""
        x = self.conv2d(x, "head.conv1", "head.bn1", 1)
        for stage in ("head.layer1", "head.layer2"):
            x = self.residual(x, f"{stage}.0", 2)
            x = self.residual(x, f"{stage}.1", 1)
        return self.conv2d(x, "head.conv2", "head.bn2", 2)

    def residual(self, x: str, name: str, stride: int) -> str:
        """Two 3x3 convolutions beside a shortcut, which is a convolution where it shrinks."""
        inner = self.conv2d(x, f"{name}.conv1", f"{name}.bn1", stride)
        inner = self.conv2d(inner, f"{name}.conv2", f"{name}.bn2", 1, relu=False)
        if stride > 1:
            x = self.conv2d(x, f"{name}.shortcut.0", f"{name}.shortcut.1", stride, relu=False)
        return str(self.graph.op("Relu", self.graph.op("Add", inner, x)))

    def conv2d(self, x: str, conv: str, norm: str, stride: int, *, relu: bool = True) -> str:
        """Convolve with the batch normalisation folded in; stride along frequency only."""
        g, weight = self.graph, self.weights[f"{conv}.weight"]
        scale, shift = self.affine(norm)
        pad = weight.shape[-1] // 2
        y = g.op(
            "Conv",
            x,
            g.const(weight * scale[:, None, None, None]),
            g.const(shift),
            strides=[stride, 1],
            pads=[pad] * 4,
        )
        return str(g.op("Relu", y)) if relu else str(y)

    def first(self, x: str) -> str:
        """(N, 32, 10, frames) -> (N, 128, 1, T): convolve all frequencies along time, then ReLU."""
        g = self.graph
        scale, shift = self.affine("xvector.tdnn.nonlinear.batchnorm")
        weight = self.weights["xvector.tdnn.linear.weight"] * scale[:, None, None]
        kernel = g.const(weight.reshape(-1, _PLANES, _MELS // 8, weight.shape[-1]))
        y = g.op("Conv", x, kernel, g.const(shift), strides=[1, 2], pads=[0, 2, 0, 2])
        return str(g.op("Relu", y))

    def dense_layer(self, x: str, name: str, dilation: int) -> str:
        """(N, channels, 1, T) -> (N, 32, 1, T): bottleneck, time-delay layer, context mask."""
        g = self.graph
        x = self.bn_relu_conv(
            x, f"{name}.nonlinear1.batchnorm", f"{name}.linear1", f"{name}.nonlinear2.batchnorm"
        )
        local = g.op(
            "Conv",
            x,
            g.const(self.weights[f"{name}.cam_layer.linear_local.weight"][:, :, None]),
            dilations=[1, dilation],
            pads=[0, dilation, 0, dilation],
        )
        return self.masked(local, x, f"{name}.cam_layer")

    def masked(self, local: str, x: str, name: str) -> str:
        """Weigh ``local`` by the context of ``x``, which is constant within a segment.

        The convolution with 1 changes no value: it keeps what follows in blocks of channels.
        """
        g = self.graph
        if not hasattr(self, "_segments"):
            self._segments = _Segments(g, x)
        context = self._segments.context(x)
        for layer, activation in (("linear1", "Relu"), ("linear2", "Sigmoid")):
            weight = g.const(self.weights[f"{name}.{layer}.weight"][..., None])
            bias = g.const(self.weights[f"{name}.{layer}.bias"])
            context = g.op(activation, g.op("Conv", context, weight, bias))
        masked = g.op("Mul", local, self._segments.spread(context))
        return str(g.op("Conv", masked, g.const(np.ones((_GROWTH, 1, 1, 1))), group=_GROWTH))

    def bn_relu_conv(self, x: str, norm: str, conv: str, then: str | None) -> str:
        """Normalise, ReLU, convolve with width 1; then another normalisation and ReLU.

        The first one stays as it is: it gives channels one scale, which 8-bit integers need.
        """
        g, weight = self.graph, self.weights[f"{conv}.weight"][..., None]
        kinds = ("weight", "bias", "running_mean", "running_var")
        numbers = (g.const(self.weights[f"{norm}.{kind}"]) for kind in kinds)
        x = g.op("Relu", g.op("BatchNormalization", x, *numbers, epsilon=_BN_EPSILON))
        if then is None:
            return str(g.op("Conv", x, g.const(weight)))
        scale, shift = self.affine(then)
        y = g.op("Conv", x, g.const(weight * scale[:, None, None, None]), g.const(shift))
        return str(g.op("Relu", y))

    def statistics(self, x: str) -> str:
        """(N, 512, T) -> (N, 1024): mean and unbiased standard deviation over time."""
        g = self.graph
        mean = g.op("ReduceMean", x, axes=[2], keepdims=1)
        deviation = g.op("Sub", x, mean)
        frames = g.op("Cast", g.op("Shape", x, start=2, end=3), to=1)
        total = g.op("ReduceSumSquare", deviation, axes=[2], keepdims=1)
        variance = g.op("Div", total, g.op("Sub", frames, g.const([1.0])))
        both = g.op("Concat", mean, g.op("Sqrt", variance), axis=1)
        return str(g.op("Squeeze", both, g.ints(2)))

    def project(self, x: str) -> str:
        """(N, 1024) -> (N, 192)."""
        g, (weight, shift) = self.graph, self.projection()
        return str(g.op("Gemm", x, g.const(weight), g.const(shift), transB=1))

    def projection(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the last layer, weight (192, 1024) and shift (192,), with its normalisation."""
        name = "xvector.dense"
        scale, shift = self.affine(f"{name}.nonlinear.batchnorm")
        return self.weights[f"{name}.linear.weight"][:, :, 0] * scale[:, None], shift

    def affine(self, norm: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return (scale, shift), each (channels,), that equal the batch normalisation."""
        mean, variance = (
            self.weights[f"{norm}.running_{kind}"].astype(np.float64) for kind in ("mean", "var")
        )
        scale = 1.0 / np.sqrt(variance + _BN_EPSILON)
        if f"{norm}.weight" not in self.weights:  # the last one has no weights
            return scale, -mean * scale
        scale = scale * self.weights[f"{norm}.weight"]
        return scale, self.weights[f"{norm}.bias"] - mean * scale


class _Segments:
    """The arithmetic of context segments, for one number of frames, known at run time."""

    def __init__(self, graph: Graph, x: str) -> None:
        self.graph = g = graph
        zero, one, size = (g.const(number, np.int64) for number in (0, 1, _SEGMENT))
        frames = g.op("Squeeze", g.op("Shape", x, start=3, end=4))
        starts = g.op("Range", zero, frames, size)
        column = g.op("Unsqueeze", starts, g.ints(1))
        own = g.op("Mul", g.op("Div", g.op("Range", zero, frames, one), size), size)
        self.members = self._same(column, own)  # (segments, T)
        share = g.op("ReduceMean", self.members, axes=[1], keepdims=1)
        self.mix = g.op("Add", self._same(column, starts), share)

    def _same(self, column: str, row: str) -> str:
        return str(self.graph.op("Cast", self.graph.op("Equal", column, row), to=1))

    def context(self, x: str) -> str:
        """(N, C, 1, T) -> (N, C, 1, segments): mean of the segment plus mean of the clip."""
        g, size = self.graph, [1, _SEGMENT]
        means = g.op("AveragePool", x, kernel_shape=size, strides=size, ceil_mode=1)
        return str(g.op("MatMul", means, self.mix))

    def spread(self, x: str) -> str:
        """(N, C, 1, segments) -> (N, C, 1, T): each frame gets the value of its segment."""
        return str(self.graph.op("MatMul", x, self.members))


def _shapes() -> dict[str, tuple[int, ...]]:
    """Return the tensors that the checkpoint must have."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int, *, affine: bool = True) -> None:
        kinds = ("running_mean", "running_var") + (("weight", "bias") if affine else ())
        shapes.update({f"{name}.{kind}": (channels,) for kind in kinds})

    def head_conv(number: int, name: str, width: int = 3, inputs: int = _PLANES) -> None:
        conv, bn = f"{name}.conv{number}", f"{name}.bn{number}"
        shapes[f"{conv}.weight"] = (_PLANES, inputs, width, width)
        norm(bn, _PLANES)

    head_conv(1, "head", inputs=1)
    head_conv(2, "head")
    for unit in ("layer1.0", "layer1.1", "layer2.0", "layer2.1"):
        head_conv(1, f"head.{unit}")
        head_conv(2, f"head.{unit}")
        if unit.endswith("0"):
            shapes[f"head.{unit}.shortcut.0.weight"] = (_PLANES, _PLANES, 1, 1)
            norm(f"head.{unit}.shortcut.1", _PLANES)
    channels = _BOTTLENECK
    shapes["xvector.tdnn.linear.weight"] = (channels, _PLANES * _MELS // 8, 5)
    norm("xvector.tdnn.nonlinear.batchnorm", channels)
    for number, (layers, _) in enumerate(_BLOCKS, start=1):
        for layer in range(1, layers + 1):
            shapes.update(_dense_shapes(f"xvector.block{number}.tdnnd{layer}", channels))
            norm(f"xvector.block{number}.tdnnd{layer}.nonlinear1.batchnorm", channels)
            norm(f"xvector.block{number}.tdnnd{layer}.nonlinear2.batchnorm", _BOTTLENECK)
            channels += _GROWTH
        norm(f"xvector.transit{number}.nonlinear.batchnorm", channels)
        shapes[f"xvector.transit{number}.linear.weight"] = (channels // 2, channels, 1)
        channels //= 2
    norm("xvector.out_nonlinear.batchnorm", channels)
    shapes["xvector.dense.linear.weight"] = (DIM, 2 * channels, 1)
    norm("xvector.dense.nonlinear.batchnorm", DIM, affine=False)
    return shapes


def _dense_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    cam, half = f"{name}.cam_layer", _BOTTLENECK // 2
    return {
        f"{name}.linear1.weight": (_BOTTLENECK, channels, 1),
        f"{cam}.linear_local.weight": (_GROWTH, _BOTTLENECK, 3),
        f"{cam}.linear1.weight": (half, _BOTTLENECK, 1),
        f"{cam}.linear1.bias": (half,),
        f"{cam}.linear2.weight": (_GROWTH, half, 1),
        f"{cam}.linear2.bias": (_GROWTH,),
    }
