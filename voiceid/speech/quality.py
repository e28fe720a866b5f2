"""What a recording is worth: net speech, SNR, clipping, bandwidth, level.  Pure numpy.

Everything is gathered while the audio streams by; nothing depends on how it was cut into
blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid.audio.clipping import ClippingCount
from voiceid.domain import Float32Array, QualityReport

FRAME_SAMPLES = 512
FRAME_S = FRAME_SAMPLES / 16_000
"""The frame of the speech detector: 32 ms at 16 kHz."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """From where a measurement is worth a warning.

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
    """Gathers what a report needs, frame by frame; for one recording and one thread."""

    def __init__(self, limits: QualityLimits) -> None:
        self._limits = limits
        self._power: list[npt.NDArray[np.float32]] = []
        self._speech: list[npt.NDArray[np.bool_]] = []
        self._spectrum = _Spectrum()

    def add(self, frames: Float32Array, speech: npt.NDArray[np.bool_]) -> None:
        """Take the next frames, shape (k, 512) float32 at 16 kHz, and (k,) whether speech."""
        if len(frames) == 0:
            return
        # The variance, not the mean square: an offset of a sound card is not noise.
        mean = frames.mean(axis=1)
        power = np.einsum("ij,ij->i", frames, frames) / FRAME_SAMPLES - mean * mean
        self._power.append(np.maximum(power, 0.0))
        self._speech.append(speech)
        self._spectrum.add(frames[speech])

    def report(
        self, duration_s: float, sample_rate_hz: int, clipping: ClippingCount, *, truncated: bool
    ) -> QualityReport:
        """Return the report of everything that was added.

        - `duration_s`, `sample_rate_hz`: of the source.
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
            bandwidth_hz=self._spectrum.bandwidth_hz(),
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
            "clipped": clipping.fraction > limits.max_clipped_fraction,
            "truncated": truncated,
        }
        return tuple(warning for warning, holds in applies.items() if holds)


_SILENCE = 1e-12
"""Power of -120 dBFS, below the last step of 16 bits and of any microphone."""

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
    near = speech.copy()
    near[1:] |= speech[:-1]
    near[:-1] |= speech[1:]
    if not speech.any() or int((~near).sum()) < _MIN_NOISE_FRAMES:
        return None
    noise = float(np.median(power[~near]))
    signal = float(power[speech].mean()) - noise  # what speech frames hold includes the noise
    if signal <= noise * 10 ** (-_MAX_SNR_DB / 10):
        return -_MAX_SNR_DB
    return min(_MAX_SNR_DB, 10 * math.log10(signal / max(noise, _SILENCE)))


class _Spectrum:
    """Long-term power spectrum of the speech, and how much its upper half mirrors the lower.

    Good resamplers leave nothing above the old Nyquist frequency; bad ones (linear
    interpolation) leave the mirror image of what is below.  Both are looked for at 4 kHz,
    since telephones sample at 8 kHz.
    """

    def __init__(self) -> None:
        self._n_seen = self._n_used = 0
        self._power = np.zeros(FRAME_SAMPLES // 2 + 1)
        self._moments = np.zeros((5, _MIRROR_BINS))

    def add(self, frames: Float32Array) -> None:
        """Take (k, 512) frames of speech: all of the first 128, then every eighth."""
        order = np.arange(self._n_seen, self._n_seen + len(frames))
        self._n_seen += len(frames)
        used = frames[(order < _FRAMES_ALL) | (order % _FRAMES_STEP == 0)]
        if len(used) == 0:
            return
        self._n_used += len(used)
        bins = np.fft.rfft(used * _WINDOW, axis=1)
        power = bins.real**2 + bins.imag**2
        self._power += power.sum(axis=0, dtype=np.float64)
        upper = _log_shape(power[:, _NYQUIST_BIN + _MIRROR_FROM :][:, :_MIRROR_BINS])
        lower = _log_shape(power[:, _NYQUIST_BIN - _MIRROR_FROM :: -1][:, :_MIRROR_BINS])
        products = (upper, lower, upper * lower, upper * upper, lower * lower)
        self._moments += [product.sum(axis=0, dtype=np.float64) for product in products]

    def bandwidth_hz(self) -> float | None:
        """Return the upper edge of the highest 500 Hz band that carries speech.

        A band from 4.5 kHz on carries speech when its level is within 34 dB of the level
        at 0.3-3.4 kHz and within 20 dB of that at 2.8-3.6 kHz; lower bands when within
        34 dB.  Limits and the mirror's from LibriSpeech, AMI and FSDD, native and
        band-limited by seven resamplers, before and after five codecs.  None with under
        0.6 s of speech.
        """
        if self._n_used < _MIN_SPEECH_FRAMES:
            return None
        reference = self._band(300, 3400)
        if reference <= _SILENCE:
            return None
        if self._mirror() >= _MIRRORED:
            return _TELEPHONE_NYQUIST_HZ
        floor = reference * 10**-3.4
        upper_floor = max(floor, self._band(2800, 3600) * 10**-2.0)
        carrying = [
            edge + _BAND_HZ
            for edge in range(0, 8000, _BAND_HZ)
            if self._band(edge, edge + _BAND_HZ)
            >= (upper_floor if edge > _TELEPHONE_NYQUIST_HZ else floor)
        ]
        return float(max(carrying))

    def _band(self, low_hz: int, high_hz: int) -> float:
        """Return the mean power per bin and frame from ``low_hz`` to ``high_hz``."""
        first, last = (round(hz * FRAME_SAMPLES / 16_000) for hz in (low_hz, high_hz))
        return float(self._power[first:last].mean()) / self._n_used

    def _mirror(self) -> float:
        """Return the correlation, -1 to 1, of the log spectra on both sides of 4 kHz."""
        sum_a, sum_b, sum_ab, sum_aa, sum_bb = self._moments
        n = self._n_used
        ab, aa, bb = (
            float((products - a * b / n).sum())
            for products, a, b in (
                (sum_ab, sum_a, sum_b),
                (sum_aa, sum_a, sum_a),
                (sum_bb, sum_b, sum_b),
            )
        )
        return ab / math.sqrt(aa * bb) if aa * bb > 0 else 0.0


_FRAMES_ALL, _FRAMES_STEP = 128, 8
"""4 s of speech settle the spectrum; an FFT of every frame would cost a tenth of the rest."""

_MIN_SPEECH_FRAMES = 20
_BAND_HZ = 500
_TELEPHONE_NYQUIST_HZ = 4000.0
_NYQUIST_BIN = 128
_MIRROR_FROM, _MIRROR_BINS = 6, 64
"""Compared: 0.2 to 2.2 kHz on either side of 4 kHz."""

_MIRRORED = 0.4
"""Wideband speech reached 0.22; linear interpolation began at 0.49."""

_WINDOW = np.hanning(FRAME_SAMPLES).astype(np.float32)


def _log_shape(power: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Return the log of (k, m) power without each frame's mean: its shape, not its level."""
    log = np.log(power + np.float32(1e-9))
    return np.asarray(log - log.mean(axis=1, keepdims=True))
