"""Many new speakers at once: one statement a table, whoever many rows there are.

What it writes is what :meth:`voiceid.store.Writer.add_speaker` and ``add_samples`` would have
written, row by row.
"""

from __future__ import annotations

import functools
import itertools
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Column, Table, func, insert, select

from voiceid import embeddings
from voiceid.adaptation.transforms import Transform
from voiceid.domain import (
    EmbeddingSpace,
    Float32Array,
    NewSpeakers,
    QualityReport,
    SpeakerDetails,
    speaker_key,
)
from voiceid.store import rows
from voiceid.store.fitted import FittedWriter
from voiceid.store.tables import centroids, changes, memberships, samples, speakers

_CACHE_KIB = 256 * 1024
"""Of SQLite while many rows are written: their indexes are written to in no order."""


class BulkWriter(FittedWriter):
    """Adds many new speakers."""

    @contextmanager
    def at_scale(self) -> Iterator[None]:
        """Let the database use more memory for what is written meanwhile: 256 MiB."""
        if self._connection.dialect.name != "sqlite":
            yield
            return
        before = self._connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
        self._connection.exec_driver_sql(f"PRAGMA cache_size={-_CACHE_KIB}")
        try:
            yield
        finally:
            self._connection.exec_driver_sql(f"PRAGMA cache_size={before}")

    def add_speakers(self, space: EmbeddingSpace, new: NewSpeakers) -> None:
        """Add speakers whose names are free, with their samples, and derive their centroids.

        Raises
        ------
        ValueError
            A vector is none of the space, or has no unit length.
        StoreError
            A name is taken, or a speaker would have a recording twice.
        """
        if new.vectors.shape[1:] != (space.dim,) or not embeddings.is_unit(new.vectors):
            raise ValueError(f"vectors {new.vectors.shape} are no unit vectors of {space.id}")
        self.know_space(space)
        now = datetime.now(UTC).isoformat()
        keys = list(map(speaker_key, new.names))
        before = self._newest(speakers.c.id)
        self._insert(speakers, _SPEAKER, _speaker_rows(new, keys, now))
        ids = self._ids_after(speakers.c.id, before)
        joined = [
            (group, id_) for id_, one in zip(ids, new.details, strict=True) for group in one.groups
        ]
        self._insert(memberships, ("group_name", "speaker_id"), joined)
        self._insert(samples, _SAMPLE, _sample_rows(new, ids, space.id))
        self._add_centroids(space.id, new, ids, None)
        for one in self.adaptations(space.id):
            self._add_centroids(one.adapted_id, new, ids, one.transform)

    def _add_centroids(
        self, space_id: str, new: NewSpeakers, ids: Sequence[int], transform: Transform | None
    ) -> None:
        before = self._newest(centroids.c.id)
        made = _centroid_rows(new, ids, space_id, transform)
        self._insert(centroids, _CENTROID, made)
        centroid_ids = self._ids_after(centroids.c.id, before)
        tokens = secrets.token_bytes(8 * len(centroid_ids)).hex()
        told = [(id_, tokens[16 * i : 16 * i + 16]) for i, id_ in enumerate(centroid_ids)]
        self._insert(changes, ("centroid_id", "token"), told)

    def _newest(self, id_: Column[int]) -> int:
        return int(self._connection.execute(select(func.max(id_))).scalar() or 0)

    def _ids_after(self, id_: Column[int], before: int) -> Sequence[int]:
        """Return the ids of the rows after one: ids rise in the order that rows are inserted."""
        query = select(id_).where(id_ > before).order_by(id_)
        return self._connection.execute(query).scalars().all()

    def _insert(
        self, table: Table, columns: Sequence[str], values: Sequence[tuple[object, ...]]
    ) -> None:
        """Insert rows; where the driver takes them as they are, without a dictionary for each."""
        if not values:
            return
        statement = insert(table).compile(
            dialect=self._connection.dialect, column_keys=list(columns)
        )
        if statement.positional and statement.positiontup == list(columns):
            self._connection.exec_driver_sql(str(statement), list(values))
        else:
            named = [dict(zip(columns, row, strict=True)) for row in values]
            self._connection.execute(insert(table), named)


