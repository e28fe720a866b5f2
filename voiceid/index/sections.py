"""The container of an index file: named arrays under a header, with a checksum over every byte.

    header    4096 bytes: a line of magic, a line of JSON, spaces
    sections  arrays, little-endian and C-contiguous
    sums      CRC-32 of each MiB of the sections, so that a row is overwritten without reading all

CRC-32 finds every flipped bit, and other damage except one case in four thousand million.  It does
not protect against a person who may write to the folder: they could change the database as well.

The file of a sealed gallery has the sections sealed (`protection.sealed_stream`), and no sums; its
header is plain.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from voiceid.protection import Key, SealBroken
from voiceid.protection.sealed_stream import opening, sealing

_MAGIC, _SEALED_MAGIC = b"voiceid-index-5\n", b"voiceid-sealed-index-2\n"
_HEADER_BYTES = 4096
_CHUNK_BYTES = 1 << 20
_ALIGNED_BYTES = 64
"""Sections begin at multiples of a cache line."""

Array: TypeAlias = npt.NDArray[Any]
Facts: TypeAlias = dict[str, Any]


class Unusable(Exception):
    """The file is missing, cut, damaged, or not an index file."""


class _Layout:
    """Where the sections are, and where they end."""

    def __init__(self, shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        self.shapes, self.offsets, self.end = shapes, dict[str, int](), _HEADER_BYTES
        for name, (dtype, shape) in shapes.items():
            self.offsets[name] = -(-self.end // _ALIGNED_BYTES) * _ALIGNED_BYTES
            self.end = self.offsets[name] + np.dtype(dtype).itemsize * math.prod(shape)
        self.n_chunks = -(-(self.end - _HEADER_BYTES) // _CHUNK_BYTES)

    def array(self, name: str, mapped: mmap.mmap | bytearray) -> Array:
        dtype, shape = self.shapes[name]
        flat: Array = np.frombuffer(mapped, dtype, math.prod(shape), self.offsets[name])
        return flat.reshape(shape)

    def sum_of(self, mapped: mmap.mmap, chunk: int) -> int:
        begin = _HEADER_BYTES + chunk * _CHUNK_BYTES
        with memoryview(mapped) as view, view[begin : min(begin + _CHUNK_BYTES, self.end)] as part:
            return zlib.crc32(part)

    def sums(self, mapped: mmap.mmap) -> Array:
        with ThreadPoolExecutor(2) as pool:  # zlib lets other threads run
            sums = pool.map(partial(self.sum_of, mapped), range(self.n_chunks))
            return np.fromiter(sums, "<u4", self.n_chunks)


def write(path: Path, facts: Facts, arrays: Mapping[str, Array], key: Key | None = None) -> None:
    """Write a file beside ``path`` and move it there; the caller keeps other writers away."""
    layout = _Layout({name: (array.dtype.str, array.shape) for name, array in arrays.items()})
    number, name = tempfile.mkstemp(prefix=unfinished(path), dir=path.parent)  # 0600
    try:
        with os.fdopen(number, "wb+") as file:
            if key is not None:
                _write_sealed(file, path, facts, arrays, layout, key)
                Path(name).replace(path)
                return
            for section, array in arrays.items():
                file.seek(layout.offsets[section])
                file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            file.truncate(layout.end)
            _write_header(file, facts, layout)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                sums = layout.sums(mapped)
            file.seek(layout.end)
            file.write(sums.tobytes())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def unfinished(path: Path) -> str:
    """Return the prefix of the names of temporary files for ``path``."""
    return f".{path.name}."


def header(path: Path, *, sealed: bool = False) -> Facts:
    """Return the facts in a file's header; raises `Unusable`, the sections are not looked at."""
    with _opened(path) as file:
        return _read_header(file, sealed=sealed)[0]


def _write_sealed(
    file: BinaryIO, path: Path, facts: Facts, arrays: Mapping[str, Array], layout: _Layout, key: Key
) -> None:
    content = bytearray(layout.end)
    for name, array in arrays.items():
        begin = layout.offsets[name]
        content[begin : begin + array.nbytes] = np.ascontiguousarray(array).tobytes()
    _write_header(file, facts, layout, sealed=True)
    file.seek(_HEADER_BYTES)
    with sealing(file, key, *_place(path, facts, layout)) as sealed:
        sealed.write(memoryview(content)[_HEADER_BYTES:])
    file.flush()
    os.fsync(file.fileno())


def _read_sealed(path: Path, key: Key) -> tuple[Facts, _Layout, bytearray]:
    with _opened(path) as file:
        facts, layout = _read_header(file, sealed=True)
        content = bytearray(layout.end)
        try:
            opened = opening(file, key, *_place(path, facts, layout))
            n_read = opened.readinto(memoryview(content)[_HEADER_BYTES:])
            if n_read != layout.end - _HEADER_BYTES or opened.read(1):
                raise Unusable("it was cut, or something was added")
        except SealBroken as error:
            raise Unusable("it was changed, or belongs to another key") from error
    return facts, layout, content


