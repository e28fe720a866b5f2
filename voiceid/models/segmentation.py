"""Who speaks when: pyannote's segmentation model as an ONNX graph.

A. Plaquet and H. Bredin, "Powerset multi-class cross entropy loss for neural speaker
diarization", Interspeech 2023: SincNet (M. Ravanelli and Y. Bengio, "Speaker Recognition from
Raw Waveform with SincNet", SLT 2018) over the waveform, four bidirectional LSTM layers, two
linear layers, and a class for each set of up to two among three speakers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voiceid.models.checkpoint import require_shapes
from voiceid.models.graph import Graph, Weights

CLASSES = ("none", "1", "2", "3", "1+2", "1+3", "2+3")
"""The sets of speakers, in the order of the outputs."""

_PREFIX = "state_dict."
_RATE_HZ = 16_000
_FILTERS, _TAPS, _STEP = 40, 251, 10
_MIN_LOW_HZ = _MIN_BAND_HZ = 50.0
"""Least lower edge and width of the filters, as the network was trained."""
_CHANNELS, _KERNEL, _POOL = 60, 5, 3
_HIDDEN, _LAYERS, _LINEAR = 128, 4, 128


def build(checkpoint: Weights) -> bytes:
    """Return the ONNX file: ``waveform`` (N, samples) to ``log_probs`` (N, frames, 7).

    It was trained on windows of 10 s, which give 589 frames; frame i starts at sample 270 i.  The
    tensors under ``state_dict`` are used.
    """
    require_shapes(checkpoint, _shapes(), name="the checkpoint of segmentation")
    weights = {key.removeprefix(_PREFIX): value for key, value in checkpoint.items()}
    g = Graph("segmentation")
    x = _sincnet(g, weights)
    x = g.op("Transpose", x, perm=[2, 0, 1])
    for layer in range(_LAYERS):
        x, _ = g.lstm(x, weights, (f"l{layer}", f"l{layer}_reverse"))
        x = g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3]), g.ints(0, 0, 2 * _HIDDEN))
    for name in ("linear.0", "linear.1"):
        x = g.op("LeakyRelu", _linear(g, weights, x, name))
    scores = g.op("LogSoftmax", _linear(g, weights, x, "classifier"), axis=-1)
    return g.serialize(
        {"waveform": ["N", "samples"]},
        {"log_probs": (g.op("Transpose", scores, perm=[1, 0, 2]), ["N", "frames", len(CLASSES)])},
    )


def _sincnet(g: Graph, weights: Weights) -> str:
    """(N, samples) -> (N, 60, frames): three convolutions, each pooled and normalised."""
    x = _normalized(g, weights, g.op("Unsqueeze", "waveform", g.ints(1)), "sincnet.wav_norm1d")
    x = g.op("Abs", g.op("Conv", x, g.const(_sinc_filters(weights)), strides=[_STEP]))
    x = _pooled(g, weights, x, 0)
    for layer in (1, 2):
        names = (f"sincnet.conv1d.{layer}.{kind}" for kind in ("weight", "bias"))
        x = _pooled(g, weights, g.op("Conv", x, *(g.const(weights[n]) for n in names)), layer)
    return x


def _pooled(g: Graph, weights: Weights, x: str, layer: int) -> str:
    x = g.op("MaxPool", x, kernel_shape=[_POOL], strides=[_POOL])
    return str(g.op("LeakyRelu", _normalized(g, weights, x, f"sincnet.norm1d.{layer}")))


def _normalized(g: Graph, weights: Weights, x: str, name: str) -> str:
    """Bring each channel to zero mean and unit variance over the window, then scale and shift."""
    scale, shift = (g.const(weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))
    return str(g.op("InstanceNormalization", x, scale, shift))


def _linear(g: Graph, weights: Weights, x: str, name: str) -> str:
    product = g.op("MatMul", x, g.const(weights[f"{name}.weight"].T))
    return str(g.op("Add", product, g.const(weights[f"{name}.bias"])))


def _sinc_filters(weights: Weights) -> npt.NDArray[np.float32]:
    """Return the kernel (80, 1, 251): windowed band-passes, even and then odd.

    An even filter is the difference of two sinc functions (SincNet, equation 4); an odd one its
    Hilbert transform (M. Pariente et al., "Filterbank design for end-to-end speech separation",
    ICASSP 2020).  Both are divided by twice the band's width.  All of it in float32, as in
    training: its rounding of phases of up to 390 radians belongs to what the network learned.
    """
    edges, widths = (
        np.abs(weights[f"sincnet.conv1d.0.filterbank.{edge}_hz_"]) for edge in ("low", "band")
    )
    low = np.float32(_MIN_LOW_HZ) + edges
    high = np.minimum(low + np.float32(_MIN_BAND_HZ) + widths, np.float32(_RATE_HZ / 2))
    half = _TAPS // 2
    time = np.float32(2 * np.pi) * (np.arange(-half, 0, dtype=np.float32) / np.float32(_RATE_HZ))
    taper = np.hamming(_TAPS)[:half].astype(np.float32)
    even = (np.sin(high * time) - np.sin(low * time)) / (time / 2) * taper
    odd = (np.cos(low * time) - np.cos(high * time)) / (time / 2) * taper
    band = high - low
    kernel = np.concatenate(
        [
            np.concatenate([even, 2 * band, even[:, ::-1]], axis=1) / (2 * band),
            np.concatenate([odd, 0 * band, -odd[:, ::-1]], axis=1) / (2 * band),
        ]
    )
    return np.asarray(kernel[:, None], dtype=np.float32)


def _shapes() -> dict[str, tuple[int, ...]]:
    """Return the tensors that the checkpoint must have."""
    shapes: dict[str, tuple[int, ...]] = {
        "sincnet.conv1d.0.filterbank.low_hz_": (_FILTERS, 1),
        "sincnet.conv1d.0.filterbank.band_hz_": (_FILTERS, 1),
        "sincnet.conv1d.1.weight": (_CHANNELS, 2 * _FILTERS, _KERNEL),
        "sincnet.conv1d.2.weight": (_CHANNELS, _CHANNELS, _KERNEL),
        "linear.0.weight": (_LINEAR, 2 * _HIDDEN),
        "linear.1.weight": (_LINEAR, _LINEAR),
        "classifier.weight": (len(CLASSES), _LINEAR),
    }
    norms = {
        "wav_norm1d": 1,
        "norm1d.0": 2 * _FILTERS,
        "norm1d.1": _CHANNELS,
        "norm1d.2": _CHANNELS,
    }
    for norm, channels in norms.items():
        shapes |= {f"sincnet.{norm}.{kind}": (channels,) for kind in ("weight", "bias")}
    for layer in range(_LAYERS):
        inputs = _CHANNELS if layer == 0 else 2 * _HIDDEN
        for suffix in (f"l{layer}", f"l{layer}_reverse"):
            shapes[f"lstm.weight_ih_{suffix}"] = (4 * _HIDDEN, inputs)
            shapes[f"lstm.weight_hh_{suffix}"] = (4 * _HIDDEN, _HIDDEN)
            shapes |= {f"lstm.bias_{kind}_{suffix}": (4 * _HIDDEN,) for kind in ("ih", "hh")}
    biased = ("sincnet.conv1d.1", "sincnet.conv1d.2", "linear.0", "linear.1", "classifier")
    shapes |= {f"{name}.bias": shapes[f"{name}.weight"][:1] for name in biased}
    return {_PREFIX + key: shape for key, shape in shapes.items()}
