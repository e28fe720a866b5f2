"""The corpora, as clips with the names of who speaks.

The folder holds ``librispeech_test-other/<speaker>/*.flac``,
``librispeech_train-clean-100/*.flac`` and ``fsdd/<digit>_<speaker>_<take>.wav``.  The AMI
cuts come from ``examples/ami.py``, which fetches them.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

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
    coding : Coding or None
        How the samples are compressed on their way; None: not at all.
    """

    recording: str
    speaker: str
    sex: str
    samples: Samples
    rate_hz: int
    coding: Coding | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz

    @property
    def source(self) -> bytes | tuple[Samples, int]:
        """What the product is given: a file's bytes, or samples and rate."""
        if self.coding is None:
            return self.samples, self.rate_hz
        file = io.BytesIO()
        soundfile.write(file, self.samples, self.rate_hz, **asdict(self.coding))
        return file.getvalue()


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


def narrowband(clip: Clip) -> Clip:
    """Return the clip as a telephone's rate leaves it: 8 kHz, then upsampled again."""
    low = soxr.resample(clip.samples, clip.rate_hz, 8000)
    return replace(clip, samples=soxr.resample(low, 8000, clip.rate_hz).astype(np.float32))


def telephone(clip: Clip, coding: Coding) -> Clip:
    """Return the clip at 8 kHz with a coding, as a call's recording would be handed over."""
    low = soxr.resample(clip.samples, clip.rate_hz, 8000).astype(np.float32)
    return replace(clip, samples=low, rate_hz=8000, coding=coding)


def noisy(clip: Clip, snr_db: float) -> Clip:
    """Return the clip with pink noise at a signal-to-noise ratio over the whole clip."""
    rng = np.random.default_rng(len(clip.samples))
    spectrum = np.fft.rfft(rng.standard_normal(len(clip.samples)))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))
    noise = np.fft.irfft(spectrum, len(clip.samples))
    gain = np.sqrt(np.mean(clip.samples**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    mixed = clip.samples + gain * noise
    peak = max(1.0, float(np.max(np.abs(mixed))))  # louder, but not clipped
    return replace(clip, samples=(mixed / peak).astype(np.float32))


def compressed(clip: Clip, coding: Coding) -> Clip:
    """Return the clip with a coding, which is applied when the clip is listened to."""
    return replace(clip, coding=coding)


CONDITIONS: Mapping[str, Callable[[Clip], Clip]] = {
    "clean": lambda clip: clip,
    "8 kHz": narrowband,
    "mp3 33 kbit/s": partial(compressed, coding=Coding("MP3", "MPEG_LAYER_III", 0.5)),
    "opus 20 kbit/s": partial(compressed, coding=Coding("OGG", "OPUS", 0.95)),
    "noise 20 dB": partial(noisy, snr_db=20.0),
    "noise 10 dB": partial(noisy, snr_db=10.0),
}
"""What can happen to a clip on its way, by name."""
