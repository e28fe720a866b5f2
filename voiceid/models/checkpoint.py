"""Reads PyTorch checkpoints without PyTorch, and without trusting them.

A checkpoint is a pickle, and a pickle is a program.  :mod:`voiceid.models.pickled` knows a handful
of instructions and names (an ordered dict, a tensor, the kinds of storage); anything else ends the
reading before anything is called, and names are bound only to code here that makes NumPy arrays.
Two containers are read (``torch/serialization.py``): the zip file of ``torch.save`` since 1.6
(``data.pkl`` beside one file a storage), and the older pickles followed by the raw storages.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.errors import CheckpointInvalid
from voiceid.foreign_files import WEIGHTS, Unfit, content, mapped, opened, require_size
from voiceid.models.operators import GraphRefused, require_plain
from voiceid.models.pickled import Note, PickleReader, Refused

Array: TypeAlias = npt.NDArray[Any]

_MOST_VIEWS = 4
"""Tensors may share a storage; those of the checkpoints here never do."""
_MAX_DEPTH = 20
_MAX_KEY_CHARS = 200
"""State dicts nest two or three deep and have names like ``xvector.block1.tdnnd1.linear1``."""

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_DTYPES = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
}
_NOTES = {
    "torch.torch_version TorchVersion",
    "pyannote.audio.core.task Specifications",
    "pyannote.audio.core.task Problem",
    "pyannote.audio.core.task Resolution",
}
"""Classes that pyannote's checkpoints name beside the tensors; they are not read."""
_BROKEN = (
    zipfile.BadZipFile,
    struct.error,
    ArithmeticError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,
    MemoryError,
    OSError,
    Warning,
)
"""Errors of the readers below for damaged bytes.  RuntimeError comes from zipfile; a warning (of an
escape in a pickled text) is raised where warnings are errors."""


class _Storage:
    """A run of numbers, whose bytes may come after the tensors that look into it."""

    __slots__ = ("count", "dtype", "values")

    def __init__(self, dtype: np.dtype[Any], count: int) -> None:
        self.dtype = dtype
        self.count = count
        self.values: Array | None = None


class _Tensor:
    """A view of a storage, resolved to an array once all storages are filled."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, storage: object, offset: object, shape: object, strides: object) -> None:
        if not isinstance(storage, _Storage) or type(offset) is not int or offset < 0:
            raise Refused("a tensor without a storage")
        self.storage, self.offset = storage, offset
        self.shape, self.strides = _whole_numbers(shape), _whole_numbers(strides)
        if len(self.shape) != len(self.strides):
            raise Refused("a tensor whose shape and strides do not agree")

    def resolve(self) -> Array:
        """Return a copy of the numbers."""
        values = self.storage.values
        if values is None:
            raise Refused("a storage is missing")
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if math.prod(self.shape) > 0 and self.offset + reach >= len(values):
            raise Refused("a tensor reaches beyond its storage")
        size = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, [step * size for step in self.strides]
        )
        return np.array(view)


def read_checkpoint(data: bytes, *, name: str = "checkpoint") -> dict[str, Array]:
    """Return the tensors of a checkpoint, by name; nested dicts are joined with dots.

    They are copies of the dtype that was stored.  Nothing in the file is executed.
    """
    try:
        tree = _read_zip(data) if data[:2] == b"PK" else _read_legacy(data)
        tensors = _resolve(tree, _MOST_VIEWS * len(data))
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
    """Return the bytes of a file that holds weights; raises CheckpointInvalid."""
    with _wrapped(path):
        return content(path, WEIGHTS)


def read_graph(path: Path) -> bytes:
    """Return the bytes of an ONNX file that looks like one; raises CheckpointInvalid."""
    with _wrapped(path):
        mapped_file = mapped(path, WEIGHTS)
    try:
        require_plain(mapped_file)
    except GraphRefused as error:
        raise CheckpointInvalid(f"{path.name} cannot be added: {error}", hint=error.hint) from error
    return bytes(mapped_file)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file that holds weights, in hex; raises CheckpointInvalid."""
    with _wrapped(path), opened(path) as file:
        require_size(file, WEIGHTS)
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _wrapped(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, Unfit) as error:
        raise CheckpointInvalid(
            f"the checkpoint {path} cannot be read: {getattr(error, 'strerror', error)}",
            hint="Check the path; it must be a file that you may read.",
        ) from error


def _refuse(name: str, why: str, cause: Exception | None = None) -> NoReturn:
    raise CheckpointInvalid(
        f"{name} is not a usable checkpoint: {why[:_MAX_KEY_CHARS]}",
        hint="Fetch it again; nothing was installed, and nothing in it was executed.",
    ) from cause


