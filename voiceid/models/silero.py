"""Silero's speech detector as a graph that works through many frames at once.

The published graph (16 kHz, sequence form) convolves each frame of 32 ms by itself, over four
positions.  Here the same weights stand in matrix products over all frames of a call: the answers
are the same, in less than half of the time.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from voiceid.errors import CheckpointInvalid
from voiceid.models.checkpoint import require_shapes
from voiceid.models.graph import Graph, Weights

_FRAME, _WINDOW, _HOP, _POSITIONS = 576, 256, 128, 4
"""Samples of a frame (64 before it, 512 new), of a window and between windows; windows."""
_BINS = 129
_CHANNELS = (_BINS, 128, 64, 64, 128)
_STRIDES = (1, 2, 2, 1)
_TAPS = 3
_HIDDEN = 128
_LSTM = ("onnx::LSTM_209", "onnx::LSTM_210", "onnx::LSTM_211")
"""Input weights, recurrent weights and biases, as the exporter numbered them."""


def read_weights(checkpoint: bytes) -> Weights:
    """Return the initialisers of an ONNX file by name."""
    import onnx  # noqa: PLC0415 - once per install
    from onnx import numpy_helper  # noqa: PLC0415 - as above

    try:
        graph = onnx.load_model_from_string(checkpoint).graph
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    except Exception as error:  # protobuf's errors have no base of their own
        raise CheckpointInvalid(
            f"the checkpoint of silero-vad is not an ONNX file: {type(error).__name__}",
            hint="Fetch it again: `voiceid models pull silero-vad`.",
        ) from error


def build(weights: Weights) -> bytes:
    """Return the ONNX file.

    ``input`` (frames, 576), ``h`` and ``c`` (1, 1, 128) to ``speech_probs`` (frames), ``hn``
    and ``cn`` (1, 1, 128).
    """
    require_shapes(weights, _shapes(), name="the checkpoint of silero-vad")
    g = Graph("silero-vad")
    x = _magnitudes(g, weights["stft.forward_basis_buffer"])
    n = _POSITIONS
    for layer, stride in enumerate(_STRIDES):
        kernel, bias = weights[f"encoder.{layer}.weight"], weights[f"encoder.{layer}.bias"]
        x = _conv(g, x, kernel, bias, n_in=n, stride=stride)
        n = -(-n // stride)
    sequence, h, c = g.op(
        "LSTM",
        x,  # (frames, 1, 128): the one position that is left is the batch
        *(g.const(weights[name]) for name in _LSTM),
        "",
        "h",
        "c",
        outputs=3,
        hidden_size=_HIDDEN,
    )
    x = g.op("Relu", g.op("Squeeze", sequence, g.ints(1, 2)))
    x = g.op("MatMul", x, g.const(weights["output.weight"].reshape(_HIDDEN, 1)))
    x = g.op("Sigmoid", g.op("Add", x, g.const(weights["output.bias"])))
    state: list[str | int] = [1, 1, _HIDDEN]
    return g.serialize(
        {"input": ["frames", _FRAME], "h": state, "c": state},
        {
            "speech_probs": (g.op("Reshape", x, g.ints(-1)), ["frames"]),
            "hn": (h, state),
            "cn": (c, state),
        },
    )


def _magnitudes(g: Graph, basis: npt.NDArray[np.float32]) -> str:
    """(frames, 576) samples -> (frames, 4, 129) magnitudes of a short-time Fourier transform.

    The last window goes 64 samples beyond the frame, which is mirrored there (without its
    last sample, as PyTorch's "reflect" does).
    """
    starts = range(0, _POSITIONS * _HOP, _HOP)
    windows = [_slice(g, "input", start, min(start + _WINDOW, _FRAME)) for start in starts]
    beyond = starts[-1] + _WINDOW - _FRAME
    mirror = g.op(
        *("Slice", "input", g.ints(_FRAME - 2), g.ints(_FRAME - 2 - beyond), g.ints(1), g.ints(-1))
    )
    windows[-1] = g.op("Concat", windows[-1], mirror, axis=1)
    stacked = g.op("Concat", *(g.op("Unsqueeze", w, g.ints(1)) for w in windows), axis=1)
    spectrum = g.op("MatMul", stacked, g.const(basis[:, 0].T))
    real, imaginary = g.op("Split", spectrum, g.ints(_BINS, _BINS), outputs=2, axis=2)
    power = g.op("Add", g.op("Mul", real, real), g.op("Mul", imaginary, imaginary))
    return str(g.op("Sqrt", power))


def _conv(
    g: Graph,
    x: str,
    kernel: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    *,
    n_in: int,
    stride: int,
) -> str:
    """(frames, n_in, channels) -> (frames, n_out, outputs): three taps, padded by one, rectified.

    A tap that only meets the padding is left out.
    """
    n_out = -(-n_in // stride)
    met = {tap: [j * stride + tap - 1 for j in range(n_out)] for tap in range(_TAPS)}
    taps = [tap for tap, places in met.items() if any(0 <= i < n_in for i in places)]
    padded = g.op("Pad", x, g.ints(0, 1, 0, 0, 1, 0)) if n_in > 1 else x
    shift = 1 if n_in > 1 else 0
    columns = [
        _slice(g, padded, met[tap][0] + shift, met[tap][-1] + shift + 1, step=stride)
        for tap in taps
    ]
    unfolded = columns[0] if len(columns) == 1 else g.op("Concat", *columns, axis=2)
    matrix = np.concatenate([kernel[:, :, tap].T for tap in taps])
    product = g.op("MatMul", unfolded, g.const(matrix))
    return str(g.op("Relu", g.op("Add", product, g.const(bias))))


def _slice(g: Graph, x: str, start: int, stop: int, *, step: int = 1) -> str:
    return str(g.op("Slice", x, g.ints(start), g.ints(stop), g.ints(1), g.ints(step)))


def _shapes() -> dict[str, tuple[int, ...]]:
    """Return the tensors that the checkpoint must have."""
    shapes: dict[str, tuple[int, ...]] = {
        "stft.forward_basis_buffer": (2 * _BINS, 1, _WINDOW),
        "output.weight": (1, _HIDDEN, 1),
        "output.bias": (1,),
    }
    for layer, (inputs, outputs) in enumerate(pairwise(_CHANNELS)):
        shapes[f"encoder.{layer}.weight"] = (outputs, inputs, _TAPS)
        shapes[f"encoder.{layer}.bias"] = (outputs,)
    shapes |= dict.fromkeys(_LSTM[:2], (1, 4 * _HIDDEN, _HIDDEN))
    shapes[_LSTM[2]] = (1, 8 * _HIDDEN)
    return shapes
