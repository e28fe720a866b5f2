"""Reads PyTorch checkpoints without PyTorch, and without trusting them.

A checkpoint is a pickle, and a pickle is a program.  The unpickler here knows a handful of
names (an ordered dict, a tensor, the kinds of storage); any other name ends the reading
before anything is called.  What a name is bound to here is our own code, which makes NumPy
arrays and nothing else.

Two containers are read: the zip file of ``torch.save`` since 1.6 (``data.pkl`` beside one
file a storage), and the older sequence of pickles followed by the raw storages
(``torch/serialization.py``).
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.errors import CheckpointInvalid

Array: TypeAlias = npt.NDArray[Any]

MAX_BYTES = 1 << 30
"""No model here comes near; a file that claims more is refused before memory is taken."""

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
_BROKEN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    NotImplementedError,
    RecursionError,
    MemoryError,
    OSError,
)
"""What damaged bytes make the readers below raise."""


class _Sealed:
    """Refuses the state that a pickle may push into any object it has made (BUILD)."""

    __slots__ = ()

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it tries to change an object from inside")


class _Storage(_Sealed):
    """A run of numbers, whose bytes may come after the tensors that look into it."""

    __slots__ = ("count", "dtype", "values")

    def __init__(self, dtype: np.dtype[Any], count: int) -> None:
        self.dtype = dtype
        self.count = count
        self.values: Array | None = None


class _Tensor(_Sealed):
    """A view of a storage, resolved to an array once all storages are filled."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, storage: object, offset: object, shape: object, strides: object) -> None:
        if not isinstance(storage, _Storage) or type(offset) is not int or offset < 0:
            raise pickle.UnpicklingError("a tensor without a storage")
        self.storage, self.offset = storage, offset
        self.shape, self.strides = _whole_numbers(shape), _whole_numbers(strides)
        if len(self.shape) != len(self.strides):
            raise pickle.UnpicklingError("a tensor whose shape and strides do not agree")

    def resolve(self) -> Array:
        values = self.storage.values
        if values is None:
            raise pickle.UnpicklingError("a storage is missing")
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if math.prod(self.shape) > 0 and self.offset + reach >= len(values):
            raise pickle.UnpicklingError("a tensor reaches beyond its storage")
        if math.prod(self.shape) > len(values):
            raise pickle.UnpicklingError("a tensor is larger than its storage")
        size = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, [step * size for step in self.strides]
        )
        return np.array(view)



def read_checkpoint(data: bytes, *, name: str = "checkpoint") -> dict[str, Array]:
    """Return the tensors of a checkpoint by name; nested dicts are joined with dots.

    Parameters
    ----------
    data : bytes
        The whole file, zip or legacy.
    name : str
        How messages call it.

    Returns
    -------
    dict of str to ndarray
        Own copies, of the dtype that was stored.

    Raises
    ------
    CheckpointInvalid
        It is truncated, damaged, or asks for something other than tensors; nothing of it
        was executed.
    """
    if len(data) > MAX_BYTES:
        _refuse(name, f"it has {len(data)} bytes, over the limit of {MAX_BYTES}")
    try:
        tree = _read_zip(data) if data[:2] == b"PK" else _read_legacy(data)
        tensors: dict[str, Array] = {}
        _collect(tree, "", tensors)
    except _BROKEN as error:
        _refuse(name, str(error) or type(error).__name__, error)
    if not tensors:
        _refuse(name, "it holds no tensors")
    return tensors


def require_shapes(
    tensors: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], *, name: str
) -> None:
    """Raise :class:`CheckpointInvalid` unless the tensors of these names have these shapes."""
    for key, shape in shapes.items():
        if key not in tensors:
            _refuse(name, f"it has no tensor {key}")
        if tensors[key].shape != shape:
            _refuse(name, f"its tensor {key} has shape {tensors[key].shape}, expected {shape}")
        if tensors[key].dtype.kind == "f" and not np.all(np.isfinite(tensors[key])):
            _refuse(name, f"its tensor {key} holds numbers that are not finite")


