"""The peers that voiceid is measured against, set up in an environment of their own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from benchmarks.voices import model_store
from voiceid.models.campplus import DIM, _Network
from voiceid.models.checkpoint import read_checkpoint
from voiceid.models.fetch import fetch_member
from voiceid.models.graph import Graph, Weights

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-peers"
EXPORT = ROOT / "data" / "bench" / "campplus-features-in.onnx"
RESEMBLYZER = "resemblyzer==0.1.4"

SHERPA_METADATA = {
    "framework": "3d-speaker",
    "language": "zh-en",
    "output_dim": str(DIM),
    "sample_rate": "16000",
    "normalize_samples": "1",
    "feature_normalize_type": "global-mean",
}
"""Metadata of sherpa-onnx in an export: samples in [-1, 1], the mean over time removed."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The interpreter of the peers' environment, and the same CAM++ weights for sherpa-onnx."""

    python: Path
    sherpa_model: Path


def set_up() -> Peers:
    """Return the peers; what is missing is installed and built, which takes a minute."""
    python = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    requirements = Path(__file__).with_name("peers.txt")
    wanted = requirements.read_text(encoding="utf-8") + RESEMBLYZER
    stamp = ENVIRONMENT / ".installed"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print("installing the peers into .venv-peers", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "--requirement", requirements], check=True)
        subprocess.run([*pip, "--no-deps", RESEMBLYZER], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    if not EXPORT.is_file():
        _export(EXPORT)
    return Peers(python, EXPORT)


def _export(path: Path) -> None:
    """Write CAM++ as the network alone, as sherpa-onnx takes it."""
    print("building CAM++ without its front end", file=sys.stderr)
    card = model_store().card("campplus")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = fetch_member(card, Path(folder), lambda *_: None)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = onnx.load_from_string(features_in(read_checkpoint(checkpoint, name=card.name)))
    onnx.helper.set_model_props(model, SHERPA_METADATA)
    path.write_bytes(model.SerializeToString(deterministic=True))


def features_in(weights: Weights) -> bytes:
    """Return the network alone: ``x`` (N, frames, 80) mean-free features to ``embedding``.

    Not scaled to unit length: the form in which other toolkits take such a network.
    """
    graph = Graph("campplus")
    network = _Network(graph, weights)
    embedding = network.embedding(network.frames(graph.op("Transpose", "x", perm=[0, 2, 1])))
    return graph.serialize({"x": ["N", "T", 80]}, {"embedding": (embedding, ["N", DIM])})
