"""Checkpoints of the right shape with random weights, and cards to build them with."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace

import librosa
import numpy as np
from torch_files import legacy, zipped

from voiceid.models import campplus, ge2e
from voiceid.models.build import build_graph
from voiceid.models.cards import ModelCard, SelfTest, load_cards, shipped_cards_folder
from voiceid.models.runtime import Session
from voiceid.models.selftest import signal

CARDS = load_cards(shipped_cards_folder())
SHAPES = {"campplus": campplus._shapes, "ge2e": ge2e._shapes}


def by_librosa(samples: np.ndarray) -> np.ndarray:
    """Return (frames, 40): `librosa.feature.melspectrogram` of 400 samples a frame, 160 apart.

    That function would first compile for 40 s of CPU time, so its two halves are here: librosa's
    window and filter bank, and the spectrum of frames that are centred, over zeros.
    """
    window = librosa.filters.get_window("hann", 400)
    bank = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=40)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, 200), 400)[::160]
    return np.abs(np.fft.rfft(frames * window)) ** 2 @ bank.T


def by_redimnet(samples: np.ndarray) -> np.ndarray:
    """Return (frames, 72): ReDimNet2's features step by step, as its TFMelBanks defines them."""

    def mel(hz: np.ndarray | float) -> np.ndarray:
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    x = samples.astype("f8")
    x = (x - x.mean()) / (x.std() + 1e-8)
    x = x - 0.97 * np.concatenate([x[1:2], x[:-1]])
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, 80), 400)[::160]
    power = np.abs(np.fft.rfft(frames * np.hamming(400), 512)[:, :256]) ** 2
    at, corners = mel(np.linspace(0, 8000, 256)), np.linspace(mel(20), mel(7600), 74)
    bank = np.stack([np.interp(at, corners[i : i + 3], [0, 1, 0]) for i in range(72)])
    bank[:, 0] = 0
    logs = np.log(np.clip(np.clip(power, 1e-8, 1e8) @ bank.T, 1e-8, 1e8) + 1e-8)
    return (logs - logs.mean(axis=0))[: len(logs) // 4 * 4]


def weights(network: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Return tensors for a network, small enough that nothing saturates."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, shape in SHAPES[network]().items():
        fan_in = max(1, int(np.prod(shape[1:])))
        made[name] = (rng.normal(size=shape) / np.sqrt(fan_in)).astype("f4")
        if name.endswith("running_var"):
            made[name] = np.square(made[name]) + np.float32(0.5)
    return made


@functools.cache
def checkpoint(network: str) -> bytes:
    """Return a checkpoint file in the format in which the real one comes."""
    tensors = weights(network)
    if network == "campplus":
        return zipped(tensors)
    return legacy({"model_state": {k.removeprefix("model_state."): v for k, v in tensors.items()}})


def card_of(data: bytes, model: str, output: tuple[float, ...] | None = None) -> ModelCard:
    """Return the card of ``model`` made to fit another checkpoint, self-test included."""
    card = CARDS[model]
    source = replace(card.source, member_sha256=hashlib.sha256(data).hexdigest())
    card = replace(card, source=source, graph_sha256="")
    if output is None:
        [output] = embed(build_graph(card, data), signal()[None])
    return replace(card, selftest=SelfTest(tuple(map(float, output)), "the same code"))


def embed(graph: bytes, waveforms: np.ndarray) -> np.ndarray:
    """Run a built encoder: (N, samples) to (N, dim)."""
    session = Session.of_bytes(graph, "it", inputs={"waveform": 2}, outputs=["embedding"])
    return session.run({"waveform": waveforms})[0]