def read_file(path: Path) -> bytes:
    """Return the bytes of a checkpoint file; raises CheckpointInvalid when there are none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointInvalid(
            f"the checkpoint {path} cannot be read: {error.strerror}",
            hint="Check the path; it must be a file that you may read.",
        ) from error


def _refuse(name: str, why: str, cause: Exception | None = None) -> NoReturn:
    raise CheckpointInvalid(
        f"{name} is not a usable checkpoint: {why}",
        hint="Fetch it again; nothing was installed, and nothing in it was executed.",
    ) from cause


class _Unpickler(pickle.Unpickler):
    """Knows the names that a state dict needs, and the storages that tensors refer to."""

    def __init__(self, file: io.BytesIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """Return our stand-in for one of the known names; refuse all others."""
        if module == "torch" and name in _DTYPES:
            return name
        if (module, name) in _CONSTRUCTORS:
            return _CONSTRUCTORS[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a tensor refers to; the same one for the same key."""
        kind, dtype_name, key, _location, count, *view = pid
        plain = isinstance(key, str) and type(count) is int and count >= 0 and not any(view)
        if kind != "storage" or not plain:
            raise pickle.UnpicklingError("a reference that is not to a storage")
        dtype = _DTYPES[dtype_name]
        if count * dtype.itemsize > MAX_BYTES:
            raise pickle.UnpicklingError(f"a storage of {count} numbers")
        return self.storages.setdefault(key, _Storage(dtype, count))


class _OrderedDictConstructor(_Sealed):
    __slots__ = ()

    def __call__(self, *args: object) -> OrderedDict[Any, Any]:
        if args:
            raise pickle.UnpicklingError("an ordered dict with arguments")
        return OrderedDict()


class _TensorConstructor(_Sealed):
    __slots__ = ()

    def __call__(self, *args: object) -> _Tensor:
        storage, offset, shape, strides = args[:4]  # then requires_grad and hooks
        return _Tensor(storage, offset, shape, strides)


_CONSTRUCTORS = {
    ("collections", "OrderedDict"): _OrderedDictConstructor(),
    ("torch._utils", "_rebuild_tensor_v2"): _TensorConstructor(),
}


def _unpickle(file: io.BytesIO, storages: dict[str, _Storage]) -> object:
    """Load one pickle, after a look at the one thing an unpickler takes on trust.

    A memo slot of a huge number makes it reserve that much memory; a real pickle numbers
    its slots from 0, so that none can exceed the number of bytes.
    """
    start = file.tell()
    for opcode, argument, position in pickletools.genops(file):
        if "PUT" in opcode.name and isinstance(argument, int) and argument > (position or 0):
            raise pickle.UnpicklingError("it numbers its parts in no sane way")
    file.seek(start)
    return _Unpickler(file, storages).load()


def _whole_numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(type(v) is int and v >= 0 for v in values):
        raise pickle.UnpicklingError("a shape that is not made of whole numbers")
    return values


def _read_zip(data: bytes) -> object:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        if sum(sizes.values()) > MAX_BYTES:
            raise pickle.UnpicklingError("it unpacks to more than the limit")
        [pickled] = [n for n in sizes if n.endswith("/data.pkl") or n == "data.pkl"]
        prefix = pickled.removesuffix("data.pkl")
        order = f"{prefix}byteorder"
        if order in sizes and archive.read(order) != b"little":
            raise pickle.UnpicklingError("its numbers are not little-endian")
        storages: dict[str, _Storage] = {}
        tree = _unpickle(io.BytesIO(archive.read(pickled)), storages)
        for key, storage in storages.items():
            _fill(storage, archive.read(f"{prefix}data/{key}"))
    return tree


def _read_legacy(data: bytes) -> object:
    file, storages = io.BytesIO(data), dict[str, _Storage]()
    if _unpickle(file, {}) != _LEGACY_MAGIC:
        raise pickle.UnpicklingError("it is not a PyTorch checkpoint")
    if _unpickle(file, {}) != _LEGACY_PROTOCOL:
        raise pickle.UnpicklingError("its protocol version is not known")
    system = _unpickle(file, {})
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise pickle.UnpicklingError("its numbers are not little-endian")
    tree = _unpickle(file, storages)
    keys = _unpickle(file, {})
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise pickle.UnpicklingError("its list of storages does not agree with its tensors")
    for key in keys:
        storage = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise pickle.UnpicklingError("a storage has another size than its tensors say")
        _fill(storage, file.read(count * storage.dtype.itemsize))
    return tree


def _fill(storage: _Storage, raw: bytes) -> None:
    if len(raw) != storage.count * storage.dtype.itemsize:
        raise pickle.UnpicklingError("a storage is truncated")
    storage.values = np.frombuffer(raw, dtype=storage.dtype)


def _collect(node: object, path: str, found: dict[str, Array], depth: int = 0) -> None:
    """Walk nested dicts; take the tensors, leave numbers and texts (step counts, settings)."""
    if depth > sys.getrecursionlimit() // 10:
        raise pickle.UnpicklingError("it is nested too deeply")
    if isinstance(node, _Tensor):
        found[path] = node.resolve()
    elif isinstance(node, dict):
        for key, value in node.items():
            _collect(value, f"{path}.{key}" if path else str(key), found, depth + 1)