_SPEAKER = (
    *("name", "name_key", "created_at", "updated_at", "metadata", "expires_at", "disabled_at"),
)
_SAMPLE = (
    *("speaker_id", "space_id", "vector", "pcm_sha256", "source_name", "net_speech_s"),
    *("quality", "overrides", "created_at", "label"),
)
_CENTROID = ("speaker_id", "space_id", "vector", "n_samples", "n_narrowband", "net_speech_s")
"""Columns in the order of the tables, as a compiled statement takes them."""


def _speaker_rows(new: NewSpeakers, keys: Sequence[str], now: str) -> list[tuple[object, ...]]:
    return [
        (name, key, _iso(created_at), now, *_facts(details, now))
        for name, key, created_at, details in zip(
            new.names, keys, new.created_at, new.details, strict=True
        )
    ]


_iso = functools.lru_cache(maxsize=1024)(datetime.isoformat)


@functools.lru_cache(maxsize=64)
def _facts(details: SpeakerDetails, now: str) -> tuple[str, str | None, str | None]:
    """Return metadata, expiry and since when disabled; of many speakers they are the same."""
    return (
        json.dumps({k: v for k, v in details.metadata.items() if v is not None}),
        None if details.expires_at is None else details.expires_at.isoformat(),
        now if details.enabled is False else None,
    )


@functools.lru_cache(maxsize=1024)
def _quality(report: QualityReport) -> str:
    return json.dumps(report.exact())


@functools.lru_cache(maxsize=1024)
def _overrides(codes: tuple[str, ...]) -> str:
    return json.dumps(list(codes))


def _sample_rows(new: NewSpeakers, ids: Sequence[int], space_id: str) -> list[tuple[object, ...]]:
    data = new.vectors.astype("<f4")
    return [
        (
            *(ids[owner], space_id, vector.tobytes(), digest, source, quality.net_speech_s),
            *(_quality(quality), _overrides(overrides), _iso(created_at), label),
        )
        for owner, vector, digest, source, quality, overrides, created_at, label in zip(
            new.owners.tolist(),
            data,
            new.pcm_sha256,
            new.source_names,
            new.qualities,
            new.overrides,
            new.sampled_at,
            new.labels,
            strict=True,
        )
    ]


def _centroid_rows(
    new: NewSpeakers, ids: Sequence[int], space_id: str, transform: Transform | None
) -> list[tuple[object, ...]]:
    narrow = np.array([quality.narrowband for quality in new.qualities])
    speech_s = [quality.net_speech_s for quality in new.qualities]
    bounds = np.searchsorted(new.owners, np.arange(len(ids) + 1)).tolist()
    n_narrow = np.add.reduceat(narrow.astype(np.int64), bounds[:-1]).tolist()
    vectors = _centroids(new.vectors, narrow, bounds, transform).astype("<f4")
    return [
        (id_, space_id, vector.tobytes(), last - first, n, sum(speech_s[first:last]))
        for id_, vector, n, (first, last) in zip(
            ids, vectors, n_narrow, itertools.pairwise(bounds), strict=True
        )
    ]


def _centroids(
    vectors: Float32Array, narrow: Any, bounds: Sequence[int], transform: Transform | None
) -> Float32Array:
    """Return the centroid of each run of vectors, to the bit what one by one would make."""
    if transform is None and len(bounds) - 1 == len(vectors):
        return embeddings.unit(embeddings.unit(vectors))
    runs = [slice(first, last) for first, last in itertools.pairwise(bounds)]
    return np.stack([rows.mean_of(vectors[run], narrow[run], transform) for run in runs])
