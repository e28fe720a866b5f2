"""The corpora, as clips with the names of who speaks.

The folder holds ``librispeech_test-other/<speaker>/*.flac``,
``librispeech_train-clean-100/*.flac`` and ``fsdd/<digit>_<speaker>_<take>.wav``.  The AMI
cuts come from ``examples/ami.py``, which fetches them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from examples.ami import clean_turns
from voiceid.evaluation.degradations import Clip

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "corpora"


def corpora_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--corpora FOLDER``."""
    parser.add_argument(
        "--corpora", type=Path, default=DEFAULT_FOLDER, help="default: ../shared/corpora"
    )


def test_other(folder: Path) -> list[Clip]:
    """Ten speakers of LibriSpeech test-other, ten utterances each."""
    return list(_librispeech(folder / "librispeech_test-other", "*/*.flac"))


def train_clean(folder: Path) -> list[Clip]:
    """251 speakers of LibriSpeech train-clean-100, one utterance each."""
    return list(_librispeech(folder / "librispeech_train-clean-100", "*.flac"))


def _librispeech(folder: Path, pattern: str) -> Iterator[Clip]:
    listing = (folder / "SPEAKERS.TXT").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in listing if line[:1] != ";"]
    sexes = {row[0]: row[1] for row in rows}
    for path in sorted(folder.glob(pattern)):
        samples, rate = soundfile.read(path, dtype="float32")
        speaker = path.name.split("-")[0]
        yield Clip(path.stem, speaker, sexes[speaker], samples, rate)


def digits(folder: Path, seconds: float, seed: int = 0) -> list[Clip]:
    """Six speakers of the Free Spoken Digit Dataset (8 kHz), digits joined to a length.

    Each digit is used once, in an order drawn by ``seed``; a clip is as short as it can be
    with at least ``seconds`` of audio.
    """
    by_speaker: dict[str, list[Path]] = {}
    for path in sorted((folder / "fsdd").glob("*.wav")):
        by_speaker.setdefault(path.stem.split("_")[1], []).append(path)
    rng = np.random.default_rng(seed)
    clips = []
    for speaker, paths in by_speaker.items():
        joined, count = np.zeros(0, np.float32), 0
        for i in rng.permutation(len(paths)):
            samples, rate = soundfile.read(paths[i], dtype="float32")
            joined = np.concatenate([joined, samples])
            if len(joined) >= seconds * rate:
                clips.append(Clip(f"{speaker}-{count}", speaker, "", joined, rate))
                joined, count = np.zeros(0, np.float32), count + 1
    return clips


def ami_turns(min_duration_s: float = 1.5) -> list[Clip]:
    """Turns of AMI meetings in which one speaker is alone; none when not fetched."""
    return [
        Clip(f"{turn.recording}-{turn.start_s}", turn.speaker, turn.speaker[:1], *turn.samples())
        for turn in clean_turns(min_duration_s=min_duration_s)
    ]