def _read_pickle(file: io.BytesIO, storages: dict[str, _Storage]) -> object:
    """Read one pickle; the storages that its tensors refer to join ``storages``."""

    def refer(reference: object) -> _Storage:
        if not isinstance(reference, tuple) or len(reference) not in {5, 6}:
            raise Refused("a reference that is not to a storage")
        kind, dtype, key, _location, count, *view = reference
        texts = isinstance(kind, str) and isinstance(key, str)
        plain = type(count) is int and count >= 0 and view in ([], [None])
        if not texts or not plain or kind != "storage" or not isinstance(dtype, np.dtype):
            raise Refused("a reference that is not to a storage")
        if count * dtype.itemsize > WEIGHTS.size:
            raise Refused(f"a storage of {count} numbers")
        known = storages.setdefault(key, _Storage(dtype, count))
        if (known.dtype, known.count) != (dtype, count):
            raise Refused("two storages of one name")
        return known

    return PickleReader(_find, refer).read(file)


def _find(name: str) -> object:
    """Return our stand-in for one of the known names."""
    if name in _DTYPES:
        return _DTYPES[name]
    if name == "collections OrderedDict":
        return _empty_dict
    if name == "torch._utils _rebuild_tensor_v2":
        return _rebuild_tensor
    if name in _NOTES:
        return _note
    raise Refused(f"it asks for {name.replace(' ', '.')!r}, which is not a tensor")


def _empty_dict() -> OrderedDict[Any, Any]:
    return OrderedDict()


def _note(*_arguments: object) -> Note:
    return Note()


def _rebuild_tensor(*arguments: object) -> _Tensor:
    storage, offset, shape, strides = arguments[:4]  # then requires_grad and hooks
    return _Tensor(storage, offset, shape, strides)


def _whole_numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(type(v) is int and v >= 0 for v in values):
        raise Refused("a shape that is not made of whole numbers")
    return values


def _read_zip(data: bytes) -> object:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise Refused("it is compressed, which PyTorch never does")
        if sum(member.file_size for member in members) > len(data):
            raise Refused("it unpacks to more bytes than it states")
        names = {member.filename for member in members}
        [pickled] = [n for n in names if n.endswith("/data.pkl") or n == "data.pkl"]
        prefix = pickled.removesuffix("data.pkl")
        order = f"{prefix}byteorder"
        if order in names and archive.read(order) != b"little":
            raise Refused("its numbers are not little-endian")
        storages: dict[str, _Storage] = {}
        tree = _read_pickle(io.BytesIO(archive.read(pickled)), storages)
        for key, storage in storages.items():
            _fill(storage, archive.read(f"{prefix}data/{key}"))
    return tree


def _read_legacy(data: bytes) -> object:
    file, storages = io.BytesIO(data), dict[str, _Storage]()
    if _read_pickle(file, {}) != _LEGACY_MAGIC:
        raise Refused("it is not a PyTorch checkpoint")
    if _read_pickle(file, {}) != _LEGACY_PROTOCOL:
        raise Refused("its protocol version is not known")
    system = _read_pickle(file, {})
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("its numbers are not little-endian")
    tree = _read_pickle(file, storages)
    keys = _read_pickle(file, {})
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Refused("it has no list of storages")
    if sorted(keys) != sorted(storages):
        raise Refused("its list of storages does not agree with its tensors")
    for key in keys:
        storage = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise Refused("a storage has another size than its tensors say")
        _fill(storage, file.read(count * storage.dtype.itemsize))
    return tree


def _fill(storage: _Storage, raw: bytes) -> None:
    if len(raw) != storage.count * storage.dtype.itemsize:
        raise Refused("a storage is truncated")
    storage.values = np.frombuffer(raw, dtype=storage.dtype)


def _resolve(tree: object, max_bytes: int) -> dict[str, Array]:
    """Walk nested dicts; take the tensors, leave numbers and texts (step counts, settings)."""
    tensors: dict[str, Array] = {}
    seen: set[int] = set()
    size_bytes = 0
    waiting: list[tuple[str, object, int]] = [("", tree, 0)]
    while waiting:
        path, node, depth = waiting.pop()
        if isinstance(node, _Tensor):
            size_bytes += (
                math.prod(node.shape) * node.storage.dtype.itemsize
            )  # many tensors may share one storage
            if size_bytes > max_bytes:
                raise Refused(
                    f"its tensors take more than {_MOST_VIEWS} times its bytes, the limit"
                )
            tensors[path] = node.resolve()
        elif isinstance(node, dict):
            if id(node) in seen or depth > _MAX_DEPTH:
                raise Refused("its dicts are tangled")
            seen.add(id(node))
            waiting += [(_join(path, key), value, depth + 1) for key, value in node.items()]
    return tensors


def _join(path: str, key: object) -> str:
    joined = f"{path}.{key}" if path else str(key)
    if len(joined) > _MAX_KEY_CHARS:
        raise Refused("a name that is too long")
    return joined
