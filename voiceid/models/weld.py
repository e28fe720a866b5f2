"""Welds a front end onto a network: waveform in, unit-length embedding or score out, one graph.

Graphs of our own come before and after the network.  The older graph is converted to the newer
version of ONNX's operators, and then they are joined.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array
from voiceid.errors import CheckpointInvalid
from voiceid.models.cards import Windowing
from voiceid.models.frontends import HOP, FrontEnd, of_length
from voiceid.models.graph import OPSET, Graph
from voiceid.models.network import Network, at_opset, fixed_samples, opset_of
from voiceid.models.runtime import Session
from voiceid.models.windows import Windows

_PREFIX = "network/"


def weld(network: Network, front_end: FrontEnd, windowing: Windowing, dim: int, name: str) -> bytes:
    """Return the ONNX file: ``waveform`` (N, samples) to ``embedding`` (N, dim), unit length."""
    return _joined(network, _around(front_end, windowing, dim), front_end, name)


def weld_score(network: Network, front_end: FrontEnd, name: str) -> bytes:
    """Return the ONNX file of a countermeasure: ``waveform`` (N, samples) to ``score`` (N,)."""
    import onnx  # noqa: PLC0415 - once per model that is added

    graph = Graph("around")
    features = front_end.arrange(graph, front_end.add(graph, "waveform"))
    score = graph.op("Reshape", "vectors", graph.ints(-1))
    samples = fixed_samples(network.input_shape) or "samples"
    data = graph.serialize(
        {"waveform": ["N", samples], "vectors": ["n", 1]},
        {"score": (score, ["N"]), "features": (features, front_end.takes)},
    )
    return _joined(network, onnx.load_model_from_string(data), front_end, name)


def _joined(network: Network, around: Any, front_end: FrontEnd, name: str) -> bytes:
    """Return the ONNX file of a network between the two ends of what stands around it."""
    import onnx  # noqa: PLC0415 - once per model that is added
    from onnx import compose  # noqa: PLC0415 - as above

    opset = max(OPSET, opset_of(network.model))
    around = at_opset(around, opset, name)
    inner = compose.add_prefix(at_opset(network.model, opset, name), _PREFIX)
    _rename(inner.graph, _PREFIX + network.input, "features")
    _rename(around.graph, "vectors", _PREFIX + network.output)
    graph = around.graph
    nodes = _in_order([*graph.node, *inner.graph.node])
    del graph.node[:], graph.value_info[:], graph.input[1:], graph.output[1:]
    graph.node.extend(nodes)
    graph.initializer.extend(inner.graph.initializer)
    graph.sparse_initializer.extend(inner.graph.sparse_initializer)
    graph.name = "welded"
    around.ir_version = max(around.ir_version, inner.ir_version)
    try:
        onnx.checker.check_model(around)
    except Exception as error:
        raise CheckpointInvalid(
            f"{name} and the front end {front_end.kind} do not go together: {error}",
            hint="Choose the front end that the network was trained with: --frontend.",
        ) from error
    return bytes(around.SerializeToString(deterministic=True))


def answer_apart(
    network: Network, front_end: FrontEnd, windowing: Windowing, samples: Float32Array
) -> Float32Array:
    """Return the network's own answer to samples (n,) at 16 kHz, -1 to 1: (dim,), unit length.

    What the welded graph must reproduce: the front end runs by itself, and windows are cut, and
    their vectors averaged, here and not in the graph.
    """
    itself = _alone(network, front_end)
    vectors = []
    for part in _features(front_end, samples, windowing):
        [vector] = itself.run({network.input: part})
        if vector.ndim != 2 or len(vector) != 1 or not np.all(np.isfinite(vector)):  # noqa: PLR2004
            raise CheckpointInvalid(
                f"the network gives {_what(vector)} for {len(samples) / 16000:g} s of audio, and"
                " must give one vector of finite numbers",
                hint="See that --frontend is the one that it was trained with.",
            )
        vectors.append(vector[0])
    try:
        return unit(np.mean([unit(vector) for vector in vectors], axis=0))
    except ValueError as error:
        raise CheckpointInvalid(
            f"the vector of the network for {len(samples) / 16000:g} s of audio is of no use:"
            f" {error}",
            hint="See that --frontend is the one that it was trained with.",
        ) from error


def score_apart(network: Network, front_end: FrontEnd, samples: Float32Array) -> float:
    """Return the score that a countermeasure itself gives samples (n,) at 16 kHz, -1 to 1."""
    itself = _alone(network, front_end)
    fitting = of_length(samples, fixed_samples(network.input_shape))
    [features] = _features(front_end, fitting, Windowing())
    [score] = itself.run({network.input: features})
    if score.size != 1 or not np.all(np.isfinite(score)):
        raise CheckpointInvalid(
            f"the network gives {_what(score)} for {len(samples) / 16000:g} s of audio, and must"
            " give one finite score, higher for bona fide speech",
            hint="Of two classes, export the logit of bona fide minus that of attack.",
        )
    return float(score.item())


def _alone(network: Network, front_end: FrontEnd) -> Session:
    return Session.of_bytes(
        network.model.SerializeToString(),
        "the network",
        inputs={network.input: len(front_end.takes)},
        outputs=[network.output],
    )


def first_frames(n_samples: int, windowing: Windowing) -> list[int]:
    """Return the first frame of each window of a clip: the rule of `Windows`, step by step."""
    window, step = windowing.window_frames, windowing.step_frames
    starts = [0]
    while starts[-1] + window <= n_samples // HOP + 1:
        starts.append(starts[-1] + step)
    audio = n_samples - starts[-1] * HOP
    if len(starts) > 1 and audio < windowing.min_coverage * window * HOP:
        del starts[-1]
    return starts


def _what(vector: Float32Array) -> str:
    finite = "" if np.all(np.isfinite(vector)) else ", not all finite"
    return f"an array of shape {vector.shape}{finite}"


def _features(
    front_end: FrontEnd, samples: Float32Array, windowing: Windowing
) -> list[Float32Array]:
    """Return what the network takes of a clip, see `FrontEnd.takes`: an array for each window."""
    graph = Graph("front_end")
    added = front_end.arrange(graph, front_end.add(graph, "waveform"))
    data = graph.serialize({"waveform": ["N", "samples"]}, {"features": (added, front_end.takes)})
    session = Session.of_bytes(data, "it", inputs={"waveform": 2}, outputs=["features"])
    window = windowing.window_frames
    [features] = session.run({"waveform": np.pad(samples, (0, window * HOP))[None]})
    if not window:
        return [features]
    return [features[:, at : at + window] for at in first_frames(len(samples), windowing)]


def _around(front_end: FrontEnd, windowing: Windowing, dim: int) -> Any:
    """Return what stands around the network, which takes ``features`` and gives ``vectors``."""
    import onnx  # noqa: PLC0415 - once per model that is added

    graph = Graph("around")
    if windowing.window_frames:
        windows = Windows(graph, windowing)
        cut = windows.cut(front_end.add(graph, windows.padded))
        features = graph.op("Transpose", cut, perm=[0, 2, 3, 1])
        size = graph.ints(-1, windowing.window_frames, front_end.bins)
        features = graph.op("Reshape", features, size)
        embedding = windows.mean("vectors", dim)
    else:
        features = front_end.arrange(graph, front_end.add(graph, "waveform"))
        embedding = graph.unit_length("vectors")
    return onnx.load_model_from_string(
        graph.serialize(
            {"waveform": ["N", "samples"], "vectors": ["n", dim]},
            {"embedding": (embedding, ["N", dim]), "features": (features, front_end.takes)},
        )
    )


def _rename(graph: Any, old: str, new: str) -> None:
    """Give a value of a graph another name wherever it is used."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def _in_order(nodes: list[Any]) -> list[Any]:
    """Return the nodes so that each stands behind those whose outputs it takes."""
    made_later = {name for node in nodes for name in node.output if name}
    ordered: list[Any] = []
    while nodes:
        waiting = []
        for node in nodes:
            if made_later.intersection(node.input):
                waiting.append(node)
            else:
                ordered.append(node)
                made_later.difference_update(node.output)
        nodes = waiting
    return ordered
