"""Embeddings of other programs: an array with a list of names, or a Parquet table.

They come without recordings: neither the embedding space nor the amount of speech is guessed, and
properties of the audio stay unmeasured.  Vectors are read in batches of some thousands.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from voiceid.decision.embeddings import require_spread, unit
from voiceid.domain import (
    Consent,
    EmbeddingSpace,
    Float32Array,
    NewSpeakers,
    QualityReport,
    SpeakerDetails,
    moment,
    speaker_name,
    tag,
)
from voiceid.errors import GalleryFileInvalid, SpaceMismatch
from voiceid.exchange.adding import is_sha256
from voiceid.exchange.array_file import open_array
from voiceid.exchange.rows import Rows, Table, refused
from voiceid.exchange.sealed_speakers import Batch, SealedSpeakers
from voiceid.foreign_files import Unfit, opened
from voiceid.limited_process import Allowance, Exhausted, results

if TYPE_CHECKING:
    from voiceid.speech.speaker_model import Brought, SpeakerModel

T = TypeVar("T")

_ARRAY, _PARQUET = b"\x93NUMPY", b"PAR1"
_MEMORY_BYTES, _MOST_MEMORY_BYTES, _BYTES_A_S = 192 << 20, 1 << 30, 4 << 20
"""For reading Parquet, in addition to twice the file size; and the least speed of reading."""


@dataclass(frozen=True, slots=True)
class EmbeddingFacts:
    """Facts of all embeddings of a file, used where the file does not give them per row.

    ``space`` is the id of their embedding space; ``net_speech_s`` is the speech behind each;
    ``label`` is the place of recording; new speakers get the ``groups`` and the ``consents``.
    """

    space: str | None = None
    net_speech_s: float | None = None
    label: str = ""
    groups: Sequence[str] = ()
    consents: Sequence[Consent] = ()


def is_embedding_file(path: Path) -> bool:
    """Whether a file starts like a NumPy array or a Parquet table."""
    try:
        with opened(path) as file:
            return file.read(len(_ARRAY)).startswith((_ARRAY, _PARQUET))
    except (OSError, Unfit):
        return False


def read_embeddings(
    model: SpeakerModel, path: Path, ids: Path | None, facts: EmbeddingFacts
) -> SealedSpeakers:
    """Read and check the speakers of a file of embeddings; raises GalleryFileInvalid.

    The file is a float array (n, dim) in NumPy's format, with the names of its rows in ``ids``, or
    a Parquet table.
    """
    table = _opened(path, ids)
    brought = _brought(table, facts.space, model)
    return SealedSpeakers(model.space, _batches(table, brought, model.space, _checked(facts)))


def _batches(
    table: Table, brought: Brought, space: EmbeddingSpace, facts: Mapping[str, Any]
) -> Iterator[Batch]:
    now = datetime.now(UTC)
    for rows in table.batches:
        where = [f"{rows.path}, row {rows.first + i}: " for i in range(len(rows.vectors))]
        yield _speakers(rows, _vectors(rows, brought), space, facts, now), where


def _opened(path: Path, ids: Path | None) -> Table:
    try:
        with opened(path) as file:
            start = file.read(len(_ARRAY))
    except (OSError, Unfit) as error:
        why = getattr(error, "strerror", error)
        raise GalleryFileInvalid(f"{path} cannot be read: {why}") from error
    if start.startswith(_PARQUET):
        if ids is not None:
            raise GalleryFileInvalid(
                f"{path} contains the names; the list {ids} is not needed", hint="Leave it out."
            )
        return _open_parquet(path)
    if start != _ARRAY:
        raise GalleryFileInvalid(
            f"{path} is neither a NumPy array (.npy) nor a Parquet table",
            hint="Write an array with `numpy.save`, or a table with `pyarrow.parquet.write_table`.",
        )
    if ids is None:
        raise GalleryFileInvalid(
            f"{path} does not contain the names of its rows",
            hint="Give a list with one name per row: --ids names.txt.",
        )
    return open_array(path, ids)


def _open_parquet(path: Path) -> Table:
    """Return the rows of a Parquet table, which another process reads meanwhile."""
    size = path.stat().st_size
    allowance = Allowance(_MEMORY_BYTES + min(2 * size, _MOST_MEMORY_BYTES), 8 + size // _BYTES_A_S)

    def read() -> Iterator[Any]:
        try:
            yield from results("voiceid.exchange.parquet_file:read_table", (path,), allowance)
        except Exhausted as error:
            raise GalleryFileInvalid(
                f"{path} cannot be read: {error}; nothing was imported",
                hint="Write it in pages of some MB (pyarrow's default), with short texts.",
            ) from error

    rows = read()
    dim, space = next(rows)
    return Table(path, dim, space, rows)


def _brought(table: Table, caller_space: str | None, model: SpeakerModel) -> Brought:
    """Return the conversion to the model's space, from the space that file or caller names."""
    spaces = {space for space in (table.space, caller_space) if space is not None}
    if not spaces:
        raise GalleryFileInvalid(
            f"{table.path} does not name its embedding space",
            hint=f"Name the space with --space; the one in use is {model.space.id}.",
        )
    try:
        return model.brought(" or ".join(sorted(spaces)), table.dim)
    except SpaceMismatch as error:
        raise SpaceMismatch(
            f"{table.path}: {error.message}",
            hint="Import with the model and the speech settings that made the embeddings.",
        ) from error


