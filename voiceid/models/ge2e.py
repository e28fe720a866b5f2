"""The GE2E speaker encoder of SV2TTS as an ONNX graph, its windows included.

L. Wan et al., "Generalized End-to-End Loss for Speaker Verification", ICASSP 2018; Y. Jia et
al., "Transfer Learning from Speaker Verification to Multispeaker Text-To-Speech Synthesis",
NeurIPS 2018: a 40-channel mel spectrogram, three LSTM layers of 256 cells, the last frame's
output projected to 256 dimensions and scaled to unit length, for each of many overlapping
windows; the mean of the windows, scaled to unit length, is the embedding.
"""

from __future__ import annotations

from voiceid.models.cards import Windowing
from voiceid.models.checkpoint import require_shapes
from voiceid.models.frontends import FrontEnd
from voiceid.models.graph import Graph, Weights
from voiceid.models.windows import Windows

DIM = 256
_MELS = 40
_LAYERS = 3
_PREFIX = "model_state."


def build(checkpoint: Weights, windowing: Windowing) -> bytes:
    """Return the ONNX file: ``waveform`` (N, samples) to ``embedding`` (N, 256), unit length.

    The tensors under ``model_state`` are used.
    """
    require_shapes(checkpoint, _shapes(), name="the checkpoint of ge2e")
    weights = {key.removeprefix(_PREFIX): value for key, value in checkpoint.items()}
    graph = Graph("ge2e")
    windows = Windows(graph, windowing)
    mel = FrontEnd("ge2e-mel-40").add(graph, windows.padded)
    sequence = graph.op("Transpose", windows.cut(mel), perm=[3, 0, 2, 1])
    sequence = graph.op("Reshape", sequence, graph.ints(windowing.window_frames, -1, _MELS))
    vectors = _project(graph, weights, _lstm(graph, weights, sequence))
    return graph.serialize(
        {"waveform": ["N", "samples"]}, {"embedding": (windows.mean(vectors, DIM), ["N", DIM])}
    )


def _lstm(graph: Graph, weights: Weights, x: str) -> str:
    """(frames, batch, 40) -> (batch, 256): the last layer's hidden state after the last frame."""
    hidden = ""
    for layer in range(_LAYERS):
        sequence, hidden = graph.lstm(x, weights, [f"l{layer}"])
        x = graph.op("Squeeze", sequence, graph.ints(1))
    return str(graph.op("Squeeze", hidden, graph.ints(0)))


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
