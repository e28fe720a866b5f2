"""Fixtures of every test: the repository, real speech, real models, an enrolled home.

The speech is what `make` fetches into ``data/ami``: cuts of AMI meetings (CC BY 4.0), with
the speakers as its RTTM labels give them.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import process_memory
import pytest
import soundfile
from hypothesis import settings
from postgres_server import Databases, databases, memory

import voiceid
from voiceid.domain import DatabaseUrl
from voiceid.models.cards import load_cards, shipped_cards_folder
from voiceid.models.fetch import fetch_member

REPO = Path(__file__).resolve().parents[1]

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")
process_memory.remember()
if "TMPDIR" not in os.environ and (in_memory := memory()):
    os.environ["TMPDIR"] = str(in_memory)  # flushes take a seventh of the time of many tests
    tempfile.tempdir = None  # it is asked for again


def pytest_collection_finish() -> None:
    """Leave the thousands of tests out of each later search for garbage, and search seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


TURNS = {
    "alice-1": ("trn06", 0, 56_448),
    "alice-2": ("trn06", 216_384, 348_784),
    "alice-3": ("trn09", 96_720, 205_712),
    "alice-4": ("trn09", 291_584, 399_872),
    "bob-1": ("dev00", 23_040, 116_736),
    "bob-2": ("dev00", 116_736, 210_432),
    "bob-3": ("dev01", 112_384, 188_416),
    "carol-1": ("dev00", 212_992, 270_752),
    "carol-2": ("dev01", 68_864, 108_032),
    "stranger": ("tst00", 250_000, 304_096),
}
"""Turns of one speaker alone: recording, first and last sample at 16 kHz.

alice is FEE083, bob MEE009, carol MEE012, the stranger FEO072: somebody of another meeting.
"""


@dataclass(frozen=True)
class Ami:
    """Cuts clips out of the AMI recordings."""

    folder: Path

    def samples(self, turn: str) -> np.ndarray:
        """Return a turn of `TURNS` as (n,) float32 at 16 kHz."""
        recording, start, stop = TURNS[turn]
        path = self.folder / f"{recording}.wav"
        samples, rate = soundfile.read(path, start=start, stop=stop, dtype="float32")
        assert rate == 16_000
        return samples

    def cut(self, turn: str, path: Path) -> Path:
        """Write a turn as an audio file of the format that the name of ``path`` says."""
        soundfile.write(path, self.samples(turn), 16_000)
        return path


@pytest.fixture
def from_scratch() -> Iterator[None]:
    """Nothing in this test comes out of `process_memory`."""
    with process_memory.from_scratch():
        yield


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def ami() -> Ami:
    folder = REPO / "data" / "ami"
    if not (folder / "trn06.wav").is_file():
        pytest.fail(f"the test recordings are not in {folder}: `make test` fetches them")
    return Ami(folder)


@pytest.fixture(scope="session")
def models_folder() -> Path:
    folder = REPO / "models"
    for name in ("campplus", "campplus-int8", "ge2e", "segmentation", "silero-vad"):
        if not (folder / f"{name}.onnx").is_file():
            pytest.fail(f"{name} is not in {folder}: `make test` builds it")
    return folder


@pytest.fixture(scope="session")
def silero_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Silero's published graph, taken out of its package as an install does."""
    folder = tmp_path_factory.mktemp("silero")
    card = load_cards(shipped_cards_folder())["silero-vad"]
    path = folder / "silero_vad_16k_sequence.onnx"
    path.write_bytes(fetch_member(card, folder, lambda *_: None))
    return path


@pytest.fixture(scope="session")
def enrolled_data(ami: Ami, models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which alice and bob are enrolled; copy it, do not write to it."""
    home = tmp_path_factory.mktemp("enrolled")
    clips = {turn: ami.cut(turn, home / f"{turn}.wav") for turn in TURNS}
    settings = {"models": str(models_folder), "offline": True}
    with voiceid.VoiceID.open(home / "data", home=home, overrides=settings) as vid:
        vid.enroll("alice", [clips["alice-1"], clips["alice-2"]])
        vid.enroll("bob", [clips["bob-1"], clips["bob-2"]])
    return home / "data"


@pytest.fixture
def home(
    enrolled_data: Path, models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home of this test's own with alice and bob enrolled, set up as the working folder."""
    folder = tmp_path / "home"
    shutil.copytree(enrolled_data, folder / "data")
    _work_in(folder, models_folder, monkeypatch)
    return folder


@pytest.fixture
def empty_home(models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which no speaker is enrolled, set up as the working folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    _work_in(folder, models_folder, monkeypatch)
    return folder


def _work_in(folder: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VOICEID_HOME", str(folder))
    monkeypatch.setenv("VOICEID_MODELS", str(models))
    monkeypatch.setenv("VOICEID_OFFLINE", "true")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """A PostgreSQL server, started when a test first asks for it."""
    with databases() as made:
        yield made


NewDatabase = Callable[[str], Path | DatabaseUrl]


@pytest.fixture
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Make an empty database of a kind: ``sqlite`` or ``postgresql``."""
    dropped: list[Callable[[], None]] = []

    def make(kind: str) -> Path | DatabaseUrl:
        if kind == "sqlite":
            return tmp_path / "voices.sqlite3"
        server: Databases = request.getfixturevalue("postgres")
        url = server.migrated()
        dropped.append(lambda: server.drop(url))
        return url

    yield make
    for drop in dropped:
        drop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, new_database: NewDatabase) -> Path | DatabaseUrl:
    """Where a database may be: each test runs on both kinds."""
    return new_database(request.param)
