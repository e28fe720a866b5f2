"""Words of the speakers of the AMI recordings, each in several takes, for spoken codes.

Nobody there says a word ten times: a word is half a second of a turn, and a take of it the same
faster or slower, with other noise.  So the tests show what the parts do; how often they err, the
benchmark says (benchmarks/results/challenge.md).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import soundfile

from voiceid.audio.coding import resampled
from voiceid.domain import Float32Array

RATE_HZ = 16_000
WORDS = tuple("abcdefgh")
SPEEDS = (1.0, 0.93, 1.07, 0.965, 1.035)
NOISES = (1e-4, 1e-4, 1e-4, 0.003, 0.003)
"""Of the takes: the first three are rounds, the last two make answers."""
ROUNDS = 3


def pieces(turn: Float32Array) -> list[Float32Array]:
    """Return the eight loudest half seconds of a turn that do not meet, in order."""
    n = RATE_HZ // 2
    energy = np.convolve(turn**2, np.ones(n), "valid")
    starts: list[int] = []
    while len(starts) < len(WORDS):
        start = int(energy.argmax())
        starts.append(start)
        energy[max(start - n, 0) : start + n] = 0
    fade = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / 800).astype(np.float32)
    return [turn[start : start + n] * fade for start in sorted(starts)]


def said(words: Sequence[Float32Array], take: int) -> tuple[Float32Array, int]:
    """Return words, each with a pause behind it, as samples and rate."""
    rng = np.random.default_rng(take)
    pause = np.zeros(RATE_HZ // 4, np.float32)
    parts = [pause]
    for word in words:
        parts += [resampled(word, RATE_HZ, round(RATE_HZ / SPEEDS[take])), pause]
    whole = np.concatenate(parts)
    noise = NOISES[take] * rng.standard_normal(len(whole))
    return (whole + noise).astype(np.float32), RATE_HZ


def wav(samples: Float32Array, rate_hz: int) -> bytes:
    """Return what was said as a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype="FLOAT")
    return file.getvalue()