def _place(path: Path, facts: Facts, layout: _Layout) -> tuple[object, ...]:
    """Return the context that sealed sections are bound to: their file."""
    return ("index", path.name, json.dumps(facts), json.dumps(layout.shapes))


def read(
    path: Path, expected: Mapping[str, object], key: Key | None = None
) -> tuple[Facts, dict[str, Array]]:
    """Return the facts and the sections, every byte checked; raises `Unusable`.

    Those of a plain file are mapped.
    """
    if key is not None:
        facts, layout, content = _read_sealed(path, key)
        if {name: facts.get(name) for name in expected} != expected:
            raise Unusable("it is the file of another index")
        return facts, {name: layout.array(name, content) for name in layout.shapes}
    with _opened(path) as file:
        facts, layout, mapped = _mapped(file, mmap.ACCESS_READ)
    if {key: facts.get(key) for key in expected} != expected:
        raise Unusable("it is the file of another index")
    if not np.array_equal(np.frombuffer(mapped, "<u4", offset=layout.end), layout.sums(mapped)):
        raise Unusable("a checksum does not fit")
    return facts, {name: layout.array(name, mapped) for name in layout.shapes}


def erase(
    path: Path, ids: Array, names: Iterable[str], changed: Facts, key: Key | None = None
) -> int:
    """Set the rows of ids in these sections to zero, and change facts; return how many rows."""
    if key is not None:
        facts, arrays = read(path, {}, key)
        rows = np.flatnonzero(np.isin(arrays["ids"], ids))
        for name in names & arrays.keys():
            arrays[name][rows] = 0
        write(path, facts | changed, arrays, key)
        return len(rows)
    with _opened(path, "rb+") as file:
        facts, layout, mapped = _mapped(file, mmap.ACCESS_WRITE)
        rows = np.flatnonzero(np.isin(layout.array("ids", mapped), ids))
        touched = set[int]()
        for name in names & layout.shapes.keys() if len(rows) else ():
            array = layout.array(name, mapped)
            array[rows] = 0
            row_bytes = array[0].nbytes
            begins = layout.offsets[name] - _HEADER_BYTES + rows * row_bytes
            for ends in (begins, begins + row_bytes - 1):
                touched.update((ends // _CHUNK_BYTES).tolist())
        kept = np.frombuffer(mapped, "<u4", offset=layout.end)
        for chunk in touched:
            kept[chunk] = layout.sum_of(mapped, chunk)
        _write_header(file, facts | changed, layout)
        if len(rows):
            os.fsync(file.fileno())
    return len(rows)


@contextmanager
def _opened(path: Path, mode: str = "rb") -> Iterator[BinaryIO]:
    """Open a file, without waiting for a pipe; raises `Unusable` if that fails."""
    try:
        if not path.is_file():
            raise Unusable("there is no such file")
        with path.open(mode) as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
                raise Unusable("every user may write to it, also while it is mapped")
            yield cast("BinaryIO", file)
    except OSError as error:
        raise Unusable(str(error)) from error


def _mapped(file: BinaryIO, access: int) -> tuple[Facts, _Layout, mmap.mmap]:
    facts, layout = _read_header(file)
    if os.fstat(file.fileno()).st_size != layout.end + 4 * layout.n_chunks:
        raise Unusable("it was cut, or something was added")
    return facts, layout, mmap.mmap(file.fileno(), 0, access=access)


def _write_header(file: BinaryIO, facts: Facts, layout: _Layout, *, sealed: bool = False) -> None:
    said = json.dumps({"facts": facts, "shapes": layout.shapes}).encode()
    whole = (
        (_SEALED_MAGIC if sealed else _MAGIC) + b'{"crc": %d} ' % zlib.crc32(said) + said + b"\n"
    )
    if len(whole) > _HEADER_BYTES:
        raise ValueError(f"a header of {len(whole)} bytes does not fit")
    file.seek(0)
    file.write(whole.ljust(_HEADER_BYTES))
    file.flush()


def _read_header(file: BinaryIO, *, sealed: bool = False) -> tuple[Facts, _Layout]:
    line, magic = file.read(_HEADER_BYTES), _SEALED_MAGIC if sealed else _MAGIC
    sum_, _, said = line.removeprefix(magic).rstrip(b" ").removesuffix(b"\n").partition(b"} ")
    if not line.startswith(magic) or sum_ != b'{"crc": %d' % zlib.crc32(said):
        raise Unusable("its header is not that of an index")
    document = json.loads(said)  # a header with the right sum was written here
    shapes = {name: (dtype, tuple(shape)) for name, (dtype, shape) in document["shapes"].items()}
    return document["facts"], _Layout(shapes)
