"""The GE2E speaker encoder of SV2TTS as an ONNX graph, its windows included.

L. Wan et al., "Generalized End-to-End Loss for Speaker Verification", ICASSP 2018; Y. Jia et
al., "Transfer Learning from Speaker Verification to Multispeaker Text-To-Speech Synthesis",
NeurIPS 2018: a 40-channel mel spectrogram, three LSTM layers of 256 cells, the last frame's
output projected to 256 dimensions and scaled to unit length, for each of many overlapping
windows; the mean of the windows, scaled to unit length, is the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from voiceid.registry import Windowing
from voiceid.zoo.checkpoint import require_shapes
from voiceid.zoo.frontends import HOP, ge2e_mel_40
from voiceid.zoo.graph import Graph

Weights = Mapping[str, npt.NDArray[np.float32]]

DIM = 256
_MELS = 40
_LAYERS = 3
_PREFIX = "model_state."
_GATES = (0, 3, 1, 2)
"""PyTorch stacks input, forget, cell, output; ONNX wants input, output, forget, cell."""


def build(checkpoint: Weights, windowing: Windowing) -> bytes:
    """Return the ONNX file: ``waveform`` (N, samples) to ``embedding`` (N, 256), unit length.

    Parameters
    ----------
    checkpoint : mapping
        Its tensors; those under ``model_state`` are used.
    windowing : Windowing
        A last window with too little audio is left out, unless it is the only one.

    Raises
    ------
    CheckpointInvalid
        A tensor is missing, or has another shape.
    """
    require_shapes(checkpoint, _shapes(), name="the checkpoint of ge2e")
    weights = {key.removeprefix(_PREFIX): value for key, value in checkpoint.items()}
    window_frames = windowing.window_frames
    graph = Graph("ge2e")
    waveform = graph.op("Pad", "waveform", graph.ints(0, 0, 0, window_frames * HOP))
    mel = ge2e_mel_40(graph, waveform)
    starts = _window_starts(graph, windowing)
    frames = graph.op("Add", starts, graph.const(np.arange(window_frames)[None], np.int64))
    windows = graph.op("Gather", mel, frames, axis=2)  # (N, 40, windows, window_frames)
    sequence = graph.op("Transpose", windows, perm=[3, 0, 2, 1])
    sequence = graph.op("Reshape", sequence, graph.ints(window_frames, -1, _MELS))
    vectors = graph.unit_length(_project(graph, weights, _lstm(graph, weights, sequence)))
    count = graph.op("Shape", starts, start=0, end=1)
    shape = graph.op("Concat", graph.ints(-1), count, graph.ints(DIM), axis=0)
    mean = graph.op("ReduceMean", graph.op("Reshape", vectors, shape), axes=[1], keepdims=0)
    return graph.serialize(
        {"waveform": ["N", "samples"]},
        {"embedding": (graph.unit_length(mean), ["N", DIM])},
    )


def _window_starts(graph: Graph, windowing: Windowing) -> str:
    """Return (windows, 1) int64: the first frame of each window, worked out at run time.

    The rule of the published encoder: windows start every ``step`` frames while the one
    before has not reached the end; all arithmetic here is in whole numbers of samples.
    """
    g, window, step = graph, windowing.window_frames, windowing.step_frames
    samples = g.op("Shape", "waveform", start=1, end=2)
    frames = g.op("Div", g.op("Add", samples, g.ints(HOP)), g.ints(HOP))
    reach = g.op("Max", g.op("Sub", frames, g.ints(window - step - 1)), g.ints(1))
    count = g.op("Div", g.op("Add", reach, g.ints(step - 1)), g.ints(step))
    before_last = g.op("Sub", count, g.ints(1))
    audio = g.op("Sub", samples, g.op("Mul", before_last, g.ints(step * HOP)))
    needed = int(np.ceil(windowing.min_coverage * window * HOP))
    too_little = g.op("Cast", g.op("Less", audio, g.ints(needed)), to=7)
    count = g.op("Max", g.op("Sub", count, too_little), g.ints(1))
    last = g.op("Squeeze", count)
    numbers = g.op("Range", g.const(0, np.int64), last, g.const(1, np.int64))
    return str(g.op("Unsqueeze", g.op("Mul", numbers, g.ints(step)), g.ints(1)))


def _lstm(graph: Graph, weights: Weights, x: str) -> str:
    """(frames, batch, 40) -> (batch, 256): the last layer's hidden state after the last frame."""
    hidden = ""
    for layer in range(_LAYERS):
        inputs, recurrent, bias_i, bias_r = (
            _reordered(weights[f"lstm.{what}_l{layer}"])
            for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        sequence, hidden = graph.op(
            "LSTM",
            x,
            graph.const(inputs[None]),
            graph.const(recurrent[None]),
            graph.const(np.concatenate([bias_i, bias_r])[None]),
            outputs=2,
            hidden_size=DIM,
        )
        x = graph.op("Squeeze", sequence, graph.ints(1))
    return str(graph.op("Squeeze", hidden, graph.ints(0)))


def _reordered(stacked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    gates = np.split(stacked, 4)
    return np.concatenate([gates[i] for i in _GATES])


def _project(graph: Graph, weights: Weights, x: str) -> str:
    """(batch, 256) -> (batch, 256), not negative."""
    weight, bias = graph.const(weights["linear.weight"]), graph.const(weights["linear.bias"])
    return str(graph.op("Relu", graph.op("Gemm", x, weight, bias, transB=1)))


def _shapes() -> dict[str, tuple[int, ...]]:
    """Return the tensors that the checkpoint must have."""
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (DIM, DIM), "linear.bias": (DIM,)}
    for layer in range(_LAYERS):
        inputs = _MELS if layer == 0 else DIM
        shapes[f"lstm.weight_ih_l{layer}"] = (4 * DIM, inputs)
        shapes[f"lstm.weight_hh_l{layer}"] = (4 * DIM, DIM)
        shapes[f"lstm.bias_ih_l{layer}"] = shapes[f"lstm.bias_hh_l{layer}"] = (4 * DIM,)
    return {_PREFIX + key: shape for key, shape in shapes.items()}
