"""Features that compare spoken words: the cepstra of the frames, without the channel.

The mel bands span 100 to 3800 Hz, which a telephone carries too, so that a word that was enrolled
by microphone can be said over a telephone.  The cosine transform keeps 13 numbers of the log
energies (Davis and Mermelstein 1980), liftered as in HTK.  Their mean over the speech is subtracted
(Furui 1981: this removes the constant effect of a line or a microphone), and their slopes over five
frames are added (Furui 1986).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from voiceid.audio.coding import resampled
from voiceid.decision.word_matching import BoolArray
from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid

RATE_HZ = 16_000
LONGEST_S = 60.0
"""The longest recording of words."""
HOP = 160
"""Samples from one frame to the next: 10 ms."""
_WINDOW, _DFT, _BANDS, _CEPSTRA, _LIFTER = 400, 512, 24, 13, 22
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 3800.0
_RANGE_DB = 45.0
"""Energy further below the loud frames than this is raised to this level."""
_SPEECH_SHARE = 0.35
"""Frames are loud from this share of the way between the quiet and the loud, in log energy."""
_SLOPE_WEIGHT = 2.0
MIN_SAMPLES = _WINDOW + 9 * HOP
"""The shortest sound that has features: ten frames."""


@dataclass(frozen=True, slots=True, eq=False)
class WordFeatures:
    """The features of a sound.

    Parameters
    ----------
    frames : (n, 26) float32
        One row each 10 ms; distances of rows are Euclidean.
    is_speech : (n,) bool
        Which frames are loud.
    """

    frames: Float32Array
    is_speech: BoolArray


def word_features(samples: Float32Array) -> WordFeatures:
    """Return the features of (n,) float32 at 16 kHz; raises ValueError for less than 0.115 s."""
    if len(samples) < MIN_SAMPLES:
        raise ValueError(f"{len(samples)} samples are not enough for features")
    bands = _log_bands(samples)
    loud = np.percentile(bands.max(1), 95)
    bands = np.maximum(bands, loud - _RANGE_DB / 10 * np.log(10))
    energy = bands.mean(1)
    low, high = np.percentile(energy, (5, 95))
    is_speech = energy >= low + _SPEECH_SHARE * (high - low)
    cepstra = bands @ _transform()
    cepstra -= cepstra[is_speech].mean(0)
    p = np.pad(cepstra, ((2, 2), (0, 0)), mode="edge")
    slopes = (2 * (p[4:] - p[:-4]) + (p[3:-1] - p[1:-3])) / 10
    frames = np.concatenate([cepstra, _SLOPE_WEIGHT * slopes], 1).astype(np.float32)
    return WordFeatures(frames, is_speech)


def _log_bands(samples: Float32Array) -> Float32Array:
    """Return (n, 24): the log energies of the mel bands of each frame."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::HOP]
    frames = frames - frames.mean(1, keepdims=True)
    emphasized = np.concatenate([frames[:, :1] * 0.03, frames[:, 1:] - 0.97 * frames[:, :-1]], 1)
    power = np.abs(np.fft.rfft(emphasized * np.hamming(_WINDOW).astype(np.float32), _DFT)) ** 2
    logs: Float32Array = np.log(power.astype(np.float32) @ _filters() + 1e-10)
    return logs


@cache
def _filters() -> Float32Array:
    """Return (257, 24): triangles that are equally wide in mel (Stevens and Volkmann)."""
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), _BANDS + 2)
    at = _mel(np.arange(_DFT // 2 + 1) * RATE_HZ / _DFT)[:, None]
    rising = (at - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - at) / np.diff(edges)[1:]
    filters: Float32Array = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return filters


def _mel(frequency_hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(frequency_hz, np.float64) / 700.0)


@cache
def _transform() -> Float32Array:
    """Return (24, 13): the orthonormal cosine transform (DCT-II), with the lifter."""
    numbers = np.arange(_CEPSTRA)
    angles = np.pi / _BANDS * (np.arange(_BANDS)[:, None] + 0.5) * numbers
    scale = np.where(numbers == 0, np.sqrt(1 / _BANDS), np.sqrt(2 / _BANDS))
    lifter = 1 + _LIFTER / 2 * np.sin(np.pi * numbers / _LIFTER)
    matrix: Float32Array = (np.cos(angles) * scale * lifter / lifter.mean()).astype(np.float32)
    return matrix


class WordTape:
    """Records the samples of one short recording as they pass; see `voiceid.audio.Tap`."""

    def __init__(self) -> None:
        self._kept: list[Float32Array] = []
        self._n = 0

    def add(self, samples: Float32Array) -> None:
        """Add (n,) samples; samples beyond `LONGEST_S` at 192 kHz are not kept."""
        self._n += len(samples)
        if self._n <= LONGEST_S * 192_000:
            self._kept.append(samples.copy())

    def clear(self) -> None:
        """Forget the samples."""
        self._kept, self._n = [], 0

    def samples(self, rate_hz: int, name: str = "a recording of words") -> Float32Array:
        """Return the samples, recorded at a rate, as (n,) float32 at 16 kHz.

        Raises `AudioInvalid`: it is too long, or too short, for words.
        """
        length_s = self._n / rate_hz
        if not MIN_SAMPLES / RATE_HZ < length_s <= LONGEST_S:
            raise AudioInvalid(
                f"{name} lasts {length_s:.1f} s; the limit is {LONGEST_S:g} s",
                hint="Record the words alone, with short pauses between them.",
            )
        return resampled(np.concatenate(self._kept), rate_hz, RATE_HZ)
