"""The CAM++ graph is the published network, however its normalisations are folded."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from networks import embed, weights

from benchmarks.peers import features_in
from voiceid.errors import CheckpointInvalid
from voiceid.models import campplus
from voiceid.models.runtime import Session


def norm(w: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """Batch normalisation of (channels, ...) as it is defined, with nothing folded."""
    wide = (-1, *(1,) * (x.ndim - 1))
    mean, variance = (w[f"{name}.running_{what}"].reshape(wide) for what in ("mean", "var"))
    scaled = (x - mean) / np.sqrt(variance + 1e-5)
    if f"{name}.weight" in w:
        scaled = scaled * w[f"{name}.weight"].reshape(wide) + w[f"{name}.bias"].reshape(wide)
    return scaled


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def conv1d(x: np.ndarray, weight: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
    pad = dilation * (weight.shape[2] // 2)
    padded = np.pad(x, ((0, 0), (pad, pad)))
    frames = (x.shape[1] - 1) // stride + 1
    taps = [padded[:, k * dilation :][:, : x.shape[1]] for k in range(weight.shape[2])]
    full = sum(weight[:, :, k] @ tap for k, tap in enumerate(taps))
    return full[:, ::stride][:, :frames]


def conv2d(x: np.ndarray, weight: np.ndarray, stride: int = 1) -> np.ndarray:
    """(channels, frequency, time), striding along frequency."""
    pad = weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    _, high, wide = x.shape
    full = sum(
        np.einsum("oc,cht->oht", weight[:, :, i, j], padded[:, i : i + high, j : j + wide])
        for i in range(weight.shape[2])
        for j in range(weight.shape[3])
    )
    return full[:, ::stride]


def residual(w: dict[str, np.ndarray], x: np.ndarray, name: str, stride: int) -> np.ndarray:
    inner = relu(norm(w, f"{name}.bn1", conv2d(x, w[f"{name}.conv1.weight"], stride)))
    inner = norm(w, f"{name}.bn2", conv2d(inner, w[f"{name}.conv2.weight"]))
    if stride > 1:
        shrunk = conv2d(x, w[f"{name}.shortcut.0.weight"], stride)
        x = norm(w, f"{name}.shortcut.1", shrunk)
    return relu(inner + x)


def dense(w: dict[str, np.ndarray], x: np.ndarray, name: str, dilation: int) -> np.ndarray:
    x = conv1d(relu(norm(w, f"{name}.nonlinear1.batchnorm", x)), w[f"{name}.linear1.weight"])
    x = relu(norm(w, f"{name}.nonlinear2.batchnorm", x))
    cam = f"{name}.cam_layer"
    local = conv1d(x, w[f"{cam}.linear_local.weight"], dilation=dilation)
    context = x.mean(axis=1, keepdims=True) + np.concatenate(
        [
            np.repeat(part.mean(axis=1, keepdims=True), part.shape[1], axis=1)
            for part in np.split(x, range(100, x.shape[1], 100), axis=1)
        ],
        axis=1,
    )
    context = relu(conv1d(context, w[f"{cam}.linear1.weight"]) + w[f"{cam}.linear1.bias"][:, None])
    gate = conv1d(context, w[f"{cam}.linear2.weight"]) + w[f"{cam}.linear2.bias"][:, None]
    return local / (1 + np.exp(-gate))


def by_hand(tensors: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """(frames, 80) -> (192,): the layers of the paper, one after the other."""
    w = {key: value.astype("f8") for key, value in tensors.items()}
    x = features.T[None].astype("f8")
    x = relu(norm(w, "head.bn1", conv2d(x, w["head.conv1.weight"])))
    for stage in ("head.layer1", "head.layer2"):
        x = residual(w, residual(w, x, f"{stage}.0", 2), f"{stage}.1", 1)
    x = relu(norm(w, "head.bn2", conv2d(x, w["head.conv2.weight"], 2))).reshape(320, -1)
    x = conv1d(x, w["xvector.tdnn.linear.weight"], stride=2)
    x = relu(norm(w, "xvector.tdnn.nonlinear.batchnorm", x))
    for block, (layers, dilation) in enumerate(((12, 1), (24, 2), (16, 2)), start=1):
        for layer in range(1, layers + 1):
            new = dense(w, x, f"xvector.block{block}.tdnnd{layer}", dilation)
            x = np.concatenate([x, new])
        transit = f"xvector.transit{block}"
        x = relu(norm(w, f"{transit}.nonlinear.batchnorm", x))
        x = conv1d(x, w[f"{transit}.linear.weight"])
    x = relu(norm(w, "xvector.out_nonlinear.batchnorm", x))
    pooled = np.concatenate([x.mean(axis=1), x.std(axis=1, ddof=1)])
    vector = w["xvector.dense.linear.weight"][:, :, 0] @ pooled
    return norm(w, "xvector.dense.nonlinear.batchnorm", vector)


@pytest.mark.parametrize("frames", [8, 199, 200, 201, 430])
def test_the_graph_is_the_paper_layer_by_layer(frames: int) -> None:
    """Around 200 frames the second context segment begins (the network halves the rate).

    Half of the scales of the random normalisations are negative, on purpose.
    """
    tensors = weights("campplus", seed=frames)
    features = np.random.default_rng(frames).normal(0, 1, (frames, 80)).astype("f4")
    graph = features_in(tensors)
    session = Session.of_bytes(graph, "campplus", inputs={"x": 3}, outputs=["embedding"])
    [[found]] = session.run({"x": features[None]})
    expected = by_hand(tensors, features)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_clips_of_a_batch_are_embedded_as_if_alone() -> None:
    graph = campplus.build(weights("campplus"))
    batch = np.random.default_rng(2).normal(0, 0.1, (3, 33_000)).astype("f4")
    alone = np.concatenate([embed(graph, clip[None]) for clip in batch])
    np.testing.assert_allclose(embed(graph, batch), alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1.0, rtol=1e-5)


def test_only_the_normalisations_before_a_convolution_are_left_in_the_graph() -> None:
    model = onnx.load_from_string(campplus.build(weights("campplus")))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("BatchNormalization") == 12 + 24 + 16 + 3  # a dense layer, a transit each
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            [behind] = [other for other in model.graph.node if node.output[0] in other.input]
            assert behind.op_type == "Relu"


def test_builds_are_the_same_to_the_byte() -> None:
    assert campplus.build(weights("campplus")) == campplus.build(weights("campplus"))


def test_a_checkpoint_of_another_network_is_refused() -> None:
    with pytest.raises(CheckpointInvalid, match="no tensor"):
        campplus.build(weights("ge2e"))
    tensors = weights("campplus")
    tensors["xvector.dense.linear.weight"] = np.zeros((192, 512, 1), "f4")
    with pytest.raises(CheckpointInvalid, match=r"expected \(192, 1024, 1\)"):
        campplus.build(tensors)
