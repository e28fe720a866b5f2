"""Files that are sealed piece by piece, so that writing and reading need little memory.

Each piece of 1 MiB (the last may be shorter) is sealed with its number and whether it is the last:
no piece can be changed, moved, removed or added, and the end cannot be cut off.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from voiceid.protection.ciphers import OVERHEAD_BYTES, Key, SealBroken

_PIECE = 1 << 20
_SEALED = _PIECE + OVERHEAD_BYTES


class Writable(Protocol):
    """A target for bytes."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write the bytes."""


class _Sealing:
    def __init__(self, file: Writable, key: Key, context: tuple[object, ...]) -> None:
        self._file, self._key, self._context = file, key, context
        self._rest, self._number = bytearray(), 0

    def write(self, data: bytes | memoryview, /) -> None:
        self._rest += data
        while len(self._rest) > _PIECE:
            self._put(bytes(self._rest[:_PIECE]), is_last=False)
            del self._rest[:_PIECE]

    def end(self) -> None:
        self._put(bytes(self._rest), is_last=True)

    def _put(self, data: bytes, *, is_last: bool) -> None:
        self._file.write(self._key.seal(data, *self._context, self._number, is_last))
        self._number += 1


@contextmanager
def sealing(file: Writable, key: Key, *context: object) -> Iterator[Writable]:
    """Yield a writer that seals bytes into a file, from the current position to its end."""
    writer = _Sealing(file, key, context)
    yield writer
    writer.end()


class SealedSpool:
    """Bytes that are written, then read: in memory, or above a size in a temporary file.

    The file has no name, and is sealed with a key in memory: its bytes on the disk are useless.
    """

    def __init__(self, most_in_memory: int) -> None:
        self._most, self._key = most_in_memory, Key.new()
        self._file: IO[bytes] = io.BytesIO()
        self._sealing: _Sealing | None = None

    def write(self, data: bytes | memoryview, /) -> int:
        """Append bytes or another buffer: pickle passes large arrays as buffers."""
        view = memoryview(data).cast("B")
        if self._sealing is None and self._file.tell() + len(view) > self._most:
            with self._file as in_memory:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - until it is closed
                self._sealing = _Sealing(self._file, self._key, ())
                in_memory.seek(0)
                shutil.copyfileobj(in_memory, self._sealing, _PIECE)
        (self._sealing or self._file).write(view)
        return len(view)

    def written(self) -> IO[bytes]:
        """Return all written bytes, from their start; no more can be written then."""
        if self._sealing is not None:
            self._sealing.end()
            self._file.seek(0)
            self._file, self._sealing = opening(self._file, self._key), None
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Remove the bytes."""
        self._file.close()


class _Opening(io.RawIOBase):
    """The plain bytes of a sealed file, readable from any position."""

    def __init__(self, file: IO[bytes], key: Key, context: tuple[object, ...]) -> None:
        super().__init__()
        self._file, self._key, self._context = file, key, context
        self._start = file.tell()
        sealed_bytes = file.seek(0, os.SEEK_END) - self._start
        self._count = -(-sealed_bytes // _SEALED)
        self._size = sealed_bytes - self._count * OVERHEAD_BYTES
        if sealed_bytes == 0 or 0 < sealed_bytes % _SEALED < OVERHEAD_BYTES:
            raise SealBroken("it was cut off")
        self._at, self._number, self._piece = 0, -1, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError("before the start")
        self._at = at
        return at

    def readinto(self, buffer: object, /) -> int:
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # a buffer
        number, start = divmod(self._at, _PIECE)
        if self._at >= self._size:
            number, start = self._count - 1, _PIECE  # an empty file has a last piece too
        data = self._opened(number)[start : start + len(target)]
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _opened(self, number: int) -> bytes:
        if number != self._number:
            self._file.seek(self._start + number * _SEALED)
            is_last = number == self._count - 1
            sealed = self._file.read(_SEALED)
            self._piece = self._key.open(sealed, *self._context, number, is_last)
            self._number = number
        return self._piece


def opening(file: IO[bytes], key: Key, *context: object) -> io.BufferedReader:
    """Return the plain bytes of a sealed file, from the current position, as a file.

    Reading raises SealBroken; opening also does for a file that ends within a seal.
    """
    return io.BufferedReader(_Opening(file, key, context), _PIECE)
