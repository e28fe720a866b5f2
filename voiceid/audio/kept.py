"""Recordings that are kept, each as a FLAC file called by its hash.

A file holds what that hash is of: the decoded mono samples, at the rate of the source, in 24 bits.
That is exact for what had no more; lossy codecs and floats are rounded at -144 dB.  What exceeds
full scale is scaled by a power of two, not clipped.  A comment in the file has the hash of its
samples, so that damage is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from voiceid.audio.stream import pcm_header
from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid, AudioNotFound, AudioUnreadable, StoreError
from voiceid.foreign_files import opened
from voiceid.whole_files import whole_file

_BITS = 24
_LARGEST = (2 ** (_BITS - 1) - 1) / 2 ** (_BITS - 1)
_BLOCK = 1 << 18
_SPOOL_IN_MEMORY = 8 << 20
_MOST_SAMPLES_A_BYTE, _FEW_SAMPLES = 100, 1 << 24
"""FLAC takes a byte a sample for speech, and a hundredth for silence with a word in it."""
_NAME = re.compile(r"([0-9a-f]{64})\.flac")


class Tape:
    """Takes down the samples of one recording as they go by; not for several threads at once."""

    def __init__(self) -> None:
        self._file: IO[bytes] = _spool()
        self._peak = 0.0

    def __del__(self) -> None:
        self._file.close()

    def add(self, samples: Float32Array) -> None:
        """Add (n,) samples, full scale being -1 to 1."""
        if len(samples):
            self._peak = max(self._peak, float(np.abs(samples).max()))
        self._file.write(samples.astype("<f4", copy=False).tobytes())

    def clear(self) -> None:
        """Forget what was taken down."""
        self._file.close()
        self._file, self._peak = _spool(), 0.0

    def seal(self, pcm_sha256: str, rate_hz: int) -> None:
        """Write what was taken down to a FLAC file: the recording of that hash."""
        import soundfile  # noqa: PLC0415 - loaded already, unless by an array

        raw, self._file = self._file, _spool()
        with raw:
            scale = _scale(self._peak)
            note = {
                "recording": pcm_sha256,
                "scale": scale,
                "stored_sha256": _digest(_rounded(raw, scale), rate_hz),
            }
            try:
                with soundfile.SoundFile(
                    self._file, "w", rate_hz, 1, f"PCM_{_BITS}", format="FLAC"
                ) as flac:
                    flac.comment = json.dumps(note)
                    for block in _rounded(raw, scale):
                        # libsndfile would scale floats by 2^23 - 1; integers it takes as they are.
                        whole = (block.astype(np.float64) / scale * 2**31).astype(np.int32)
                        flac.write(whole)
            except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
                raise AudioInvalid(
                    f"a recording at {rate_hz} Hz cannot be kept as FLAC: {error}",
                    hint="Enrol a copy at 16 kHz or 48 kHz, or without --keep-audio.",
                ) from error

    def copy_to(self, file: IO[bytes]) -> None:
        """Write the sealed file into another."""
        self._file.seek(0)
        shutil.copyfileobj(self._file, file)


class KeptAudio:
    """A folder of kept recordings; made (0700) when the first is kept.

    Files come and go only inside a transaction that writes to the database: the holder of one may
    trust what is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, pcm_sha256: str) -> Path:
        """Return where a recording is, or would be."""
        return self.folder / f"{pcm_sha256}.flac"

    def has(self, pcm_sha256: str) -> bool:
        """Whether a recording is kept."""
        with _wrapped(f"kept audio cannot be read in {self.folder}"):
            return self.path(pcm_sha256).exists()

    def recordings(self) -> set[str]:
        """Return the hashes of all that are kept."""
        return {match[1] for name in self._names() if (match := _NAME.fullmatch(name))}

    def unfinished(self) -> bool:
        """Whether a process was killed while it wrote here, or is writing now."""
        return any(name.endswith(".tmp") for name in self._names())

    def put(self, pcm_sha256: str, tape: Tape) -> None:
        """Keep a recording, whole and on the disk, or not at all (0600); raises StoreError."""
        with _wrapped(f"the recording could not be kept in {self.folder}"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with whole_file(self.path(pcm_sha256)) as file:
                tape.copy_to(file)
            self._settle()

    def remove(self, recordings: Iterable[str]) -> None:
        """Remove recordings, and what killed processes left; raises StoreError."""
        with _wrapped(f"kept audio could not be removed from {self.folder}"):
            for pcm_sha256 in recordings:
                self.path(pcm_sha256).unlink(missing_ok=True)
            for name in self._names():
                if name.endswith(".tmp"):
                    (self.folder / name).unlink(missing_ok=True)
            self._settle()

    def source(self, pcm_sha256: str) -> tuple[Float32Array, int]:
        """Return the samples (n,) and the rate of a recording, as an audio source."""
        import soundfile  # noqa: PLC0415 - 50 ms, when one is read

        path = self.path(pcm_sha256)
        try:
            with opened(path) as file, soundfile.SoundFile(file) as flac:
                _require_density(flac.frames * flac.channels, file)
                note = json.loads(flac.comment)
                samples = flac.read(dtype="float32") * np.float32(note["scale"])
                rate_hz = int(flac.samplerate)
        except FileNotFoundError as error:
            raise AudioNotFound(f"there is no kept audio {path}", hint="Enrol again.") from error
        except (
            soundfile.SoundFileError,
            RuntimeError,
            ValueError,
            TypeError,
            LookupError,
            OSError,
        ) as error:
            raise _damaged(path) from error
        if note.get("recording") != pcm_sha256 or note.get("stored_sha256") != _digest(
            [samples], rate_hz
        ):
            raise _damaged(path)
        return samples, rate_hz

    def _names(self) -> list[str]:
        with _wrapped(f"kept audio cannot be read in {self.folder}"):
            return [path.name for path in self.folder.iterdir()] if self.folder.exists() else []

    def _settle(self) -> None:
        """Put the folder's own entries on the disk."""
        with suppress(OSError):  # a folder that is not there, or Windows
            number = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_SPOOL_IN_MEMORY)


def _scale(peak: float) -> float:
    """Return the least power of two, 1 or more, by which samples fit into full scale."""
    scale = 1.0
    while peak / scale > _LARGEST:
        scale *= 2
    return scale


def _rounded(raw: IO[bytes], scale: float) -> Iterator[Float32Array]:
    """Yield the samples as they will be read: whole steps of 24 bits, times the scale."""
    raw.seek(0)
    while data := raw.read(4 * _BLOCK):
        steps = np.frombuffer(data, dtype="<f4").astype(np.float64) / scale * 2 ** (_BITS - 1)
        yield (np.rint(steps) / 2 ** (_BITS - 1) * scale).astype(np.float32)


def _require_density(n_samples: int, file: BufferedReader) -> None:
    """Raise ValueError for more samples than speech packs into so few bytes."""
    if n_samples > max(_FEW_SAMPLES, _MOST_SAMPLES_A_BYTE * os.fstat(file.fileno()).st_size):
        raise ValueError("it unpacks to more than it can hold")


def _digest(blocks: Iterable[npt.NDArray[Any]], rate_hz: int) -> str:
    digest = hashlib.sha256(pcm_header(rate_hz))
    for block in blocks:
        digest.update((block + np.float32(0)).astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def _damaged(path: Path) -> AudioUnreadable:
    return AudioUnreadable(
        f"the kept audio {path} is damaged", hint="Remove it, and enrol the speaker again."
    )


@contextmanager
def _wrapped(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{what}: {error.strerror or error}",
            hint="Check that the disk is not full and that the folder may be written to.",
        ) from error
