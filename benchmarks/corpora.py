"""The corpora, as clips with the names of who speaks.

The folder holds ``librispeech_test-other/<speaker>/*.flac``,
``librispeech_train-clean-100/*.flac`` and ``fsdd/<digit>_<speaker>_<take>.wav``.  The AMI
cuts come from ``examples/ami.py``, which fetches them.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
import numpy.typing as npt
import soundfile

from examples.ami import clean_turns

Samples: TypeAlias = npt.NDArray[np.float32]

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "corpora"


@dataclass(frozen=True, slots=True)
class Coding:
    """A lossy codec of libsndfile; ``compression_level`` runs from 0 (most bits) to 1.

    None is for codecs of one rate.
    """

    format: str
    subtype: str
    compression_level: float | None = None

    def encode(self, samples: Samples, rate_hz: int) -> bytes:
        """Return the file that the codec writes."""
        file = io.BytesIO()
        soundfile.write(file, samples, rate_hz, **asdict(self))
        return file.getvalue()


@dataclass(frozen=True, slots=True)
class Amr:
    """The narrowband codec of mobile telephones, 3GPP TS 26.071, by PyAV; 8 kHz only."""

    bit_rate: int

    def encode(self, samples: Samples, rate_hz: int) -> bytes:
        """Return the file that the codec writes."""
        pcm = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
        file = io.BytesIO()
        with av.open(file, "w", format="amr") as container:
            stream = container.add_stream("libopencore_amrnb", rate=rate_hz, layout="mono")
            stream.bit_rate = self.bit_rate
            frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
            frame.sample_rate = rate_hz
            for part in (frame, None):
                container.mux(stream.encode(part))
        return file.getvalue()


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A piece of one speaker's speech.

    Parameters
    ----------
    recording : str
        What it was taken from: two clips of one recording share words and noise.
    speaker : str
    sex : str
        ``F``, ``M``, or empty when the corpus does not say.
    samples : (n,) float32, in [-1, 1]
    rate_hz : int
    coding : Coding, Amr or None
        How the samples are compressed on their way; None: not at all.
    """

    recording: str
    speaker: str
    sex: str
    samples: Samples
    rate_hz: int
    coding: Coding | Amr | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz

    @property
    def source(self) -> bytes | tuple[Samples, int]:
        """What the product is given: a file's bytes, or samples and rate."""
        if self.coding is None:
            return self.samples, self.rate_hz
        return self.coding.encode(self.samples, self.rate_hz)


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


def cut(clip: Clip, seconds: float, place: float = 0.5) -> Clip:
    """Return ``seconds`` of a clip; ``place`` 0 is its start, 1 its end.  Shorter ones whole."""
    wanted = round(seconds * clip.rate_hz)
    start = round(max(len(clip.samples) - wanted, 0) * place)
    return replace(clip, samples=clip.samples[start : start + wanted])


def split(clip: Clip, parts: int) -> list[Clip]:
    """Return a clip in ``parts`` pieces of one length, each a recording of its own name."""
    pieces = np.array_split(clip.samples, parts)
    return [
        replace(clip, recording=f"{clip.recording}/{i}", samples=piece)
        for i, piece in enumerate(pieces)
    ]
