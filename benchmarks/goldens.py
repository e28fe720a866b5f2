"""How close the built models and front ends are to independent implementations.

    python -m benchmarks.goldens [--goldens FOLDER]

The folder holds ``encoders.npz`` and ``encoders.json``: 24 clips of LibriSpeech and AMI with
the embeddings of the published networks, and the features of the first.  `make test` checks
the 14 that need no corpora.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.corpora import DEFAULT_FOLDER
from benchmarks.tables import markdown
from benchmarks.voices import Hearing, open_encoder
from examples.ami import wav_of
from voiceid.domain import Float32Array
from voiceid.models.frontends import ge2e_mel_40, kaldi_fbank_80, redimnet_mel_72
from voiceid.models.graph import Graph
from voiceid.models.runtime import Session

MIN_COSINE = 0.99999
MAX_FEATURE_ERROR = 1e-3


def clips(folder: Path) -> list[Float32Array]:
    """Return the clips in the order of the goldens."""
    found = []
    for entry in json.loads((folder / "encoders.json").read_text(encoding="utf-8")):
        kind, _, name = entry["source"].partition("/")
        inside = wav_of(Path(name).stem) if kind == "ami" else _corpus(folder) / entry["source"]
        start, stop = entry["start_sample"], entry["end_sample"]
        samples, rate = soundfile.read(inside, start=start, stop=stop, dtype="float32")
        if rate != 16_000:
            raise ValueError(f"{inside} is not of 16 kHz")
        found.append(samples)
    return found


def _corpus(folder: Path) -> Path:
    return folder.parent / "corpora"


def features(
    samples: Float32Array, front_end: Callable[[Graph, str], str], mels: int
) -> Float32Array:
    """Return (frames, mels) of a front end alone."""
    graph = Graph("features")
    data = graph.serialize(
        {"waveform": ["N", "samples"]},
        {"features": (front_end(graph, "waveform"), ["N", mels, "frames"])},
    )
    session = Session.of_bytes(data, "features", inputs={"waveform": 2}, outputs=["features"])
    [[found]] = session.run({"waveform": samples[None]})
    return np.asarray(found.T, dtype=np.float32)


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--goldens", type=Path, default=DEFAULT_FOLDER.parent / "goldens")
    folder = parser.parse_args().goldens
    with np.load(folder / "encoders.npz") as stored:
        goldens: dict[str, Float32Array] = dict(stored)
    heard, rows = clips(folder), []
    for model in ("campplus", "ge2e"):
        encoder = open_encoder(Hearing(model)).raw
        cosines = [
            float(encoder.embed(clip).vector.astype(np.float64) @ golden)
            for clip, golden in zip(heard, goldens[model], strict=True)
        ]
        verdict = "pass" if min(cosines) >= MIN_COSINE else "miss"
        what = f"{model}: least cosine over {len(cosines)} clips"
        rows.append([what, f"at least {MIN_COSINE}", f"{min(cosines):.7f}", verdict])
    for name, front_end, mels in (
        ("kaldi_fbank80_first100", kaldi_fbank_80, 80),
        ("ge2e_mel40_first100", ge2e_mel_40, 40),
        ("redimnet_mel72_first100", redimnet_mel_72, 72),
    ):
        error = float(np.max(np.abs(features(heard[0], front_end, mels)[:100] - goldens[name])))
        verdict = "pass" if error <= MAX_FEATURE_ERROR else "miss"
        rows.append(
            [f"{name}: largest error", f"at most {MAX_FEATURE_ERROR}", f"{error:.1e}", verdict]
        )
    print(markdown("Against independent implementations", ["what", "target", "measured", ""], rows))


if __name__ == "__main__":
    main()
