"""Front ends as graph nodes: waveform in, features out, without code at run time.

A frame's way through DC removal, pre-emphasis, window and DFT is one linear map, so each
front end is one convolution whose kernels are the rows of that map, a squaring, and a mel
filter bank that is a convolution of width one.  Steps beyond a frame come before that.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from voiceid.models.graph import Graph

RATE_HZ = 16000
HOP = 160
"""10 ms between frames, in samples, for every front end."""
FRAME = 400
"""25 ms a frame, in samples, for every front end."""

_FFT = 512
"""Kaldi rounds the frame up to a power of two (feat/feature-window.h); so does ReDimNet2."""
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
"""Kaldi's --low-freq, and --high-freq=0: the Nyquist frequency (feat/mel-computations.h)."""
_PREEMPHASIS = 0.97
"""Kaldi's --preemphasis-coefficient, and ReDimNet2's."""
_EPSILON = float(np.finfo(np.float32).eps)
"""Kaldi floors mel energies here before the logarithm (feat/feature-fbank.cc)."""

_REDIMNET_EDGES_HZ = (20.0, 7600.0)
"""ReDimNet2's f_min and f_max (redimnet2/layers/features_tf.py, TFMelBanks)."""
_REDIMNET_FLOOR = 1e-8
"""ReDimNet2's eps: of its levels, of powers and of mel energies; these end at 1 / eps."""
_REDIMNET_BLOCK = 4
"""Frames that ReDimNet2 joins at its coarsest level; the rest of a clip is left out."""

_INT16 = 32768.0
"""Full scale of 16-bit samples, which some toolkits use."""

Float64Array = npt.NDArray[np.float64]

KINDS = {"kaldi-fbank-80": 80, "ge2e-mel-40": 40, "redimnet-mel-72": 72, "waveform": 0}
"""The front ends for a network, each with its bins; 0: unchanged samples."""

TAPERS = ("povey", "hamming", "hann")
"""Windows of a frame that Kaldi knows and networks were trained with."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """The front end before a network."""

    kind: str  # one of `KINDS`
    taper: str = "povey"  # of the frames of ``kaldi-fbank-80``: one of `TAPERS`
    int16: bool = False  # samples run from -32768 to 32767, not from -1 to 1
    mean_removed: bool = True  # of each bin of ``kaldi-fbank-80``, over time

    @property
    def bins(self) -> int:
        """Features of a frame; 0 for samples."""
        return KINDS[self.kind]

    @property
    def takes(self) -> tuple[str | int, ...]:
        """The axes of the network's input; a word is an axis of any size."""
        if self.kind == "waveform":
            return ("n", "samples")
        if self.kind == "redimnet-mel-72":
            return ("n", 1, self.bins, "frames")
        return ("n", "frames", self.bins)

    @property
    def samples(self) -> tuple[int, int]:
        """The fewest and the most samples that the network takes at once.

        The exports of ReDimNet2 (redimnet2-onnx 0.2.0) take 1 to 30 s.  For others: under a few
        frames, statistics over time do not exist.
        """
        if self.kind == "redimnet-mel-72":
            return RATE_HZ, 30 * RATE_HZ
        return RATE_HZ // 10, sys.maxsize

    def describe(self) -> str:
        """Return the canonical text that is part of an embedding space's identity."""
        words = [f"{self.kind} v1"]
        if self.kind == "kaldi-fbank-80":
            words += [] if self.taper == "povey" else [f"{self.taper} window"]
            words += ["mean removed"] if self.mean_removed else []
        words += ["16-bit samples"] if self.int16 else []
        words += ["1 to 30 s at once"] if self.kind == "redimnet-mel-72" else []
        return ", ".join(words)

    def add(self, graph: Graph, waveform: str) -> str:
        """Add it to a graph: (N, samples), -1 to 1, to (N, bins, frames) or (N, samples)."""
        if self.kind == "ge2e-mel-40":
            return ge2e_mel_40(graph, waveform)
        if self.kind == "redimnet-mel-72":
            return redimnet_mel_72(graph, waveform)
        if self.int16:
            waveform = graph.op("Mul", waveform, graph.const(_INT16))
        if self.kind == "waveform":
            return waveform
        features = kaldi_fbank_80(graph, waveform, self.taper)
        if not self.mean_removed:
            return features
        mean = graph.op("ReduceMean", features, axes=[2], keepdims=1)
        return str(graph.op("Sub", features, mean))

    def arrange(self, graph: Graph, features: str) -> str:
        """Convert the output of `add` to the network's input."""
        if self.kind == "waveform":
            return features
        if self.kind == "redimnet-mel-72":
            return str(graph.op("Unsqueeze", features, graph.ints(1)))
        return str(graph.op("Transpose", features, perm=[0, 2, 1]))


