"""Real speech and real models for the tests of whole paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import private_galleries
import pytest
import soundfile
from private_galleries import OpenGallery

from examples.ami import clean_turns
from voiceid import VoiceID
from voiceid.domain import DatabaseUrl

ROOT = Path(__file__).resolve().parents[2]
Clips = Callable[[str, str], list[Path]]

TOO_SHORT = {("dev00", 18.4), ("dev00", 28.384), ("trn00", 21.392), ("trn06", 6.746)}
"""Turns, by recording and start in seconds, with less than a second of speech in them."""


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """The clean turns of a speaker in a recording, as WAV files, in order of time."""
    folder = tmp_path_factory.mktemp("clips")

    def write(speaker: str, recording: str) -> list[Path]:
        paths = []
        for turn in clean_turns():
            if (turn.recording, turn.start_s) in TOO_SHORT:
                continue
            if (turn.speaker, turn.recording) == (speaker, recording):
                path = folder / f"{speaker}-{recording}-{turn.start_s:.1f}.wav"
                if not path.exists():
                    soundfile.write(path, *turn.samples())
                paths.append(path)
        return paths

    return write


@pytest.fixture(scope="session")
def shared_vid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoiceID]:
    """A VoiceID whose models are loaded once; for questions that need no gallery."""
    with VoiceID.open(tmp_path_factory.mktemp("shared"), home=ROOT) as vid:
        yield vid


@pytest.fixture
def vid(tmp_path: Path) -> Iterator[VoiceID]:
    """A VoiceID over an empty gallery."""
    with VoiceID.open(tmp_path / "data", home=ROOT) as opened:
        yield opened


@pytest.fixture(scope="session")
def silence() -> tuple[np.ndarray, int]:
    return np.zeros(16000 * 5, dtype=np.float32), 16000


@pytest.fixture(scope="module")
def opened(ami, enrolled_data: Path, models_folder: Path) -> Iterator[VoiceID]:
    """Alice and bob, enrolled; read only."""
    settings = {"models": str(models_folder), "offline": True}
    with VoiceID.open(enrolled_data, home=enrolled_data.parent, overrides=settings) as vid:
        yield vid


@pytest.fixture(scope="module")
def talk(ami) -> np.ndarray:
    """Alice, bob and a stranger, with pauses of 1.2 s."""
    noise = np.random.default_rng(0).normal(0, 1e-4, int(1.2 * 16_000)).astype(np.float32)
    turns = [ami.samples(turn) for turn in ("alice-4", "bob-3", "stranger")]
    return np.concatenate([part for turn in turns for part in (noise, turn)] + [noise])


@pytest.fixture(params=["plain", "sealed"])
def kind(request: pytest.FixtureRequest) -> str:
    """How a `gallery` is protected."""
    return str(request.param)


@pytest.fixture
def gallery(tmp_path: Path, kind: str) -> Iterator[OpenGallery]:
    """Open one gallery, with other settings each time; see `private_galleries.opened`."""
    open_ones: list[VoiceID] = []

    def open_it(database: DatabaseUrl | None = None, **settings: object) -> VoiceID:
        open_ones.append(private_galleries.opened(tmp_path, kind, database, **settings))
        return open_ones[-1]

    yield open_it
    for vid in open_ones:
        vid.close()
