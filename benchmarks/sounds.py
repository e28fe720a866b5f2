"""Sounds that are not speech, made by program: noise, tones, engines, barks, bells, music."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import scipy.signal

from benchmarks.trials import Floats

RATE_HZ = 16_000
SOUND_S = 5.0

Draw = np.random.Generator
Sound = Callable[[Draw], Floats]
"""Makes a sound of 5 s; each draw gives another."""

TIMES_S = np.arange(round(SOUND_S * RATE_HZ)) / RATE_HZ


def coloured(rng: Draw, slope: float) -> Floats:
    """Return noise whose power falls by frequency to the power of ``slope``."""
    spectrum = np.fft.rfft(rng.standard_normal(len(TIMES_S)))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20.0) ** (slope / 2)
    return np.asarray(np.fft.irfft(spectrum, len(TIMES_S)) * 10)


def tone(hz: Floats | float, harmonics: int, rolloff: float = 1.0) -> Floats:
    """Return a tone of a changing pitch with overtones."""
    pitch = np.broadcast_to(np.asarray(hz, np.float64), TIMES_S.shape)
    turns = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    parts = (np.sin(k * turns) / k**rolloff * (k * pitch < 7600) for k in range(1, harmonics + 1))
    return np.asarray(np.sum(list(parts), axis=0))


def events(rng: Draw, every_s: tuple[float, float], one: Callable[[Draw], Floats]) -> Floats:
    """Return sounds of their own that begin at drawn intervals."""
    whole, at = np.zeros(len(TIMES_S)), 0.0
    while at < SOUND_S:
        start = round(at * RATE_HZ)
        made = one(rng)[: len(whole) - start]
        whole[start : start + len(made)] += made
        at += rng.uniform(*every_s)
    return whole


def decaying(rng: Draw, hz: Floats, decay_s: float) -> Floats:
    """Return tones that die away together."""
    t = TIMES_S[: round(5 * decay_s * RATE_HZ)]
    parts = [np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in hz if f < 7600]
    return np.asarray(np.sum(parts, axis=0) * np.exp(-t / decay_s))


def burst(rng: Draw, low_hz: float, high_hz: float, decay_s: float) -> Floats:
    """Return a burst of noise between two frequencies."""
    n = round(5 * decay_s * RATE_HZ)
    passed = scipy.signal.butter(2, (low_hz, high_hz), "bandpass", fs=RATE_HZ, output="sos")
    made: Floats = scipy.signal.sosfilt(passed, rng.standard_normal(n))
    return made * np.exp(-TIMES_S[:n] / decay_s)


def steps(rng: Draw, seconds: float, values: Sequence[float]) -> Floats:
    """Return random values, each for so many seconds."""
    drawn: Floats = rng.choice(np.asarray(values), len(TIMES_S))
    return np.asarray(drawn[(TIMES_S / seconds).astype(int)])


def _bark(rng: Draw) -> Floats:
    n = round(rng.uniform(0.12, 0.35) * RATE_HZ)
    pitch = rng.uniform(300, 700) * (1 - 0.4 * np.linspace(0, 1, n))
    return (tone(np.resize(pitch, len(TIMES_S)), 12)[:n] + rng.standard_normal(n)) * np.hanning(n)


def _voiceless(rng: Draw) -> Floats:
    """Return noise with the spectrum of speech, and its loudness by syllables."""
    noise = scipy.signal.lfilter([1.0], [1.0, -0.9], rng.standard_normal(len(TIMES_S)))
    rate = rng.uniform(3, 6)
    wave = np.interp(TIMES_S * rate, np.arange(60), rng.uniform(0.02, 1.0, 60) ** 2)
    return np.asarray(noise * wave)


SOUNDS_CHOSEN_ON: Mapping[str, Sound] = {
    "white noise": partial(coloured, slope=0.0),
    "brown noise": partial(coloured, slope=2.0),
    "noise in pulses": lambda rng: (
        coloured(rng, 1.0) * (1 + np.sin(2 * np.pi * rng.uniform(1, 8) * TIMES_S))
    ),
    "tone": lambda rng: tone(rng.uniform(100, 3000), 1),
    "buzz": lambda rng: tone(rng.uniform(60, 400), 40),
    "sweeps": lambda rng: tone(200 + 3000 * (TIMES_S * rng.uniform(0.3, 2) % 1.0), 3),
    "siren": lambda rng: tone(950 + 450 * np.sin(2 * np.pi * rng.uniform(0.2, 4) * TIMES_S), 15),
    "chirps": lambda rng: (
        tone(rng.uniform(300, 1500) + 1500 * (TIMES_S % 0.5), 2) * (TIMES_S % 0.5 < 0.3)
    ),
    "alarm": lambda rng: tone(rng.uniform(400, 3000), 10) * (TIMES_S * rng.uniform(1, 6) % 1 < 0.5),
    "arpeggio": lambda rng: (
        tone(steps(rng, 0.2, [220 * 2 ** (k / 12) for k in range(13)]), 15)
        * np.exp(-5 * (TIMES_S % 0.2))
    ),
    "saw with noise": lambda rng: (
        tone(150 + 60 * np.sin(1.4 * np.pi * TIMES_S), 30)
        * (1 + 0.3 * rng.standard_normal(len(TIMES_S)))
    ),
    "clicks": lambda rng: events(
        rng, (0.05, 0.4), partial(burst, low_hz=500, high_hz=6000, decay_s=0.004)
    ),
}
SOUNDS_HELD_OUT: Mapping[str, Sound] = {
    "dialling tones": lambda rng: (
        (
            tone(steps(rng, 0.2, [697, 770, 852, 941]), 1)
            + tone(steps(rng, 0.2, [1209, 1336, 1477, 1633]), 1)
        )
        * (TIMES_S % 0.2 < 0.12)
    ),
    "bells": lambda rng: events(
        rng,
        (0.3, 1.5),
        lambda r: decaying(
            r, r.uniform(0.5, 1.5) * 500 * np.array([0.5, 1, 1.2, 1.5, 2, 2.7, 5.4]), 0.5
        ),
    ),
    "engine": lambda rng: (
        tone(30 + 40 * np.interp(TIMES_S, np.arange(6), rng.uniform(0, 1, 6)), 60, 0.7)
        + 0.5 * coloured(rng, 1.0)
    ),
    "barks": lambda rng: events(rng, (0.3, 1.0), _bark),
    "voiceless syllables": _voiceless,
    "applause": lambda rng: events(
        rng, (0.001, 0.02), partial(burst, low_hz=700, high_hz=5000, decay_s=0.01)
    ),
    "wind": lambda rng: (
        coloured(rng, 2.5) * np.interp(TIMES_S, np.arange(0, 6, 0.5), rng.uniform(0.05, 1.0, 12))
    ),
    "birds": lambda rng: events(
        rng,
        (0.1, 0.6),
        lambda r: (
            tone(np.interp(TIMES_S, [0, 0.1, 0.2], r.uniform(2000, 5000, 3)), 2)[:3200]
            * np.hanning(3200)
        ),
    ),
    "modem": lambda rng: tone(steps(rng, 0.0033, [980, 1180, 1650, 1850]), 1) + 0.3 * tone(2100, 1),
    "game": lambda rng: tone(steps(rng, 0.08, list(rng.uniform(80, 2000, 12))), 25),
    "melody with vibrato": lambda rng: (
        tone(
            steps(rng, 0.45, [262, 294, 330, 349, 392, 440, 494])
            * (1 + 0.015 * np.sin(2 * np.pi * 5.5 * TIMES_S)),
            20,
        )
        * (0.6 + 0.4 * np.sin(2 * np.pi * TIMES_S / 0.45) ** 2)
    ),
    "drums and bass": lambda rng: (
        events(
            rng,
            (0.12, 0.3),
            lambda r: (
                burst(r, *((60.0, 200.0), (300.0, 3000.0), (4000.0, 7500.0))[r.integers(3)], 0.05)
                * 3
            ),
        )
        + 0.5 * tone(steps(rng, 0.4, [55, 65, 73, 82]), 12)
    ),
}
