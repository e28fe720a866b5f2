"""From any source of the caller to a seekable binary file with a name and a known size."""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
import sys
import tempfile
from collections.abc import Hashable
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Self, TypeAlias

import numpy.typing as npt

from voiceid.errors import AudioError, AudioInvalid, AudioNotFound, AudioTooLong, AudioUnreadable
from voiceid.foreign_files import require_closed

AudioSource: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | tuple[npt.NDArray[Any], int]
)
"""A path (``-`` is standard input), a file's bytes, a binary file object, or samples and rate."""

Spans: TypeAlias = tuple[tuple[float, float], ...]
"""Starts and ends in seconds."""

_SPOOL_IN_MEMORY = 8 << 20
"""A pipe's bytes beyond this go to a temporary file."""

_READ_SIZE = 1 << 20
_WINDOW_BUFFER = 1 << 16
_NAME_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class AudioOptions:
    """What to read of a source, and when to refuse it."""

    channel: str | int = "mix"  # ``mix`` (mean of all), ``left``, ``right``, or counted from 0
    track: int | None = None  # audio track, counted from 0; None: the default one, else the first
    format: str | None = None  # of recordings without a header; None: what the file's name ends in
    max_duration_s: float = 3600.0  # early when the header says so, else while decoding
    max_bytes: int = 1 << 30  # encoded
    stall_timeout_s: float = 10.0  # a named pipe that gives no bytes for this long is given up
    ca_file: str | None = None  # PEM; trusted in place of the system's certificates
    spans: Spans = ()  # the only parts that are heard, in seconds, in order; empty: all of it


class Media:
    """An opened source: a seekable file that never raises into a C library's callback.

    libsndfile's callbacks cannot pass on an exception (it would be printed and lost), so a
    failed read counts as the end of the file there, and is kept in ``failure``.  ``name`` has no
    folders; ``where`` is the path as it was given, for messages.  ``next_frames``: for each kind,
    the byte from which frames were last searched, and where they are; ``n_tried``: the number of
    places that were tried.
    """

    def __init__(self, name: str, where: str, file: IO[bytes], size: int, *, owned: bool) -> None:
        self.name = name
        self.where = where
        self.size = size
        self.failure: Exception | None = None
        self.next_frames: dict[Hashable, tuple[int, int]] = {}
        self.n_tried = 0
        self._file = file
        self._owned = owned

    def descriptor(self) -> int | None:
        """Return the descriptor of a file on disk for C to read directly, else None."""
        # On Windows a descriptor belongs to the C runtime that made it, not to libsndfile's.
        if isinstance(self._file, io.FileIO) and os.name == "posix":
            return self._file.fileno()
        return None

    def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes; nothing at the end, or when reading failed."""
        try:
            return self._file.read(n) or b""
        except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
            self.failure = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte and return its position; stay where it is when that fails."""
        with contextlib.suppress(OSError, ValueError):  # before the start: C asks and checks
            self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell()

    def head(self, n: int) -> bytes:
        """Return the first ``n`` bytes (fewer in a shorter file) and go back to the start."""
        self.seek(0)
        start = self.read(n)
        self.seek(0)
        return start

    def part(self, start: int, end: int, head: bytes = b"") -> Media:
        """Return the bytes from ``start`` to ``end`` as a source, the first being ``head``."""
        window = io.BufferedReader(_Window(self, start, end, head), _WINDOW_BUFFER)
        return Media(self.name, self.where, window, end - start, owned=False)

    def close(self) -> None:
        """Close the file if it was opened here; else go back to its start, to be heard again."""
        if self._owned:
            self._file.close()
        else:
            self.seek(0)


class _Window(io.RawIOBase):
    """Some bytes of a source as a file."""

    def __init__(self, media: Media, start: int, end: int, head: bytes) -> None:
        super().__init__()
        self._media, self._start, self._size, self._head = media, start, end - start, head
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._media.seek(self._start + self._at)
        data = self._media.read(max(0, min(len(buffer), self._size - self._at)))
        data = self._head[self._at : self._at + len(data)] + data[len(self._head[self._at :]) :]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise ValueError("before the start")
        self._at = origin + offset
        return self._at

    def tell(self) -> int:
        return self._at


def display_name(text: str) -> str:
    """Return ``text`` in a form that is safe to print on one line of a terminal.

    Control characters, line breaks, bidirectional overrides and bytes that are not text
    (surrogate escapes) are written as escapes; the middle of a very long name is left out.
    """
    shown = "".join(
        ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text
    )
    if len(shown) > _NAME_MAX_CHARS:
        half = _NAME_MAX_CHARS // 2
        shown = f"{shown[:half]}…{shown[-half:]}"
    return shown


def open_media(source: AudioSource, options: AudioOptions) -> Media:
    """Open a source that holds encoded audio."""
    if isinstance(source, bytes | bytearray | memoryview):
        media = Media("<bytes>", "<bytes>", io.BytesIO(source), len(bytes(source)), owned=True)
    elif isinstance(source, str) and source == "-":
        media = _open_file(standard_input(), "<stdin>", options)
    elif isinstance(source, str | os.PathLike):
        media = _open_path(os.fsdecode(source), options)
    elif isinstance(source, tuple) or not hasattr(source, "read"):
        raise AudioInvalid(
            f"a {type(source).__name__} is not an audio source",
            hint="Pass a path, the bytes of a file, a binary file object, or (samples, rate).",
        )
    else:
        media = _open_file(source, "<file>", options)
    try:
        _check_size(media, options)
    except AudioError:
        media.close()
        raise
    return media


