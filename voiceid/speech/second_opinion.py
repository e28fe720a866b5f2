"""A second opinion on speech, for recordings in which the detector finds little.

Silero finds no speech in some loud, shouted or emotional recordings.  The segmentation model finds
it, but takes animals, sirens, chirps and alarms for speech as well.  So the model must be sure,
Silero must not be sure of the contrary, and the sound must change as speech does.  Speech that
Silero finds after a recording was amplified must be likely for the model as well.  The limits were
chosen on changed copies of real speech in which Silero found less than a second, and on sounds that
are not speech (`benchmarks/loud.py`; docs/numbers.md has the counts).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array
from voiceid.speech.quality import FRAME_SAMPLES
from voiceid.speech.segmenter import LEAST_SAMPLES, STEP_SAMPLES, Segmenter

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating]

_RATE_HZ = 16_000
_MIN_PROBABILITY = 0.5
_MIN_MEAN = 0.65
"""Mean probability of the segmentation model where it claims speech."""
_MIN_AGREED = 0.8
"""The same where Silero claims speech in a recording that was amplified."""
_MIN_SILERO = 0.04
"""Mean probability of Silero there: below it Silero is sure that it is not speech."""
_MIN_BALANCE_SPAN = 2.5
"""Vowels are low and consonants high: the range of the balance of high to low frequencies, from its
20th to its 95th percentile, in nepers of power."""
_MIN_CHANGE = 0.5
"""Median distance of two envelopes 30 ms apart: speech changes all the time."""
_MAX_REPETITION = 0.5
"""Correlation of the spectrum with itself some time later: alarms repeat themselves."""
_REPEATS = range(25, 300)
"""0.25 to 3 s, in steps of 10 ms."""

_HOP, _SPAN, _FFT = 160, 400, 512
_BANDS, _CEPSTRA = 24, 8
_LOW_HZ, _HIGH_HZ = 100.0, 7600.0
_LOW_BANDS, _HIGH_BANDS = slice(0, 12), slice(16, 24)
"""Mel bands under 1.8 kHz, and over 2.9 kHz."""
_FLOOR, _MIN_ACTIVE = 1e-5, 1e-4
"""Limits of power relative to the loud parts (95th percentile): 50 and 40 dB below."""


class SecondOpinion:
    """Finds speech with the segmentation model.  Safe to share among threads."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def speech(
        self, frames: Float32Array, loud: BoolArray, probabilities: Float32Array, threshold: float
    ) -> BoolArray:
        """Return whether each frame is speech: (k,) bool, all False if the sound is unlike speech.

        - `frames` (k, 512) float32 at 16 kHz.
        - `loud` (k,) bool: only these can be speech that Silero missed.
        - `probabilities` (k,) float32: Silero's, and the ``threshold`` from which it hears speech.
        """
        samples = frames.reshape(-1)
        if len(samples) < LEAST_SAMPLES:
            return np.zeros(len(frames), np.bool_)
        spoken = self._probabilities(samples)
        centres = np.arange(len(frames)) * FRAME_SAMPLES + FRAME_SAMPLES // 2
        nearest = np.round((centres - LEAST_SAMPLES // 2) / STEP_SAMPLES).astype(np.int64)
        heard = spoken[np.clip(nearest, 0, len(spoken) - 1)]
        own: BoolArray = (heard >= _MIN_PROBABILITY) & loud
        of_silero: BoolArray = probabilities >= threshold
        speech = np.zeros(len(frames), np.bool_)
        for claimed, least in ((own, _MIN_MEAN), (of_silero, _MIN_AGREED)):
            if (
                claimed.any()
                and float(heard[claimed].mean()) >= least
                and float(probabilities[claimed].mean()) >= _MIN_SILERO
                and _changes_like_speech(samples, claimed)
            ):
                speech |= claimed
        return speech

    def _probabilities(self, samples: Float32Array) -> Float32Array:
        """Return the probability of speech for each frame of the model, 270 samples apart."""
        n_frames = self._segmenter.frames(len(samples))
        spoken = np.zeros(n_frames, np.float32)
        for first, log_probs in self._segmenter.windows(samples):
            heard = 1 - np.exp(log_probs[:, 0])
            spoken[first : first + len(heard)] = heard[: n_frames - first]
        return spoken


def _changes_like_speech(samples: Float32Array, speech: BoolArray) -> bool:
    """Whether the spectrum changes like that of speech where speech is claimed."""
    power = _band_powers(samples)
    centres = np.arange(len(power)) * _HOP + _SPAN // 2
    claimed = np.repeat(speech, FRAME_SAMPLES)[centres]
    total = power.sum(axis=1)
    loudness = float(np.quantile(total[claimed], 0.95))
    active = claimed & (total > _MIN_ACTIVE * loudness)
    levels = np.log(power + _FLOOR * loudness)
    return (
        _balance_span(power[active] + _FLOOR * loudness) >= _MIN_BALANCE_SPAN
        and _change(levels, active) >= _MIN_CHANGE
        and _repetition(levels, active) <= _MAX_REPETITION
    )


def _band_powers(samples: Float32Array) -> FloatArray:
    """Return (frames, 24): the power in mel bands every 10 ms, over 25 ms."""
    spans = np.lib.stride_tricks.sliding_window_view(samples - samples.mean(), _SPAN)[::_HOP]
    spectrum = np.fft.rfft(spans * np.hanning(_SPAN).astype(np.float32), _FFT)
    power: FloatArray = (spectrum.real**2 + spectrum.imag**2) @ _filters().T
    return power


@cache
def _filters() -> FloatArray:
    """Return (24, 257): triangles between equal steps of mel (O'Shaughnessy's formula)."""
    mels = np.linspace(_mel(_LOW_HZ), _mel(_HIGH_HZ), _BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    hz = np.arange(_FFT // 2 + 1) * _RATE_HZ / _FFT
    low, centre, high = (edges[i : i + _BANDS, None] for i in range(3))
    rising, falling = (hz - low) / (centre - low), (high - hz) / (high - centre)
    triangles: FloatArray = np.maximum(np.minimum(rising, falling), 0.0)
    return triangles


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _balance_span(power: FloatArray) -> float:
    high, low = (power[:, bands].sum(axis=1) for bands in (_HIGH_BANDS, _LOW_BANDS))
    bottom, top = np.quantile(np.log(high / low), (0.2, 0.95))
    return float(top - bottom)


def _change(levels: FloatArray, active: BoolArray) -> float:
    order = np.outer(np.arange(_BANDS) + 0.5, np.arange(1, _CEPSTRA + 1))
    cepstra = levels @ (np.cos(np.pi / _BANDS * order) * np.sqrt(2 / _BANDS))
    distances = np.abs(cepstra[3:] - cepstra[:-3]).mean(axis=1)[active[3:] & active[:-3]]
    return float(np.median(distances)) if len(distances) else 0.0


def _repetition(levels: FloatArray, active: BoolArray) -> float:
    shape = (levels - levels[active].mean(axis=0)) * active[:, None]
    energy = np.cumsum(np.square(shape).sum(axis=1))
    lags = [lag for lag in _REPEATS if lag < len(shape) - 50]
    correlations = [
        float(np.vdot(shape[lag:], shape[:-lag]))
        / np.sqrt(energy[-lag - 1] * (energy[-1] - energy[lag - 1]) + 1e-12)
        for lag in lags
    ]
    return max(correlations, default=0.0)
