"""The signal that every installed model must answer as an independent implementation does.

It is a glide of harmonics in syllables with a little noise: enough like a voice for a well
conditioned embedding, and pure arithmetic, so that it is the same on every machine.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from voiceid.decision.embeddings import cosine, unit
from voiceid.domain import Float32Array
from voiceid.errors import SelfTestFailed
from voiceid.models.cards import ModelCard
from voiceid.models.frontends import of_length
from voiceid.models.runtime import Session

RATE_HZ = 16000
DURATION_S = 3.0
MAX_PROBABILITY_ERROR = 1e-3
MAX_SCORE_ERROR = 1e-3
"""Tolerance of a countermeasure's score, relative to its size if that is above 1."""

_FRAMES_STEP = 12
"""A card holds the answer for every twelfth frame of a segmentation: 105 numbers."""

_HARMONICS = 24
_PITCH_HZ, _PITCH_SWING_HZ, _SWINGS_HZ = 130.0, 40.0, 0.6
_SYLLABLES_HZ = 3.5
_FORMANTS_HZ = ((600.0, 120.0), (1300.0, 160.0), (2600.0, 250.0))
"""Centre and width of the bumps that the harmonics pass through."""


@cache
def signal() -> Float32Array:
    """Return the test signal: (48000,) float32 at 16 kHz, within -0.5 to 0.5."""
    n = np.arange(round(DURATION_S * RATE_HZ))
    t = n / RATE_HZ
    swing = 2 * np.pi * _SWINGS_HZ
    phase = 2 * np.pi * _PITCH_HZ * t - 2 * np.pi * _PITCH_SWING_HZ / swing * np.cos(swing * t)
    pitch = _PITCH_HZ + _PITCH_SWING_HZ * np.sin(swing * t)
    voice = np.zeros_like(t)
    for k in range(1, _HARMONICS + 1):
        bumps = [np.exp(-0.5 * ((k * pitch - f) / width) ** 2) for f, width in _FORMANTS_HZ]
        voice += (0.05 + np.sum(bumps, axis=0)) / k**0.5 * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * _SYLLABLES_HZ * t) + 0.6, 0.0, 1.0)
    # Knuth's multiplicative hash of the sample number: noise without a generator's state.
    noise = (n.astype(np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32)) / 2.0**31 - 1.0
    mixed = voice * syllables + 0.01 * noise
    return np.asarray(0.5 * mixed / np.max(np.abs(mixed)), dtype=np.float32)


def speech_frames(samples: Float32Array) -> Float32Array:
    """Return (frames, 576): the input of Silero's sequence model for (n,) samples."""
    padded = np.concatenate([np.zeros(64, np.float32), samples[: len(samples) // 512 * 512]])
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, 576)[::512])


def run_selftest(card: ModelCard, graph: bytes) -> float:
    """Run a built graph on the signal; return how far it is from the card's golden output.

    That is 1 - cosine for an encoder, else the largest difference of a score, a probability or the
    logarithm of a probability.
    """
    golden = np.array(card.selftest.output, dtype=np.float32)
    if card.kind == "encoder":
        session = Session.of_bytes(graph, card.name, inputs={"waveform": 2}, outputs=["embedding"])
        [[vector]] = session.run({"waveform": signal()[None]})
        distance = _angle(vector, golden)
        limit = 1.0 - card.selftest.min_cosine
    elif card.kind == "countermeasure":
        distance = _largest_difference(_score(card, graph), golden)
        limit = MAX_SCORE_ERROR * max(1.0, float(np.max(np.abs(golden))))
    else:
        answer = _log_probabilities if card.kind == "segmentation" else _probabilities
        distance = _largest_difference(answer(card, graph), golden)
        limit = MAX_PROBABILITY_ERROR
    if not distance <= limit:  # NaN is not
        raise SelfTestFailed(
            f"{card.name} does not answer the test signal as it must: {distance:.2g} away from"
            f" {card.selftest.origin}, but {limit:.2g} is allowed",
            hint="Nothing was installed. Please report this with your platform and versions.",
        )
    return float(distance)


def _probabilities(card: ModelCard, graph: bytes) -> Float32Array:
    """Return a detector's probabilities of speech."""
    session = Session.of_bytes(
        graph, card.name, inputs={"input": 2, "h": 3, "c": 3}, outputs=["speech_probs"]
    )
    state = np.zeros((1, 1, 128), np.float32)
    [probabilities] = session.run({"input": speech_frames(signal()), "h": state, "c": state})
    return probabilities


def _score(card: ModelCard, graph: bytes) -> Float32Array:
    """Return a countermeasure's score, (1,)."""
    session = Session.of_bytes(graph, card.name, inputs={"waveform": 2}, outputs=["score"])
    samples = of_length(signal(), session.size("waveform", 1))
    [score] = session.run({"waveform": samples[None]})
    return score


def _log_probabilities(card: ModelCard, graph: bytes) -> Float32Array:
    """Return the log probabilities of the classes, of some frames."""
    session = Session.of_bytes(graph, card.name, inputs={"waveform": 2}, outputs=["log_probs"])
    [frames] = session.run({"waveform": signal()[None]})
    return frames[0, ::_FRAMES_STEP].reshape(-1)


def _angle(vector: Float32Array, golden: Float32Array) -> float:
    """Return 1 - cosine; infinity when they cannot be compared."""
    try:
        same = vector.shape == golden.shape
        return 1.0 - cosine(unit(vector), unit(golden)) if same else np.inf
    except ValueError:  # one vector has no direction
        return np.inf


def _largest_difference(vector: Float32Array, golden: Float32Array) -> float:
    same = vector.shape == golden.shape
    return float(np.max(np.abs(vector - golden))) if same else np.inf
