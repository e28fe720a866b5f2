"""A Parquet table of embeddings: the only user of pyarrow, with limits on memory and time.

Importing this module raises :class:`voiceid.errors.ExtraMissing` if pyarrow is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid.errors import ExtraMissing, GalleryFileInvalid
from voiceid.exchange.rows import BATCH, Rows, no_rows, refused, require_columns

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise ExtraMissing(
        "Parquet tables need pyarrow, which is not installed",
        hint="Install it with `pip install 'voiceid[parquet]'`.",
    ) from error

SPACE_KEY = b"voiceid.embedding_space"
"""The key of the embedding space's id in the metadata of a table."""
_VECTOR = "embedding"
_BUFFER_BYTES = 1 << 20
"""The most that is read at once of a row group, which may hold all rows."""
_MOST_UNPACKED, _SMALL_BYTES = 100, 64 << 20


def read_table(path: Path) -> Iterator[Any]:
    """Yield the dimensions of the vectors and the space's id, then the rows of a table.

    It has the column ``embedding`` and those of `COLUMNS`.  The file determines how much memory is
    filled: call this only in a process with a limit.
    """
    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            yield from _read(path, file)
    except MemoryError:  # Arrow's own is also an ArrowException
        raise
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _read(path: Path, file: Any) -> Iterator[Any]:
    schema = file.schema_arrow
    if _VECTOR not in schema.names:
        raise GalleryFileInvalid(
            f"{path} has no column {_VECTOR!r}", hint="The column must hold the vectors."
        )
    require_columns(path, [name for name in schema.names if name != _VECTOR])
    first = next(file.iter_batches(batch_size=1, columns=[_VECTOR], use_threads=False), None)
    if first is None or not len(first):
        raise no_rows(path)
    dim = _vectors(path, first.column(0), 1).shape[1]
    _require_density(path, 4 * dim * file.metadata.num_rows)
    space = (schema.metadata or {}).get(SPACE_KEY)
    yield dim, None if space is None else space.decode("utf-8", "replace")
    number = 1
    for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
        names = [name for name in batch.schema.names if name != _VECTOR]
        columns = {name: batch.column(name).to_pylist() for name in names}
        vectors = _vectors(path, batch.column(_VECTOR), number)
        if vectors.shape[1] != dim:
            raise refused(path, number, f"{vectors.shape[1]} dimensions after rows with {dim}")
        yield Rows(path, number, vectors, columns)
        number += len(vectors)


def _require_density(path: Path, unpacked_bytes: int) -> None:
    """Raise GalleryFileInvalid for vectors that cannot be voices, which hardly compress."""
    if unpacked_bytes > max(_SMALL_BYTES, _MOST_UNPACKED * path.stat().st_size):
        raise GalleryFileInvalid(
            f"{path} unpacks to more than {_MOST_UNPACKED} times its size, the limit;"
            " nothing was imported",
            hint="Vectors of voices do not compress so much: check how the file was written.",
        )


def _vectors(path: Path, column: Any, first: int) -> npt.NDArray[np.floating[Any]]:
    """Return the lists (n, dim) of a column; raises GalleryFileInvalid if they differ in length."""
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (is_list or pa.types.is_fixed_size_list(kind)) or not pa.types.is_floating(
        kind.value_type
    ):
        raise GalleryFileInvalid(
            f"{path}: {_VECTOR} is {kind}", hint="It must be lists of floating-point numbers."
        )
    lengths = column.value_lengths().to_pylist()
    for number, length in enumerate(lengths, start=first):
        if length is None or length != lengths[0]:
            fault = "there is no vector" if length is None else f"{length} dimensions"
            raise refused(path, number, f"{fault}, but the rows before have {lengths[0]}")
    values = column.flatten()  # a null becomes NaN, which is refused later
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(lengths), -1)


def _damaged(path: Path, error: Exception) -> GalleryFileInvalid:
    return GalleryFileInvalid(
        f"{path} is damaged, or is not a readable table: {error}",
        hint="Nothing was imported. Write the file again.",
    )