def _checked(facts: EmbeddingFacts) -> Mapping[str, Any]:
    """Return the facts of all rows, by column."""
    try:
        seconds = None if facts.net_speech_s is None else _seconds(facts.net_speech_s)
    except (TypeError, ValueError, OverflowError) as error:
        raise GalleryFileInvalid(
            f"net_speech_s is invalid: {error}", hint="Pass a number of seconds above 0."
        ) from error
    return {
        "net_speech_s": seconds,
        "label": _label(facts.label),
        "groups": SpeakerDetails(groups=tuple(facts.groups)),
        "consents": tuple(facts.consents),
    }


def _speakers(
    rows: Rows,
    vectors: Float32Array,
    space: EmbeddingSpace,
    facts: Mapping[str, Any],
    now: datetime,
) -> NewSpeakers:
    """Return the rows as speakers; raises GalleryFileInvalid for the first invalid row."""
    n = len(rows.vectors)

    def column(name: str, parse: Callable[[Any], T], otherwise: T) -> list[T]:
        return rows.parsed(name, parse) if name in rows.columns else [otherwise] * n

    net_speech_s = column("net_speech_s", _seconds, facts["net_speech_s"])
    if None in net_speech_s:
        raise GalleryFileInvalid(
            f"{rows.path} does not say how much speech is behind its embeddings",
            hint="Thresholds depend on it: give --net-speech-s, or a column net_speech_s.",
        )
    created_at = column("created_at", _moment, now)
    return NewSpeakers(
        names=rows.parsed("name", _name),
        created_at=created_at,
        details=_consented(column("groups", _details, facts["groups"]), facts["consents"]),
        owners=np.arange(n),
        vectors=vectors,
        pcm_sha256=_digests(rows, vectors, space),
        source_names=[f"{rows.path.name} row {rows.first + i}" for i in range(n)],
        qualities=list(map(_quality, net_speech_s)),
        overrides=[()] * n,
        labels=column("label", _label, facts["label"]),
        sampled_at=created_at,
    )


def _consented(
    details: Sequence[SpeakerDetails], consents: tuple[Consent, ...]
) -> Sequence[SpeakerDetails]:
    """Return details with consents; equal details share one object."""
    if not consents:
        return details
    with_consents = {plain: replace(plain, consents=consents) for plain in set(details)}
    return [with_consents[plain] for plain in details]


def _vectors(rows: Rows, brought: Brought) -> Float32Array:
    """Return the model's embeddings; raises GalleryFileInvalid for a row without a direction."""

    def converted(vectors: Float32Array) -> Float32Array:
        vectors = unit(vectors)
        require_spread(vectors)
        return brought(vectors)

    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return converted(rows.vectors)
        except ValueError:
            for number, vector in enumerate(rows.vectors, start=rows.first):
                try:
                    converted(vector)
                except ValueError as error:
                    raise refused(rows.path, number, str(error)) from error
            raise


def _digests(rows: Rows, vectors: Float32Array, space: EmbeddingSpace) -> Sequence[str]:
    """Return the SHA-256 of each recording; if not given, of its vector.

    The same vector under two names is then refused, like the same recording.
    """
    if "pcm_sha256" in rows.columns:
        return rows.parsed("pcm_sha256", _digest)
    prefix = f"voiceid embedding {space.id}\n".encode()
    return [hashlib.sha256(prefix + v.tobytes()).hexdigest() for v in vectors.astype("<f4")]


@functools.lru_cache(maxsize=4096)
def _quality(net_speech_s: float) -> QualityReport:
    """Return the quality report of a clip with no other known facts."""
    return QualityReport(
        duration_s=None,
        net_speech_s=net_speech_s,
        snr_db=None,
        clipped_fraction=None,
        bandwidth_hz=None,
        sample_rate_hz=None,
        level_dbfs=None,
    )


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return speaker_name(value)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} is not a number of seconds")
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{value!r} is not above 0 s")
    return seconds


def _label(value: Any) -> str:
    return tag("label", value) if value else ""


def _details(value: Any) -> SpeakerDetails:
    """Return the groups of a cell, separated by ``;``, or of a list."""
    groups = value.split(";") if isinstance(value, str) else value or ()
    return SpeakerDetails(groups=tuple(group for group in groups if group.strip()))


def _moment(value: Any) -> datetime:
    return moment(value.isoformat() if isinstance(value, datetime) else value)


def _digest(value: Any) -> str:
    if not is_sha256(value):
        raise ValueError(f"{value!r} is not a SHA-256 in 64 hex digits")
    return str(value)
