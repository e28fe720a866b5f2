"""The detector that is built answers as the published graph does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voiceid.errors import CheckpointInvalid
from voiceid.models import silero
from voiceid.models.runtime import Session

STATE = np.zeros((1, 1, 128), np.float32)


def opened(graph: bytes) -> Session:
    inputs = {"input": 2, "h": 3, "c": 3}
    return Session.of_bytes(graph, "silero", inputs=inputs, outputs=["speech_probs", "hn", "cn"])


@pytest.fixture(scope="module")
def published(silero_checkpoint: Path) -> bytes:
    return silero_checkpoint.read_bytes()


@pytest.fixture(scope="module")
def built(published: bytes) -> Session:
    return opened(silero.build(silero.read_weights(published)))


def frames(samples: np.ndarray) -> np.ndarray:
    padded = np.pad(samples, (64, -len(samples) % 512)).astype(np.float32)
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, 576)[::512])


@pytest.mark.parametrize("turn", ["alice-3", "bob-1", "carol-2", "stranger"])
def test_speech_gets_the_probabilities_of_the_published_graph(
    turn: str, published: bytes, built: Session, ami
) -> None:
    feeds = {"input": frames(ami.samples(turn)), "h": STATE, "c": STATE}
    expected, found = opened(published).run(feeds), built.run(feeds)
    assert expected[0].max() > 0.9
    assert expected[0].min() < 0.1
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-5)


@pytest.mark.parametrize("n", [1, 2, 37])
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0])
def test_any_input_and_any_state_give_what_the_published_graph_gives(
    n: int, scale: float, published: bytes, built: Session
) -> None:
    rng = np.random.default_rng(n)
    feeds = {
        "input": (scale * rng.standard_normal((n, 576))).astype(np.float32),
        "h": rng.standard_normal((1, 1, 128)).astype(np.float32),
        "c": rng.standard_normal((1, 1, 128)).astype(np.float32),
    }
    for one, other in zip(opened(published).run(feeds), built.run(feeds), strict=True):
        assert other.shape == one.shape
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x08\x08" * 1000])
def test_what_is_no_graph_is_a_typed_error(data: bytes) -> None:
    with pytest.raises(CheckpointInvalid):
        silero.build(silero.read_weights(data))


def test_tensors_of_another_shape_are_a_typed_error(published: bytes) -> None:
    weights = dict(silero.read_weights(published))
    weights["encoder.1.weight"] = weights["encoder.1.weight"][:, :-1]
    with pytest.raises(CheckpointInvalid, match=r"encoder\.1\.weight"):
        silero.build(weights)
    del weights["encoder.1.weight"]
    with pytest.raises(CheckpointInvalid, match=r"encoder\.1\.weight"):
        silero.build(weights)
