"""The windows of GE2E are the published ones, and the LSTM is PyTorch's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from networks import by_librosa, embed, weights

from voiceid.errors import CheckpointInvalid
from voiceid.models import ge2e
from voiceid.models.cards import Windowing
from voiceid.models.graph import Graph
from voiceid.models.runtime import Session
from voiceid.models.windows import Windows

PUBLISHED = Windowing(160, 77, 0.75)
PAPER = Windowing(80, 40, 0.75)


def published_starts(samples: int, windowing: Windowing) -> list[int]:
    """The rule as Resemblyzer states it, in its own arithmetic: frames, and real coverage."""
    frames = math.ceil((samples + 1) / 160)
    width, step = windowing.window_frames, windowing.step_frames
    starts = list(range(0, max(1, frames - width + step + 1), step))
    coverage = (samples - starts[-1] * 160) / (width * 160)
    return starts[:-1] if coverage < windowing.min_coverage and len(starts) > 1 else starts


def starts_in_graph(windowing: Windowing) -> Session:
    graph = Graph("windows")
    found = graph.op("Cast", Windows(graph, windowing)._first_frames(), to=1)
    data = graph.serialize({"waveform": ["N", "samples"]}, {"starts": (found, ["windows", 1])})
    return Session.of_bytes(data, "windows", inputs={"waveform": 2}, outputs=["starts"])


SESSIONS = {windowing: starts_in_graph(windowing) for windowing in (PUBLISHED, PAPER)}


@settings(max_examples=300)
@given(st.integers(1, 200_000), st.sampled_from([PUBLISHED, PAPER]))
@example(25_600, PUBLISHED)
@example(12_320 + 19_200, PUBLISHED)
@example(12_320 + 19_199, PUBLISHED)
def test_windows_start_where_the_published_encoder_starts_them(
    samples: int, windowing: Windowing
) -> None:
    [found] = SESSIONS[windowing].run({"waveform": np.zeros((1, samples), "f4")})
    assert found[:, 0].tolist() == published_starts(samples, windowing)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def by_hand(tensors: dict[str, np.ndarray], mel: np.ndarray) -> np.ndarray:
    """(frames, 40) -> (256,): the network as PyTorch's documentation of LSTM states it."""
    w = {key.removeprefix("model_state."): value.astype("f8") for key, value in tensors.items()}
    x = mel.astype("f8")
    for layer in range(3):
        hidden, cell, outputs = np.zeros(256), np.zeros(256), []
        for frame in x:
            gates = w[f"lstm.weight_ih_l{layer}"] @ frame + w[f"lstm.bias_ih_l{layer}"]
            gates += w[f"lstm.weight_hh_l{layer}"] @ hidden + w[f"lstm.bias_hh_l{layer}"]
            i, f, g, o = np.split(gates, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            outputs.append(hidden)
        x = np.array(outputs)
    projected = np.maximum(0, w["linear.weight"] @ hidden + w["linear.bias"])
    return projected / np.linalg.norm(projected)


@pytest.mark.parametrize("windowing", [PUBLISHED, PAPER], ids=["published", "paper"])
def test_the_embedding_is_the_mean_of_the_windows(windowing: Windowing) -> None:
    tensors = weights("ge2e")
    samples = np.random.default_rng(1).normal(0, 0.3, 40_000).astype("f4")
    starts = published_starts(len(samples), windowing)
    width = windowing.window_frames
    padded = np.pad(samples, (0, max(0, (starts[-1] + width) * 160 - len(samples))))
    mel = by_librosa(padded)
    mean = np.mean([by_hand(tensors, mel[s : s + width]) for s in starts], axis=0)
    [found] = embed(ge2e.build(tensors, windowing), samples[None])
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-5)


def test_clips_of_a_batch_are_embedded_as_if_alone() -> None:
    graph = ge2e.build(weights("ge2e"), PAPER)
    batch = np.random.default_rng(2).normal(0, 0.1, (3, 30_000)).astype("f4")
    alone = np.concatenate([embed(graph, clip[None]) for clip in batch])
    np.testing.assert_allclose(embed(graph, batch), alone, atol=1e-5)


def test_a_checkpoint_of_another_network_is_refused() -> None:
    with pytest.raises(CheckpointInvalid, match="no tensor"):
        ge2e.build(weights("campplus"), PUBLISHED)
    tensors = weights("ge2e")
    tensors["model_state.linear.weight"] = np.zeros((256, 128), "f4")
    with pytest.raises(CheckpointInvalid, match=r"linear.weight has shape \(256, 128\)"):
        ge2e.build(tensors, PUBLISHED)
