"""Front ends as graph nodes: waveform in, features out, with no code left for run time.

A frame's way through DC removal, pre-emphasis, window and DFT is one linear map, so each
front end is one convolution whose kernels are the rows of that map, a squaring, and a mel
filter bank that is a convolution of width one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from voiceid.models.graph import Graph

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

_INT16 = 32768.0
"""Full scale of 16-bit samples, in which some toolkits count."""

Float64Array = npt.NDArray[np.float64]

KINDS = {"kaldi-fbank-80": 80, "ge2e-mel-40": 40, "waveform": 0}
"""The front ends that a network may be given, each with its bins; 0: the samples as they are."""

TAPERS = ("povey", "hamming", "hann")
"""Windows of a frame that Kaldi knows and networks were trained with."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What stands before a network."""

    kind: str  # one of `KINDS`
    taper: str = "povey"  # of the frames of ``kaldi-fbank-80``: one of `TAPERS`
    int16: bool = False  # samples count from -32768 to 32767, not from -1 to 1
    mean_removed: bool = True  # of each bin of ``kaldi-fbank-80``, over time

    @property
    def bins(self) -> int:
        """Features of a frame; 0 for samples."""
        return KINDS[self.kind]

    def describe(self) -> str:
        """Return the canonical text that is part of an embedding space's identity."""
        words = [f"{self.kind} v1"]
        if self.kind == "kaldi-fbank-80":
            words += [] if self.taper == "povey" else [f"{self.taper} window"]
            words += ["mean removed"] if self.mean_removed else []
        words += ["16-bit samples"] if self.int16 else []
        return ", ".join(words)

    def add(self, graph: Graph, waveform: str) -> str:
        """Add it to a graph: (N, samples), -1 to 1, to (N, bins, frames) or (N, samples)."""
        if self.kind == "ge2e-mel-40":
            return ge2e_mel_40(graph, waveform)
        if self.int16:
            waveform = graph.op("Mul", waveform, graph.const(_INT16))
        if self.kind == "waveform":
            return waveform
        features = kaldi_fbank_80(graph, waveform, self.taper)
        if not self.mean_removed:
            return features
        mean = graph.op("ReduceMean", features, axes=[2], keepdims=1)
        return str(graph.op("Sub", features, mean))


def front_ends() -> dict[str, FrontEnd]:
    """Return every front end by its canonical text."""
    flags = (False, True)
    fbanks = (FrontEnd("kaldi-fbank-80", *choice) for choice in product(TAPERS, flags, flags))
    waveforms = (FrontEnd("waveform", int16=int16) for int16 in flags)
    return {f.describe(): f for f in (*fbanks, *waveforms, FrontEnd("ge2e-mel-40"))}


def kaldi_fbank_80(graph: Graph, waveform: str, taper: str = "povey") -> str:
    """Add Kaldi's log mel filter bank: 80 bins, 25/10 ms, no dither.

    The waveform (N, samples) is scaled as the network was trained: -1 to 1, or 16-bit integers.
    The result is (N, 80, frames), ``frames = 1 + (samples - 400) // 160`` (--snip-edges=true).
    """
    bins = np.arange(1, _FFT // 2)  # no mel bin reaches the first or the last one
    power = _power(
        graph, graph.op("Unsqueeze", waveform, graph.ints(1)), _kaldi_frame_map(bins, taper)
    )
    energies = _mel(graph, power, _kaldi_mel(80)[:, bins])
    return str(graph.op("Log", graph.op("Max", energies, graph.const(_EPSILON))))


def ge2e_mel_40(graph: Graph, waveform: str) -> str:
    """Add the mel power spectrogram of the GE2E encoder: 40 bins, 25/10 ms, no logarithm.

    A waveform (N, samples), -1 to 1, gives (N, 40, frames), ``frames = 1 + samples // 160``, as
    ``librosa.feature.melspectrogram(sr=16000, n_fft=400, hop_length=160, n_mels=40)`` does:
    frames centred on multiples of the hop, zeros beyond both ends, periodic Hann window, Slaney's
    mel scale and area normalisation.
    """
    half = FRAME // 2
    padded = graph.op("Pad", waveform, graph.ints(0, half, 0, half))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    bins = np.arange(FRAME // 2 + 1)
    frame_map = _dft(FRAME, bins) * window
    power = _power(graph, graph.op("Unsqueeze", padded, graph.ints(1)), frame_map)
    return _mel(graph, power, _slaney_mel(40))


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


def _kaldi_frame_map(bins: npt.NDArray[np.int64], taper: str) -> Float64Array:
    """Return (2 bins, 400): what Kaldi does to a frame, in its order, as one matrix.

    feat/feature-window.cc: remove the mean, pre-emphasise (the first sample against
    itself), multiply with the window (povey is a Hann window to the power 0.85), pad with
    zeros to 512, transform.
    """
    no_dc = np.eye(FRAME) - 1.0 / FRAME
    emphasis = np.eye(FRAME) - _PREEMPHASIS * np.eye(FRAME, k=-1)
    emphasis[0, 0] -= _PREEMPHASIS
    cosine = np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))
    hann = 0.5 - 0.5 * cosine
    window = {"povey": hann**0.85, "hann": hann, "hamming": 0.54 - 0.46 * cosine}[taper]
    return np.asarray((_dft(_FFT, bins)[:, :FRAME] * window) @ emphasis @ no_dc)


def _kaldi_mel(mels: int) -> Float64Array:
    """Return (mels, 257): triangles that are straight on the mel scale 1127 ln(1 + f / 700)."""

    def to_mel(hz: npt.ArrayLike) -> Float64Array:
        return np.asarray(1127.0 * np.log1p(np.asarray(hz) / 700.0))

    edges = np.linspace(to_mel(_LOW_HZ), to_mel(_HIGH_HZ), mels + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    at = to_mel(np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT)
    rising, falling = (at - left) / (centre - left), (right - at) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling))


def _slaney_mel(mels: int) -> Float64Array:
    """Return (mels, 201): triangles of equal area on Slaney's mel scale, to the bit librosa's.

    Linear to 1 kHz with 3 mel in 200 Hz, and from there logarithmic with 27 mel to 6.4 kHz: M.
    Slaney, "Auditory Toolbox" (1998).  librosa itself loads Numba, which obeys a settings file in
    the current folder, and runs what it names.
    """
    knee_hz, step_hz, log_step = 1000.0, 200.0 / 3, np.log(6.4) / 27.0
    knee = knee_hz / step_hz
    edges = np.linspace(0.0, knee + np.log(RATE_HZ / 2 / knee_hz) / log_step, mels + 2)
    hz = np.where(edges < knee, step_hz * edges, knee_hz * np.exp(log_step * (edges - knee)))
    width = np.diff(hz)[:, None]
    slopes = np.subtract.outer(hz, np.fft.rfftfreq(FRAME, 1 / RATE_HZ))
    rising, falling = -slopes[:-2] / width[:-1], slopes[2:] / width[1:]
    area = (2.0 / (hz[2:] - hz[:-2]))[:, None]
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)) * area)
