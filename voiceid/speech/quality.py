"""The quality of a recording: net speech, SNR, clipping, bandwidth, level.  Pure numpy.

Everything is measured while the audio streams by; the result does not depend on the size of
blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from voiceid.audio.mixing import ClippingCount
from voiceid.domain import Float32Array, QualityReport

FRAME_SAMPLES = 512
FRAME_S = FRAME_SAMPLES / 16_000
"""The frame of the speech detector: 32 ms at 16 kHz."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Limits of the measurements, beyond which there is a warning.

    - `min_net_speech_s`: less speech gives no vector, and the warning ``too_short``.
    - `max_clipped_fraction`: more gives ``clipped``.
    - `min_snr_db`: less gives ``noisy``.
    - `min_bandwidth_hz`: less gives ``narrowband``.
    """

    min_net_speech_s: float = 1.0
    max_clipped_fraction: float = 0.01
    min_snr_db: float = 5.0
    min_bandwidth_hz: float = 5000.0


class QualityMeter:
    """Collects the measurements of a report, frame by frame; for one recording and one thread."""

    def __init__(self, limits: QualityLimits) -> None:
        self._limits = limits
        self._power: list[npt.NDArray[np.float32]] = []
        self._speech: list[npt.NDArray[np.bool_]] = []
        self._spectrum = _Spectrum()

    def add(self, frames: Float32Array, speech: npt.NDArray[np.bool_]) -> None:
        """Take the next frames, shape (k, 512) float32 at 16 kHz, and (k,) whether speech."""
        if len(frames) == 0:
            return
        # Use the variance, not the mean square: the offset of a sound card is not noise.
        mean = frames.mean(axis=1)
        power = np.einsum("ij,ij->i", frames, frames) / FRAME_SAMPLES - mean * mean
        self._power.append(np.maximum(power, 0.0))
        self._speech.append(speech)
        self._spectrum.add(frames, speech)

    def report(
        self, duration_s: float, sample_rate_hz: int, clipping: ClippingCount, *, truncated: bool
    ) -> QualityReport:
        """Return the report of everything that was added.

        - `duration_s`, `sample_rate_hz`: those of the source.
        - `truncated`: whether the source ended early or is corrupt in parts.
        """
        power = np.concatenate([*self._power, np.empty(0, np.float32)]).astype(np.float64)
        speech = np.concatenate([*self._speech, np.empty(0, np.bool_)])
        loudness = float(power[speech].mean()) if speech.any() else 0.0
        report = QualityReport(
            duration_s=duration_s,
            net_speech_s=min(int(speech.sum()) * FRAME_S, duration_s),
            snr_db=_snr_db(power, speech),
            clipped_fraction=clipping.fraction,
            bandwidth_hz=self._spectrum.bandwidth_hz(speech, sample_rate_hz),
            sample_rate_hz=sample_rate_hz,
            level_dbfs=10 * math.log10(loudness) if loudness > _SILENCE else None,
        )
        return replace(report, warnings=self._warnings(report, clipping, truncated=truncated))

    def _warnings(
        self, report: QualityReport, clipping: ClippingCount, *, truncated: bool
    ) -> tuple[str, ...]:
        limits = self._limits
        applies = {
            "too_short": report.net_speech_s < limits.min_net_speech_s,
            "narrowband": _below(report.bandwidth_hz, limits.min_bandwidth_hz),
            "noisy": _below(report.snr_db, limits.min_snr_db),
            "too_soft": _below(report.level_dbfs, _SOFT_DBFS),
            "clipped": clipping.fraction > limits.max_clipped_fraction,
            "truncated": truncated,
        }
        return tuple(warning for warning, holds in applies.items() if holds)


_SILENCE = 1e-12
"""Power of -120 dBFS, below the last step of 16 bits and of any microphone."""

_SOFT_DBFS = -70.0
"""Below this the floor of the filter banks matters: one speaker's own clip scored .89 at -20 and
-40 dBFS, .78 at -75, .40 at -90 and .19 at -102 (float samples)."""

_MIN_NOISE_FRAMES = 10
"""0.32 s without speech; fewer frames are pauses and breaths, not the background."""

_MAX_SNR_DB = 100.0


def _below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit


def _snr_db(power: npt.NDArray[np.float64], speech: npt.NDArray[np.bool_]) -> float | None:
    """Return speech power over background power in dB, None with too little of either.

    Frames next to speech are left out of the background (they hold its beginnings and
    ends), and the background is the median of the rest, which a cough does not move.  On
    LibriSpeech with white noise at 0 to 30 dB the median error was under 0.5 dB.
    """
    near = _near(speech, 1)
    if not speech.any() or int((~near).sum()) < _MIN_NOISE_FRAMES:
        return None
    noise = float(np.median(power[~near]))
    signal = float(power[speech].mean()) - noise  # the power of speech frames includes the noise
    if signal <= noise * 10 ** (-_MAX_SNR_DB / 10):
        return -_MAX_SNR_DB
    return min(_MAX_SNR_DB, 10 * math.log10(signal / max(noise, _SILENCE)))


def _near(speech: npt.NDArray[np.bool_], frames: int) -> npt.NDArray[np.bool_]:
    """Return which frames are speech, or near enough to hold its beginnings and ends."""
    near = speech.copy()
    for distance in range(1, frames + 1):
        near[distance:] |= speech[:-distance]
        near[:-distance] |= speech[distance:]
    return near


class _Spectrum:
    """Levels in bands of 500 Hz, frame by frame, for speech and for pauses.

    The level of a band is the median of its bins: tones, beeps and hum fill few of them.
    """

    def __init__(self) -> None:
        self._n_seen = {True: 0, False: 0}
        self._used = [np.empty(0, np.bool_)]
        self._levels = [np.empty((0, _N_BANDS), np.float32)]

    def add(self, frames: Float32Array, speech: npt.NDArray[np.bool_]) -> None:
        """Take (k, 512) frames: the first 128 of speech, then every eighth; likewise of pauses."""
        used = np.zeros(len(frames), np.bool_)
        for kind in (True, False):
            rows = np.flatnonzero(speech == kind)
            order = np.arange(self._n_seen[kind], self._n_seen[kind] + len(rows))
            used[rows] = (order < _FRAMES_ALL) | (order % _FRAMES_STEP == 0)
            self._n_seen[kind] += len(rows)
        bins = np.fft.rfft(frames[used] * _WINDOW, axis=1)[:, :-1]
        power = (bins.real**2 + bins.imag**2).reshape(-1, _N_BANDS, FRAME_SAMPLES // 2 // _N_BANDS)
        self._used.append(used)
        self._levels.append(np.median(power, axis=2))

    def bandwidth_hz(self, speech: npt.NDArray[np.bool_], sample_rate_hz: int) -> float | None:
        """Return the upper edge of the highest 500 Hz band that carries speech.

        - `speech`: (n,) whether each frame that was added is speech.
        - `sample_rate_hz`: that of the source; there is no sound above half of it.

        A band carries speech if its power in speech, minus its power in pauses, is within 34 dB of
        the level of the speech at 0.5 to 3.5 kHz.  None for under 0.6 s of speech.
        """
        used, levels = np.concatenate(self._used), np.concatenate(self._levels)
        said, paused = levels[speech[used]], levels[~_near(speech, _EDGE_FRAMES)[used]]
        if len(said) < _MIN_SPEECH_FRAMES:
            return None
        mean = said.mean(axis=0, dtype=np.float64)
        reference = float(np.median(mean[_LOWER]))
        if reference <= _SILENCE:
            return None
        noise = paused.mean(axis=0, dtype=np.float64) if len(paused) else 0.0
        edges = _BAND_HZ * np.arange(1, _N_BANDS + 1)
        carrying = (mean - noise >= reference * 10**-3.4) & (edges <= sample_rate_hz / 2)
        return float(edges[carrying].max()) if carrying.any() else None


_FRAMES_ALL, _FRAMES_STEP = 128, 8
"""4 s of speech suffice for the spectrum; an FFT of every frame would add a tenth to the time."""

_MIN_SPEECH_FRAMES = 20
_EDGE_FRAMES = 4
"""The speech detector misses up to this much of a hissing sound before or after a vowel."""
_BAND_HZ = 500
_N_BANDS = 16
_LOWER = slice(1, 7)
"""Bands of 0.5 to 3.5 kHz."""

_WINDOW = np.hanning(FRAME_SAMPLES).astype(np.float32)
