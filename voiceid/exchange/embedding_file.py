"""Embeddings that were made elsewhere: an array with a list of names, or a table of Parquet.

They come without recordings, so what is not said of them is not known: neither the embedding
space nor the amount of speech is guessed, and what only audio could tell stays unmeasured.
Vectors are read some thousand at a time, however many there are.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from voiceid.decision.embeddings import unit
from voiceid.domain import (
    EmbeddingSpace,
    Float32Array,
    NewSpeakers,
    QualityReport,
    SpeakerDetails,
    moment,
    speaker_name,
    tag,
)
from voiceid.errors import GalleryFileInvalid, SpaceMismatch, VoiceIDError
from voiceid.exchange.adding import Exchanged, add, is_sha256
from voiceid.exchange.array_file import open_array
from voiceid.exchange.rows import Rows, Table

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Writer

T = TypeVar("T")

_ARRAY, _PARQUET = b"\x93NUMPY", b"PAR1"


@dataclass(frozen=True, slots=True)
class EmbeddingFacts:
    """What holds for all embeddings of a file, where the file does not say it of each.

    ``space`` is the id of their embedding space; ``net_speech_s`` and ``narrowband`` are of the
    speech behind each; ``label`` says where it was recorded; new speakers are put into the
    ``groups``.
    """

    space: str | None = None
    net_speech_s: float | None = None
    narrowband: bool = False
    label: str = ""
    groups: Sequence[str] = ()


def is_embedding_file(path: Path) -> bool:
    """Whether a file begins like an array of NumPy or a table of Parquet."""
    try:
        with path.open("rb") as file:
            return file.read(len(_ARRAY)).startswith((_ARRAY, _PARQUET))
    except OSError:
        return False


def import_embeddings(
    writer: Writer,
    space: EmbeddingSpace,
    path: Path,
    ids: Path | None,
    facts: EmbeddingFacts,
    *,
    append: bool,
) -> Exchanged:
    """Add the speakers of a file of embeddings, in the transaction of ``writer``.

    The file is an array (n, dim) of float in NumPy's format, whose rows ``ids`` names, or a table
    of Parquet.  With ``append``, enrolled speakers get the embeddings that they lack.
    """
    table = _opened(path, ids)
    _require_space(table, facts.space, space)
    now = datetime.now(UTC)
    facts_of = functools.partial(_speakers, space=space, facts=_checked(facts), now=now)
    done = Exchanged(0, 0)
    with writer.bulk.at_scale():
        for first, found in _ahead((rows.first, facts_of(table, rows)) for rows in table.batches):
            where = [f"{path}, row {first + i}: " for i in range(len(found.vectors))]
            done += add(writer, space, found, where, append=append)
    return done


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items of which the next is made by another thread meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(next, items, None)
        while (item := under_way.result()) is not None:
            under_way = pool.submit(next, items, None)
            yield item


def _opened(path: Path, ids: Path | None) -> Table:
    try:
        with path.open("rb") as file:
            start = file.read(len(_ARRAY))
    except OSError as error:
        raise GalleryFileInvalid(f"{path} cannot be read: {error.strerror}") from error
    if start.startswith(_PARQUET):
        # Imported here: of an optional library, and for this alone.
        from voiceid.exchange.parquet_file import open_parquet  # noqa: PLC0415

        if ids is not None:
            raise GalleryFileInvalid(
                f"{path} has the names itself; {ids} is one list too many", hint="Leave it out."
            )
        return open_parquet(path)
    if start != _ARRAY:
        raise GalleryFileInvalid(
            f"{path} is neither an array of NumPy (.npy) nor a table of Parquet",
            hint="`numpy.save` writes the one, `pyarrow.parquet.write_table` the other.",
        )
    if ids is None:
        raise GalleryFileInvalid(
            f"{path} does not say whose its rows are",
            hint="Give the list of the names, one a row: --ids names.txt.",
        )
    return open_array(path, ids)


def _require_space(table: Table, named: str | None, space: EmbeddingSpace) -> None:
    """Raise unless the file is of this space, by what it says and what was said of it."""
    said = {one for one in (table.space, named) if one is not None}
    if not said:
        raise GalleryFileInvalid(
            f"{table.path} does not say of which embedding space it is",
            hint=f"Name the space with --space; the one in use is {space.id}.",
        )
    if said != {space.id} or table.dim != space.dim:
        raise SpaceMismatch(
            f"{table.path} holds vectors of {table.dim} dimensions in {' or '.join(sorted(said))},"
            f" and the space in use is {space.id}, which has {space.dim}",
            hint="Import with the model and the speech settings that they were made with.",
        )


def _checked(facts: EmbeddingFacts) -> Mapping[str, Any]:
    """Return what holds for all rows, by the name of the column that it stands for."""
    return {
        "net_speech_s": None if facts.net_speech_s is None else _seconds(facts.net_speech_s),
        "narrowband": facts.narrowband,
        "label": _label(facts.label),
        "groups": SpeakerDetails(groups=tuple(facts.groups)),
    }


def _speakers(
    table: Table,
    rows: Rows,
    *,
    space: EmbeddingSpace,
    facts: Mapping[str, Any],
    now: datetime,
) -> NewSpeakers:
    """Return the rows as speakers; raises GalleryFileInvalid for the first that cannot be."""
    n = len(rows.vectors)

    def column(name: str, parse: Callable[[Any], T], otherwise: T) -> list[T]:
        values = rows.columns.get(name)
        return [otherwise] * n if values is None else _each(table, rows, name, values, parse)

    vectors = _vectors(table, rows)
    net_speech_s = column("net_speech_s", _seconds, facts["net_speech_s"])
    if None in net_speech_s:
        raise GalleryFileInvalid(
            f"{table.path} does not say how much speech is behind its embeddings",
            hint="Thresholds depend on it: give --net-speech-s, or a column net_speech_s.",
        )
    narrowband = column("narrowband", _flag, facts["narrowband"])
    created_at = column("created_at", _moment, now)
    return NewSpeakers(
        names=_each(table, rows, "name", rows.columns["name"], _name),
        created_at=created_at,
        details=column("groups", _details, facts["groups"]),
        owners=np.arange(n),
        vectors=vectors,
        pcm_sha256=_digests(table, rows, vectors, space),
        source_names=[f"{table.path.name} row {rows.first + i}" for i in range(n)],
        qualities=list(map(_quality, net_speech_s, narrowband)),
        overrides=[()] * n,
        labels=column("label", _label, facts["label"]),
        sampled_at=created_at,
    )


def _each(
    table: Table, rows: Rows, name: str, values: Sequence[Any], parse: Callable[[Any], T]
) -> list[T]:
    made = []
    for number, value in enumerate(values, start=rows.first):
        try:
            made.append(parse(value))
        except (ValueError, TypeError, OverflowError, VoiceIDError) as error:
            raise table.refused(number, f"{name}: {error}") from error
    return made


def _vectors(table: Table, rows: Rows) -> Float32Array:
    """Return the vectors of unit length; raises GalleryFileInvalid for one without a direction."""
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return unit(rows.vectors)
        except ValueError:
            for number, vector in enumerate(rows.vectors, start=rows.first):
                try:
                    unit(vector)
                except ValueError as error:
                    raise table.refused(number, str(error)) from error
            raise


def _digests(
    table: Table, rows: Rows, vectors: Float32Array, space: EmbeddingSpace
) -> Sequence[str]:
    """Return what tells each embedding from others: the recording's hash, else the vector's own.

    So the same vector under two names is found as the same recording would be.
    """
    given = rows.columns.get("pcm_sha256")
    if given is not None:
        return _each(table, rows, "pcm_sha256", given, _digest)
    prefix = f"voiceid embedding {space.id}\n".encode()
    return [
        hashlib.sha256(prefix + vector.tobytes()).hexdigest() for vector in vectors.astype("<f4")
    ]


@functools.lru_cache(maxsize=4096)
def _quality(net_speech_s: float, narrowband: bool) -> QualityReport:
    """Return the report of a clip of which no more is known."""
    return QualityReport(
        duration_s=None,
        net_speech_s=net_speech_s,
        snr_db=None,
        clipped_fraction=None,
        bandwidth_hz=None,
        sample_rate_hz=None,
        level_dbfs=None,
        warnings=("narrowband",) if narrowband else (),
    )


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return speaker_name(value)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} is no number of seconds")
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{value!r} is not above 0 s")
    return seconds


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in {"true", "1"}:
        return True
    if str(value).lower() in {"false", "0"}:
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def _label(value: Any) -> str:
    return tag("label", value) if value else ""


def _details(value: Any) -> SpeakerDetails:
    """Return the groups of a cell, parted by ``;``, or of a list."""
    groups = value.split(";") if isinstance(value, str) else value or ()
    return SpeakerDetails(groups=tuple(group for group in groups if group.strip()))


def _moment(value: Any) -> datetime:
    return moment(value.isoformat() if isinstance(value, datetime) else value)


def _digest(value: Any) -> str:
    if not is_sha256(value):
        raise ValueError(f"{value!r} is no SHA-256 in 64 hex digits")
    return str(value)