def _check_size(media: Media, options: AudioOptions) -> None:
    if media.size > options.max_bytes:
        raise AudioTooLong(
            f"{media.where} is larger than the limit of {options.max_bytes} bytes",
            hint="Cut the recording, or raise audio.max_bytes in config.yaml.",
        )
    if media.size == 0:
        raise AudioUnreadable(
            f"{media.where} is empty", hint="Check that the recording or download finished."
        )


def _open_path(path: str, options: AudioOptions) -> Media:
    where = display_name(path)
    name = display_name(os.path.basename(path) or path)  # noqa: PTH119 - any text, not a Path
    try:
        # Check before opening: opening a device may have an effect.
        seen = os.stat(path)  # noqa: PTH116
        _require_file_or_pipe(seen.st_mode, where)
        require_closed(seen)
        # Without O_NONBLOCK, opening a pipe without a writer would block for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = open(os.open(path, flags), "rb", buffering=0)  # noqa: SIM115, PTH123
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _not_found(where, error) from error
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode):
        return Media(name, where, file, status.st_size, owned=True)
    with file:
        _require_file_or_pipe(status.st_mode, where)
        return _spool(Pipe(file, where, options.stall_timeout_s), name, where, options)


def _require_file_or_pipe(mode: int, where: str) -> None:
    if stat.S_ISDIR(mode):
        raise AudioNotFound(
            f"{where} is a directory, not an audio file", hint="Give the files in it."
        )
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise AudioNotFound(
            f"{where} is a device or a socket, not an audio file",
            hint="Pass a file, or pipe the audio into `-`.",
        )


def _not_found(where: str, error: Exception) -> AudioNotFound:
    if isinstance(error, PermissionError):
        return AudioNotFound(
            f"{where} cannot be read: permission denied", hint="Check the file's permissions."
        )
    if isinstance(error, FileNotFoundError):
        return AudioNotFound(f"there is no file {where}", hint="Check the path.")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return AudioNotFound(f"{where} cannot be opened: {reason}", hint="Check the path.")


def open_pipe(path: str, options: AudioOptions) -> Pipe:
    """Open a named pipe; raises `AudioNotFound`."""
    where = display_name(path)
    try:
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
        file = open(os.open(path, flags), "rb", buffering=0)  # noqa: SIM115, PTH123
    except (OSError, ValueError) as error:
        raise _not_found(where, error) from error
    return Pipe(file, where, options.stall_timeout_s)


class Pipe:
    """Reads a named pipe, and gives up when nothing arrives."""

    def __init__(self, file: io.FileIO, where: str, timeout_s: float) -> None:
        self._file = file
        self._where = where
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, n: int) -> bytes:
        """Return up to ``n`` bytes; raises `AudioUnreadable`: nothing arrived for too long."""
        while True:
            if not select.select([self._file], [], [], self._timeout_s)[0]:
                raise AudioUnreadable(
                    f"nothing arrived on the pipe {self._where} for {self._timeout_s:g} s",
                    hint="Check the program that writes to it.",
                )
            data = self._file.read(n)
            if data is not None:
                return data


def standard_input() -> BinaryIO:
    """Return standard input; raises `AudioNotFound`: it is a terminal, or closed."""
    if sys.stdin is None or sys.stdin.isatty():
        raise AudioNotFound(
            "standard input is not connected to a file or a pipe",
            hint="Pipe the audio in, for example: voiceid identify - < clip.wav",
        )
    return sys.stdin.buffer


def _open_file(file: BinaryIO, name: str, options: AudioOptions) -> Media:
    own_name = getattr(file, "name", None)
    if name == "<file>" and isinstance(own_name, str) and own_name:
        name = display_name(os.path.basename(own_name) or own_name)  # noqa: PTH119
    try:
        if not isinstance(file.read(0), bytes):
            raise AudioInvalid(
                f"{name} is a file object in text mode", hint='Open it with mode "rb".'
            )
        if file.seekable() and file.tell() == 0:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size:  # a device has no size, but may have bytes
                return Media(name, name, file, size, owned=False)
    except (OSError, ValueError, AttributeError) as error:
        if isinstance(error, ValueError):  # a closed file
            raise AudioNotFound(f"{name} cannot be read: {error}", hint="Open it again.") from error
    return _spool(file, name, name, options)


def _spool(file: Any, name: str, where: str, options: AudioOptions) -> Media:
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_IN_MEMORY)  # noqa: SIM115
    size = 0
    try:
        while data := file.read(_READ_SIZE):
            size += spool.write(data)
            if size > options.max_bytes:
                break
    except AudioError:
        spool.close()
        raise
    except Exception as error:  # a foreign object may raise anything
        spool.close()
        raise AudioUnreadable(
            f"{where} could not be read: {error}", hint="Check where the audio comes from."
        ) from error
    spool.seek(0)
    return Media(name, where, spool, size, owned=True)
