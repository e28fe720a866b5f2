"""The file of an index: named arrays under a header, with a checksum over every byte.

    header    4096 bytes: a line of magic, a line of JSON, spaces
    sums      CRC-32 of each MiB of the sections, little-endian
    sections  arrays, little-endian and C-contiguous

It is written beside its place and moved there whole.  CRC-32 finds every flipped bit, and any
other damage but for one in four thousand million.  It is no seal against somebody who may write
to the folder: they could as well change the database.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

_MAGIC = b"voiceid-index-4\n"
_HEADER_BYTES = 4096
_CHUNK_BYTES = 1 << 20
_ALIGNED_BYTES = 64
"""Sections begin at multiples of a cache line."""
_WRITING_S = 600.0
"""Nobody writes an index file for longer than this; and who does only loses that file."""
_PARALLEL_FROM = 64
"""Chunks from which a second thread is worth its start."""

Array: TypeAlias = npt.NDArray[Any]
Shapes: TypeAlias = Mapping[str, tuple[str, tuple[int, ...]]]
"""The dtype (as in ``<f4``) and the shape of each section."""


class Unusable(Exception):
    """The file is missing, cut, damaged, or none of these."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the sections are: their offsets in the file, and its size."""

    shapes: Shapes
    offsets: Mapping[str, int]
    start: int
    size: int

    @classmethod
    def of(cls, shapes: Shapes) -> _Layout:
        ends, offsets = 0, {}
        for name, (dtype, shape) in shapes.items():
            offsets[name] = -(-ends // _ALIGNED_BYTES) * _ALIGNED_BYTES
            ends = offsets[name] + np.dtype(dtype).itemsize * math.prod(shape)
        n_sums = -(-ends // _CHUNK_BYTES)
        start = -(-(_HEADER_BYTES + 4 * n_sums) // _ALIGNED_BYTES) * _ALIGNED_BYTES
        return cls(shapes, {k: start + v for k, v in offsets.items()}, start, start + ends)

    @property
    def n_sums(self) -> int:
        return -(-(self.size - self.start) // _CHUNK_BYTES)


class Writing:
    """A file that is being written; see :func:`writing`."""

    def __init__(self, file: BinaryIO, layout: _Layout, facts: dict[str, Any]) -> None:
        self._file, self._layout = file, layout
        self.facts = facts
        """What the header says; may be added to until the end."""

    def put(self, name: str, array: Array, first: int = 0) -> None:
        """Write rows of a section, from a row on."""
        dtype, shape = self._layout.shapes[name]
        row_bytes = np.dtype(dtype).itemsize * math.prod(shape[1:])
        data = np.ascontiguousarray(array, dtype=dtype)
        self._file.seek(self._layout.offsets[name] + first * row_bytes)
        self._file.write(data.data.cast("B") if data.size else b"")

    def finish(self) -> None:
        """Write the sums and the header, and put everything on the disk."""
        layout = self._layout
        self._file.truncate(layout.size)
        self._file.flush()
        self._file.seek(_HEADER_BYTES)
        self._file.write(_sums(self._file, layout, range(layout.n_sums)).tobytes())
        _write_header(self._file, self.facts, layout)


@contextmanager
def writing(path: Path, facts: dict[str, Any], shapes: Shapes) -> Iterator[tuple[Writing, Path]]:
    """Yield a new file beside ``path``, and its name.

    The caller calls :meth:`Writing.finish`, and moves it where it belongs; else it is removed.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written to.
    """
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = f".{path.name}."
    for left in folder.glob(f"{unfinished}*"):  # of a killed process: there are voices in it
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _WRITING_S:
                left.unlink()
    number, name = tempfile.mkstemp(prefix=unfinished, dir=folder)  # 0600
    try:
        with os.fdopen(number, "wb+") as file:
            yield Writing(file, _Layout.of(shapes), facts), Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; whatever cannot be opened is `Unusable`, a pipe without waiting."""
    try:
        if not path.is_file():
            raise Unusable("there is no such file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise Unusable(str(error)) from error


def header(path: Path) -> dict[str, Any]:
    """Return what a file's header says; raises `Unusable`, the sections are not looked at."""
    with _opened(path) as file:
        return _read_header(file)[0]


def unchecked(path: Path, name: str) -> Array:
    """Return a section as it is, its sums not looked at; raises `Unusable`."""
    with _opened(path) as file:
        _, layout = _read_header(file)
        dtype, shape = layout.shapes[name]
        file.seek(layout.offsets[name])
        found = np.fromfile(file, dtype=dtype, count=math.prod(shape))
    if found.size != math.prod(shape):
        raise Unusable("it was cut")
    return found.reshape(shape)


def read(path: Path, expected: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the facts and the sections of a file, every byte checked.

    The sections are mapped for reading: their pages are shared among processes, and read when
    they are needed.

    Raises
    ------
    Unusable
        It is missing, damaged, or its facts are not as ``expected``.
    """
    with _opened(path) as file:
        facts, layout = _read_header(file)
        if {key: facts.get(key) for key in expected} != expected:
            raise Unusable("it is another index's")
        if os.fstat(file.fileno()).st_size != layout.size:
            raise Unusable("it was cut, or something was added")
        file.seek(_HEADER_BYTES)
        kept = np.frombuffer(file.read(4 * layout.n_sums), dtype="<u4")
        if not np.array_equal(kept, _sums(file, layout, range(layout.n_sums))):
            raise Unusable("a checksum does not fit")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return facts, {
        name: np.frombuffer(
            mapped, dtype=dtype, count=math.prod(shape), offset=layout.offsets[name]
        ).reshape(shape)
        for name, (dtype, shape) in layout.shapes.items()
    }


def overwrite(path: Path, rows: Mapping[str, Mapping[int, Array]], **facts: object) -> None:
    """Overwrite rows of sections in place, and facts of the header.

    Whoever has the file mapped sees it.  Killed in the middle of it, the file is damaged, and
    known to be.  The caller must be the only one who does.

    Parameters
    ----------
    path : Path
    rows : mapping
        Of a section's name to the new rows by their number; of these sections one is there.
    facts
        By name.

    Raises
    ------
    Unusable
        It is damaged, or has none of these sections.
    OSError
    """
    with path.open("rb+") as file:
        found, layout = _read_header(file)
        if rows and not rows.keys() & layout.shapes.keys():
            raise Unusable("it has no such section")
        changing = Writing(file, layout, {**found, **facts})
        touched: set[int] = set()
        for name, arrays in rows.items():
            for row, array in arrays.items() if name in layout.shapes else ():
                begin = layout.offsets[name] - layout.start + row * array.nbytes
                changing.put(name, array[None], row)
                touched.update(
                    range(begin // _CHUNK_BYTES, (begin + array.nbytes - 1) // _CHUNK_BYTES + 1)
                )
        file.flush()
        for chunk in touched:
            file.seek(_HEADER_BYTES + 4 * chunk)
            file.write(_sums(file, layout, range(chunk, chunk + 1)).tobytes())
        _write_header(file, changing.facts, layout)


def _write_header(file: BinaryIO, facts: Mapping[str, Any], layout: _Layout) -> None:
    said = json.dumps({"facts": facts, "shapes": layout.shapes}).encode()
    line = json.dumps({"crc": zlib.crc32(said)}).encode() + b" " + said
    whole = _MAGIC + line + b"\n"
    if len(whole) > _HEADER_BYTES:
        raise ValueError(f"a header of {len(whole)} bytes does not fit")
    file.seek(0)
    file.write(whole.ljust(_HEADER_BYTES))
    file.flush()
    os.fsync(file.fileno())


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], _Layout]:
    file.seek(0)
    found = file.read(_HEADER_BYTES)
    line = found.removeprefix(_MAGIC).rstrip(b" ").removesuffix(b"\n")
    sum_, _, said = line.partition(b"} ")
    if not found.startswith(_MAGIC) or sum_ != b'{"crc": %d' % zlib.crc32(said):
        raise Unusable("its header is not that of an index")
    # What has the right sum was written here.
    document = json.loads(said)
    shapes = {name: (dtype, tuple(shape)) for name, (dtype, shape) in document["shapes"].items()}
    return document["facts"], _Layout.of(shapes)


def _sums(file: BinaryIO, layout: _Layout, chunks: range) -> npt.NDArray[np.uint32]:
    """Return the CRC-32 of chunks of the sections as they are in the file."""
    if not chunks:
        return np.empty(0, dtype="<u4")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as all_:

        def one(chunk: int) -> int:
            begin = layout.start + chunk * _CHUNK_BYTES
            with all_[begin : min(begin + _CHUNK_BYTES, layout.size)] as part:
                return zlib.crc32(part)

        with ThreadPoolExecutor(2) as pool:  # zlib lets other threads run
            found = map(one, chunks) if len(chunks) < _PARALLEL_FROM else pool.map(one, chunks)
            return np.fromiter(found, dtype="<u4", count=len(chunks))