def of_length(samples: npt.NDArray[np.float32], n: int | None) -> npt.NDArray[np.float32]:
    """Return the beginning of samples, or the samples repeated, (n,); ``n`` None: unchanged.

    So do ASVspoof's baselines, AASIST and RawNet2, whose networks take 64,600 samples.
    """
    return samples if n is None else np.resize(samples, n)


def front_ends() -> dict[str, FrontEnd]:
    """Return every front end by its canonical text."""
    flags = (False, True)
    fbanks = (FrontEnd("kaldi-fbank-80", *choice) for choice in product(TAPERS, flags, flags))
    waveforms = (FrontEnd("waveform", int16=int16) for int16 in flags)
    mels = (FrontEnd(kind) for kind in ("ge2e-mel-40", "redimnet-mel-72"))
    return {f.describe(): f for f in (*fbanks, *waveforms, *mels)}


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


def redimnet_mel_72(graph: Graph, waveform: str) -> str:
    """Add the log mel filter bank of ReDimNet2: 72 bins, 25/10 ms, the mean over time removed.

    A waveform (N, samples) of any scale gives (N, 72, frames), where ``frames`` is
    ``1 + (samples - 240) // 160`` without what exceeds a multiple of four: TFMelBanks of
    redimnet2/layers/features_tf.py with ``norm_signal`` and ``do_preemph``.
    """
    floor, ceiling = graph.const(_REDIMNET_FLOOR), graph.const(1 / _REDIMNET_FLOOR)
    bins = np.arange(_FFT // 2)
    frame_map = _dft(_FFT, bins)[:, :FRAME] * np.hamming(FRAME)
    parts = _power(graph, _emphasized(graph, _levelled(graph, waveform, floor)), frame_map)
    pairs = graph.op("Reshape", parts, graph.ints(0, 2, len(bins), -1))
    power = graph.op("ReduceSum", pairs, graph.ints(1), keepdims=0)
    bank = graph.const(_redimnet_mel(72)[:, :, None])
    mel = graph.op("Conv", graph.op("Clip", power, floor, ceiling), bank)
    logs = graph.op("Log", graph.op("Add", graph.op("Clip", mel, floor, ceiling), floor))
    features = graph.op("Sub", logs, graph.op("ReduceMean", logs, axes=[2], keepdims=1))
    block = graph.ints(_REDIMNET_BLOCK)
    blocks = graph.op("Div", graph.op("Shape", features, start=2, end=3), block)
    end = graph.op("Mul", blocks, block)
    return str(graph.op("Slice", features, graph.ints(0), end, graph.ints(2)))


def _levelled(graph: Graph, waveform: str, floor: str) -> str:
    """(N, samples) -> (N, samples): the mean 0 and the variance 1 for each clip."""
    mean = graph.op("ReduceMean", waveform, axes=[1], keepdims=1)
    centred = graph.op("Sub", waveform, mean)
    variance = graph.op("ReduceMean", graph.op("Mul", centred, centred), axes=[1], keepdims=1)
    return str(graph.op("Div", centred, graph.op("Add", graph.op("Sqrt", variance), floor)))


def _emphasized(graph: Graph, waveform: str) -> str:
    """(N, samples) -> (N, 1, samples + 160): ReDimNet2's pre-emphasis, and zeros beyond both ends.

    The first sample has the second one before it, and the zeros come afterwards: of the frames at
    the ends this is not part of one linear map, so it is not in the window.
    """
    reflected = graph.op("Pad", waveform, graph.ints(0, 1, 0, 0), mode="reflect")
    pair = graph.const([[[-_PREEMPHASIS, 1.0]]])
    sharp = graph.op("Conv", graph.op("Unsqueeze", reflected, graph.ints(1)), pair)
    return str(graph.op("Pad", sharp, graph.ints(0, 0, HOP // 2, 0, 0, HOP // 2)))


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
    """Return (2 bins, 400): Kaldi's steps on a frame, in its order, as one matrix.

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
    hz = np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT
    return _triangles(_mel_of((_LOW_HZ, _HIGH_HZ)), _mel_of(hz), mels)


def _redimnet_mel(mels: int) -> Float64Array:
    """Return (mels, 256): such triangles for bins that are taken to end at 8 kHz.

    They end one bin before it; the networks were trained so.  The first is in no triangle.
    """
    at = _mel_of(np.linspace(0.0, RATE_HZ / 2, _FFT // 2))
    return _triangles(_mel_of(_REDIMNET_EDGES_HZ), at, mels)


def _mel_of(hz: npt.ArrayLike) -> Float64Array:
    return np.asarray(1127.0 * np.log1p(np.asarray(hz) / 700.0))


def _triangles(ends: Float64Array, at: Float64Array, mels: int) -> Float64Array:
    """Return (mels, bins): triangles of equal width between two ends, at each bin's place."""
    edges = np.linspace(ends[0], ends[1], mels + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (at - left) / (centre - left), (right - at) / (right - centre)
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))


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
