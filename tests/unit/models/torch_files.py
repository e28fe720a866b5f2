"""Writes what `torch.save` would, and pickles that no `torch.save` would write.

PyTorch is not installed for the tests; the instructions below are those of pickle protocol 2
in the order in which PyTorch 1 and 2 write them for a state dict.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True}
STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}


class Pickler:
    """Turns dicts, lists, plain values and arrays into one pickle, noting the arrays."""

    def __init__(self, location: str = "cpu", view: bytes = b"") -> None:
        self.arrays: list[np.ndarray] = []
        self.location = location
        self.view = view

    def dumps(self, tree: Any) -> bytes:
        return b"\x80\x02" + self._emit(tree) + b"."

    def _emit(self, value: Any) -> bytes:
        if isinstance(value, dict):
            items = b"".join(self._emit(k) + self._emit(v) for k, v in value.items())
            return b"ccollections\nOrderedDict\n)R(" + items + b"u}b"
        if isinstance(value, list):
            return b"](" + b"".join(map(self._emit, value)) + b"e"
        if isinstance(value, np.ndarray):
            return self._tensor(value)
        if isinstance(value, tuple):
            return b"(" + b"".join(map(self._emit, value)) + b"t"
        return plain(value)

    def _tensor(self, value: np.ndarray) -> bytes:
        steps = tuple(step // value.itemsize for step in value.strides)
        storage = STORAGES[value.dtype.str[1:]].encode()
        key = str(len(self.arrays))
        self.arrays.append(value)
        pid = plain("storage") + b"ctorch\n" + storage + b"\n" + plain(key) + plain(self.location)
        return (
            b"ctorch._utils\n_rebuild_tensor_v2\n(("
            + (pid + plain(value.size) + self.view + b"tQ")
            + (plain(0) + self._emit(value.shape) + self._emit(steps))
            + b"\x89ccollections\nOrderedDict\n)RtR"
        )


def plain(value: Any) -> bytes:
    """Return the instructions for a text, number, flag or None, without the frame."""
    return pickle.dumps(value, 2)[2:-1].partition(b"q\0")[0]


def zipped(tree: Any, name: str = "archive") -> bytes:
    """Return what `torch.save` writes since version 1.6."""
    pickler = Pickler()
    return zipped_pickle(pickler.dumps(tree), pickler.arrays, name)


def zipped_pickle(
    pickled: bytes, arrays: list[np.ndarray] | None = None, name: str = "archive"
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}/data.pkl", pickled)
        archive.writestr(f"{name}/byteorder", b"little")
        for key, array in enumerate(arrays or []):
            archive.writestr(f"{name}/data/{key}", memory(array))
        archive.writestr(f"{name}/version", b"3\n")
    return file.getvalue()


def legacy(tree: Any, location: str = "cuda:0", system: Mapping[str, Any] = SYSTEM) -> bytes:
    """Return what `torch.save` wrote before, from a graphics card unless asked otherwise."""
    pickler = Pickler(location, view=b"N")
    return legacy_pickle(pickler.dumps(tree), pickler.arrays, system)


def legacy_pickle(
    pickled: bytes, arrays: list[np.ndarray] | None = None, system: Mapping[str, Any] = SYSTEM
) -> bytes:
    keys = [str(key) for key in range(len(arrays or []))]
    head = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, dict(system)))
    storages = b"".join(struct.pack("<q", a.size) + memory(a) for a in arrays or [])
    return head + pickled + pickle.dumps(keys, 2) + storages


def memory(array: np.ndarray) -> bytes:
    """Return the bytes of the storage behind an array, in the order in which they lie."""
    return np.ascontiguousarray(array.ravel(order="K")).tobytes()
