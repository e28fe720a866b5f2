"""Recordings that are kept, each as a FLAC file named by its hash.

A file holds what that hash is of: the decoded mono samples, at the rate of the source, in 24 bits.
That is exact for 24 bits or less; lossy codecs and floats are rounded at -144 dB.  Samples over
full scale are scaled by a power of two, not clipped.  A comment in the file has the hash of its
samples, so that damage is noticed.  In a sealed gallery the file is sealed, and named by the keyed
hash by which the database finds the recording.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from voiceid.audio.stream import pcm_header
from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid, AudioNotFound, AudioUnreadable, StoreError
from voiceid.foreign_files import opened
from voiceid.protection import SealBroken, SealedSpool, Vault
from voiceid.whole_files import whole_file

_BITS = 24
_LARGEST = (2 ** (_BITS - 1) - 1) / 2 ** (_BITS - 1)
_BLOCK = 1 << 18
_SPOOL_IN_MEMORY = 8 << 20
_MOST_SAMPLES_A_BYTE, _FEW_SAMPLES = 100, 1 << 24
"""FLAC takes a byte a sample for speech, and a hundredth for silence with a word in it."""
_NAME = re.compile(r"([0-9a-f]{64})\.(flac|sealed)")
_PLAIN, _SEALED = "flac", "sealed"


class Tape:
    """Records the samples of one recording as they pass; for one thread."""

    def __init__(self) -> None:
        self._spool = SealedSpool(_SPOOL_IN_MEMORY)
        self._peak = 0.0

    def __del__(self) -> None:
        self._spool.close()

    def add(self, samples: Float32Array) -> None:
        """Add (n,) samples, full scale being -1 to 1."""
        if len(samples):
            self._peak = max(self._peak, float(np.abs(samples).max()))
        self._spool.write(samples.astype("<f4", copy=False).tobytes())

    def clear(self) -> None:
        """Forget the samples."""
        self._spool.close()
        self._spool, self._peak = SealedSpool(_SPOOL_IN_MEMORY), 0.0

    def seal(self, pcm_sha256: str, rate_hz: int) -> None:
        """Write the samples to a FLAC file: the recording of that hash."""
        import soundfile  # noqa: PLC0415 - loaded already, unless by an array

        made, spool = io.BytesIO(), SealedSpool(_SPOOL_IN_MEMORY)
        with self._spool.written() as raw:
            scale = _scale(self._peak)
            note = {
                "recording": pcm_sha256,
                "scale": scale,
                "stored_sha256": _digest(_rounded(raw, scale), rate_hz),
            }
            try:
                with soundfile.SoundFile(
                    made, "w", rate_hz, 1, f"PCM_{_BITS}", format="FLAC"
                ) as flac:
                    flac.comment = json.dumps(note)
                    for block in _rounded(raw, scale):
                        # libsndfile would scale floats by 2^23 - 1; it takes integers as they are.
                        whole = (block.astype(np.float64) / scale * 2**31).astype(np.int32)
                        flac.write(whole)
            except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
                raise AudioInvalid(
                    f"a recording at {rate_hz} Hz cannot be kept as FLAC: {error}",
                    hint="Enrol a copy at 16 kHz or 48 kHz, or without --keep-audio.",
                ) from error
        spool.write(made.getvalue())
        self._spool = spool

    def content(self) -> bytes:
        """Return the bytes of the FLAC file that :meth:`seal` wrote."""
        return self._spool.written().read()


class KeptAudio:
    """A folder of kept recordings; made (0700) when the first is kept.

    Files are added and removed only inside a transaction that writes to the database, so inside
    one the files do not change.
    """

    def __init__(self, folder: Path, sealing: Callable[[], Vault | None] = lambda: None) -> None:
        self.folder, self._sealing = folder, sealing

    def path(self, pcm_sha256: str) -> Path:
        """Return where a recording is, or would be."""
        return self._path(pcm_sha256, self._sealing())

    def _path(self, pcm_sha256: str, vault: Vault | None) -> Path:
        if vault is None:
            return self.folder / f"{pcm_sha256}.{_PLAIN}"
        return self.folder / f"{vault.recording(pcm_sha256)}.{_SEALED}"

    def has(self, pcm_sha256: str) -> bool:
        """Whether a recording is kept."""
        with _wrapped(f"kept audio cannot be read in {self.folder}"):
            return self.path(pcm_sha256).exists()

    def recordings(self) -> set[str]:
        """Return the hashes of all that are kept, as the database stores them."""
        return self._stems(_PLAIN if self._sealing() is None else _SEALED)

    def stored_hash(self, pcm_sha256: str) -> str:
        """Return the hash of a recording as the database stores it."""
        vault = self._sealing()
        return pcm_sha256 if vault is None else vault.recording(pcm_sha256)

    def unfinished(self) -> bool:
        """Whether a process was killed while it wrote here, or is writing now.

        Or while the protection of the gallery was changed: then files of the other form are left.
        """
        return any(name.endswith(".tmp") for name in self._names()) or bool(self._others())

    def _stems(self, form: str) -> set[str]:
        matches = map(_NAME.fullmatch, self._names())
        return {match[1] for match in matches if match and match[2] == form}

    def _others(self) -> list[Path]:
        """Return the files of the form that this gallery does not have."""
        form = _SEALED if self._sealing() is None else _PLAIN
        return [self.folder / f"{stem}.{form}" for stem in self._stems(form)]

    def bring_over(self, was: Vault | None, now: Vault | None) -> None:
        """Write every recording in the form of another protection, beside the old files.

        :meth:`remove` removes the old files, after the database has changed.
        """
        with _wrapped(f"the recordings could not be kept in {self.folder}"):
            for stem in self._stems(_PLAIN if was is None else _SEALED):
                path = self.folder / f"{stem}.{_PLAIN if was is None else _SEALED}"
                content = _content(path, was)
                pcm_sha256 = stem if was is None else _recording_of(content, path)
                with whole_file(self._path(pcm_sha256, now)) as file:
                    _write(file, content, self._path(pcm_sha256, now), now)
            self._settle()

    def put(self, pcm_sha256: str, tape: Tape) -> None:
        """Keep a recording, whole and on the disk, or not at all (0600); raises StoreError."""
        with _wrapped(f"the recording could not be kept in {self.folder}"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            vault = self._sealing()
            path = self._path(pcm_sha256, vault)
            with whole_file(path) as file:
                _write(file, tape.content(), path, vault)
            self._settle()

    def remove(self, recordings: Iterable[str]) -> None:
        """Remove recordings, by their stored hashes, and the files that killed processes left.

        Raises StoreError.
        """
        with _wrapped(f"kept audio could not be removed from {self.folder}"):
            form = _PLAIN if self._sealing() is None else _SEALED
            files = [self.folder / f"{stem}.{form}" for stem in recordings]
            for path in (*files, *self._others()):
                path.unlink(missing_ok=True)
            for name in self._names():
                if name.endswith(".tmp"):
                    (self.folder / name).unlink(missing_ok=True)
            self._settle()

    def source(self, pcm_sha256: str) -> tuple[Float32Array, int]:
        """Return the samples (n,) and the rate of a recording, as an audio source."""
        import soundfile  # noqa: PLC0415 - 50 ms, when one is read

        vault = self._sealing()
        path = self._path(pcm_sha256, vault)
        try:
            with _plain(path, vault) as file, soundfile.SoundFile(file) as flac:
                _require_density(flac.frames * flac.channels, path)
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
            SealBroken,
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
        with suppress(OSError):  # the folder does not exist, or this is Windows
            number = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def _scale(peak: float) -> float:
    """Return the least power of two, 1 or more, by which samples fit into full scale."""
    scale = 1.0
    while peak / scale > _LARGEST:
        scale *= 2
    return scale


def _rounded(raw: IO[bytes], scale: float) -> Iterator[Float32Array]:
    """Yield the samples as they will be read back: rounded to 24 bits, times the scale."""
    raw.seek(0)
    while data := raw.read(4 * _BLOCK):
        steps = np.frombuffer(data, dtype="<f4").astype(np.float64) / scale * 2 ** (_BITS - 1)
        yield (np.rint(steps) / 2 ** (_BITS - 1) * scale).astype(np.float32)


def _write(file: IO[bytes], content: bytes, path: Path, vault: Vault | None) -> None:
    sealed = None if vault is None else vault.file_key.seal(content, "recording", path.stem)
    file.write(content if sealed is None else sealed)


def _content(path: Path, vault: Vault | None) -> bytes:
    """Return the bytes of a FLAC file; raises SealBroken, OSError."""
    with opened(path) as file:
        content = file.read()
    return content if vault is None else vault.file_key.open(content, "recording", path.stem)


@contextmanager
def _plain(path: Path, vault: Vault | None) -> Iterator[IO[bytes]]:
    if vault is None:
        with opened(path) as file:
            yield file
    else:
        yield io.BytesIO(_content(path, vault))


def _recording_of(content: bytes, path: Path) -> str:
    """Return the SHA-256 of the recording that a FLAC file states in its comment."""
    import soundfile  # noqa: PLC0415 - 50 ms

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as flac:
            return str(json.loads(flac.comment)["recording"])
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, LookupError) as error:
        raise _damaged(path) from error


def _require_density(n_samples: int, path: Path) -> None:
    """Raise ValueError for more samples than FLAC can pack into the size of the file."""
    if n_samples > max(_FEW_SAMPLES, _MOST_SAMPLES_A_BYTE * path.stat().st_size):
        raise ValueError("it unpacks to more samples than its size allows")


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
def _wrapped(failure: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{failure}: {error.strerror or error}",
            hint="Check that the disk is not full and that the folder may be written to.",
        ) from error
