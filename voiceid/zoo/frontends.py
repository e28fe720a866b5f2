"""Front ends as graph nodes: waveform in, features out, with no code left for run time.

A frame's way through DC removal, pre-emphasis, window and DFT is one linear map, so each
front end is one convolution whose kernels are the rows of that map, a squaring, and a mel
filter bank that is a convolution of width one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voiceid.zoo.graph import Graph

RATE_HZ = 16000
HOP = 160
"""10 ms between frames, in samples, for both front ends."""
FRAME = 400
"""25 ms a frame, in samples, for both front ends."""

_FFT = 512
"""Kaldi rounds the frame up to a power of two (feat/feature-window.h)."""
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
"""Kaldi's --low-freq, and --high-freq=0: the Nyquist frequency (feat/mel-computations.h)."""
_PREEMPHASIS = 0.97
"""Kaldi's --preemphasis-coefficient."""
_EPSILON = float(np.finfo(np.float32).eps)
"""Kaldi floors mel energies here before the logarithm (feat/feature-fbank.cc)."""

Float64Array = npt.NDArray[np.float64]


def kaldi_fbank_80(graph: Graph, waveform: str) -> str:
    """Add Kaldi's log mel filter bank: 80 bins, 25/10 ms, povey window, no dither.

    Parameters
    ----------
    graph : Graph
    waveform : str
        (N, samples), -1 to 1 (not scaled to 16 bit, as the network was trained).

    Returns
    -------
    str
        (N, 80, frames), with ``frames = 1 + (samples - 400) // 160`` (--snip-edges=true).
    """
    bins = np.arange(1, _FFT // 2)  # no mel bin reaches the first or the last one
    power = _power(graph, graph.op("Unsqueeze", waveform, graph.ints(1)), _kaldi_frame_map(bins))
    energies = _mel(graph, power, _kaldi_mel(80)[:, bins])
    return str(graph.op("Log", graph.op("Max", energies, graph.const(_EPSILON))))


def ge2e_mel_40(graph: Graph, waveform: str) -> str:
    """Add the mel power spectrogram of the GE2E encoder: 40 bins, 25/10 ms, no logarithm.

    What ``librosa.feature.melspectrogram(sr=16000, n_fft=400, hop_length=160, n_mels=40)``
    gives: frames centred on multiples of the hop, zeros beyond both ends, periodic Hann
    window, Slaney's mel scale and area normalisation.

    Parameters
    ----------
    graph : Graph
    waveform : str
        (N, samples), -1 to 1.

    Returns
    -------
    str
        (N, 40, frames), with ``frames = 1 + samples // 160``.
    """
    import librosa  # noqa: PLC0415 - only when a model is installed

    half = FRAME // 2
    padded = graph.op("Pad", waveform, graph.ints(0, half, 0, half))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    bins = np.arange(FRAME // 2 + 1)
    frame_map = _dft(FRAME, bins) * window
    power = _power(graph, graph.op("Unsqueeze", padded, graph.ints(1)), frame_map)
    mel = librosa.filters.mel(sr=RATE_HZ, n_fft=FRAME, n_mels=40, dtype=np.float64)
    return _mel(graph, power, mel)


def _power(graph: Graph, waveform: str, frame_map: Float64Array) -> str:
    """(N, 1, samples) -> (N, 2 bins, frames): the squares of real and of imaginary parts."""
    spectrum = graph.op("Conv", waveform, graph.const(frame_map[:, None, :]), strides=[HOP])
    return str(graph.op("Mul", spectrum, spectrum))


def _mel(graph: Graph, power: str, mel: Float64Array) -> str:
    """(N, 2 bins, frames) -> (N, mels, frames): the filters take both squares of each bin."""
    return str(graph.op("Conv", power, graph.const(np.hstack([mel, mel])[:, :, None])))


def _dft(size: int, bins: npt.NDArray[np.int64]) -> Float64Array:
    """Return (2 bins, size): real parts, then imaginary parts, of a DFT over ``size`` points."""
    angle = 2 * np.pi / size * np.outer(bins, np.arange(size))
    return np.vstack([np.cos(angle), -np.sin(angle)])


def _kaldi_frame_map(bins: npt.NDArray[np.int64]) -> Float64Array:
    """Return (2 bins, 400): what Kaldi does to a frame, in its order, as one matrix.

    feat/feature-window.cc: remove the mean, pre-emphasise (the first sample against
    itself), multiply with the povey window (a Hann window to the power 0.85), pad with
    zeros to 512, transform.
    """
    no_dc = np.eye(FRAME) - 1.0 / FRAME
    emphasis = np.eye(FRAME) - _PREEMPHASIS * np.eye(FRAME, k=-1)
    emphasis[0, 0] -= _PREEMPHASIS
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))
    return np.asarray((_dft(_FFT, bins)[:, :FRAME] * hann**0.85) @ emphasis @ no_dc)


def _kaldi_mel(mels: int) -> Float64Array:
    """Return (mels, 257): triangles that are straight on the mel scale 1127 ln(1 + f / 700)."""

    def to_mel(hz: npt.ArrayLike) -> Float64Array:
        return np.asarray(1127.0 * np.log1p(np.asarray(hz) / 700.0))

    edges = np.linspace(to_mel(_LOW_HZ), to_mel(_HIGH_HZ), mels + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    at = to_mel(np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT)
    rising, falling = (at - left) / (centre - left), (right - at) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling))
