"""Many new speakers at once, some thousand rows a statement.

It writes the rows that ``writer.speakers.add`` and ``writer.samples.add`` would write.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import numpy as np
from sqlalchemy import Column, Table, func, insert, select

from voiceid.decision import embeddings
from voiceid.decision.transforms import Transform
from voiceid.domain import (
    EmbeddingSpace,
    Float32Array,
    NewSpeakers,
    SpeakerDetails,
    speaker_key,
    telephone_share,
)
from voiceid.protection import Key
from voiceid.store import stored_rows
from voiceid.store.centroid_table import CentroidWriter
from voiceid.store.change_feed import random_token
from voiceid.store.similar_names import keep_looks
from voiceid.store.snapshot import Snapshot
from voiceid.store.tables import centroids, changes, memberships, metadata, samples, speakers

T = TypeVar("T")
U = TypeVar("U")
Rows: TypeAlias = list[tuple[object, ...]]

_CACHE_KIB = 256 * 1024
"""SQLite's cache while many rows are written: their indexes are written in random order."""
_PARAMETERS = 32_766
"""At most in one statement; an older SQLite takes fewer (sqlite.org/limits.html, 9)."""


class BulkWriter:
    """Adds many new speakers."""

    def __init__(self, snapshot: Snapshot, centroids: CentroidWriter) -> None:
        self._connection, self._effects = snapshot.connection, snapshot.effects
        self._protection = snapshot.protection
        self._know, self._centroids = snapshot.spaces.know, centroids

    @contextmanager
    def at_scale(self) -> Iterator[None]:
        """Prepare the database for many rows: let SQLite use more memory (256 MiB) meanwhile.

        PostgreSQL counts the rows afterwards: else sessions go on with plans for small tables.
        """
        if self._connection.dialect.name != "sqlite":
            yield
            self._connection.exec_driver_sql(f"ANALYZE {', '.join(metadata.tables)}")
            return
        before = self._connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
        self._connection.exec_driver_sql(f"PRAGMA cache_size={-_CACHE_KIB}")
        try:
            yield
        finally:
            self._connection.exec_driver_sql(f"PRAGMA cache_size={before}")

    def add(self, space: EmbeddingSpace, new: NewSpeakers) -> None:
        """Add speakers with free names and their samples, and derive the centroids.

        Raises ValueError for vectors that are not unit vectors of the space, and StoreError when a
        name is taken or a speaker would have a recording twice.
        """
        if new.vectors.shape[1:] != (space.dim,) or not embeddings.is_unit(new.vectors):
            raise ValueError(f"vectors {new.vectors.shape} are not unit vectors of {space.id}")
        self._know(space)
        secrets = [self._protection.new_key() for _ in new.names]
        before = self._newest(speakers.c.id)
        rows = _speaker_rows(new, list(map(speaker_key, new.names)), self._effects.now)
        self._insert(speakers, _SPEAKER, self._sealed_speakers(rows, secrets, new.details))
        query = select(speakers.c.id).where(speakers.c.id > before).order_by(speakers.c.id)
        ids = self._connection.execute(query).scalars().all()  # they rise as rows are inserted
        self._protection.keep(dict(zip(ids, secrets, strict=True)))
        keep_looks(self._connection, self._protection, dict(zip(ids, new.names, strict=True)))
        self._effects.enrolled.update(ids)
        pairs = zip(ids, new.details, strict=True)
        joined = [(group, id_) for id_, details in pairs for group in details.groups]
        self._insert(memberships, ("group_name", "speaker_id"), joined)
        sampled = _sample_rows(new, ids, space.id)
        self._insert(
            samples, _SAMPLE, self._stored(_SAMPLE, sampled, self._protection.stored_sample)
        )
        for space_id, transform in self._centroids.targets(space.id):
            self._add_centroids(space_id, new, ids, transform)

    def _add_centroids(
        self, space_id: str, new: NewSpeakers, ids: Sequence[int], transform: Transform | None
    ) -> None:
        before = self._newest(centroids.c.id)
        rows = _centroid_rows(new, ids, space_id, transform)
        stored = self._stored(_CENTROID, rows, self._protection.centroids.stored)
        self._insert(centroids, _CENTROID, stored)
        added = select(centroids.c.id, random_token(self._connection)).where(
            centroids.c.id > before
        )
        feed = insert(changes).from_select(("centroid_id", "token"), added.order_by(centroids.c.id))
        self._connection.execute(feed)
        self._effects.touched.add(space_id)

    def _sealed_speakers(
        self, rows: Rows, secrets: Sequence[Key | None], details: Sequence[SpeakerDetails]
    ) -> Rows:
        if self._protection.sealing is None:
            return rows
        sealed = []
        for row, key, own in zip(rows, secrets, details, strict=True):
            values: dict[str, Any] = dict(zip(_SPEAKER, row, strict=True))
            values["name_key"] = self._protection.name_key(values["name_key"])
            groups = stored_rows.GROUP_SEPARATOR.join(own.groups)
            values |= self._protection.speaker_columns(key, values | {"groups": groups})
            sealed.append(tuple(values.values()))
        return sealed

    def _stored(
        self,
        columns: Sequence[str],
        rows: Rows,
        convert: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Rows:
        """Return rows as they are stored."""
        if self._protection.vault is None:
            return rows
        stored = (convert(dict(zip(columns, row, strict=True))) for row in rows)
        return [tuple(row[name] for name in columns) for row in stored]

    def _newest(self, id_: Column[int]) -> int:
        return int(self._connection.execute(select(func.max(id_))).scalar() or 0)

    def _insert(
        self, table: Table, columns: Sequence[str], values: Sequence[tuple[object, ...]]
    ) -> None:
        """Insert rows, some thousand in a statement if the driver takes them unchanged.

        One statement for many rows is faster, and lets other threads work meanwhile.
        """
        if not values:
            return
        dialect = self._connection.dialect
        statement = insert(table).compile(dialect=dialect, column_keys=list(columns))
        if not (statement.positional and statement.positiontup == list(columns)):
            named = [dict(zip(columns, row, strict=True)) for row in values]
            self._connection.execute(insert(table), named)
            return
        start, row = str(statement).rsplit("VALUES", 1)
        driver: Any = self._connection.connection.driver_connection
        limit = driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        at_once = min(_PARAMETERS, limit) // len(columns)
        for i in range(0, len(values), at_once):
            rows = values[i : i + at_once]
            many = f"{start}VALUES{', '.join([row] * len(rows))}"
            self._connection.exec_driver_sql(many, tuple(itertools.chain.from_iterable(rows)))


_SPEAKER, _SAMPLE, _CENTROID = (
    tuple(column.name for column in table.c if column.name != "id")
    for table in (speakers, samples, centroids)
)
"""Columns in the order of the tables, as a compiled statement takes them."""


def _speaker_rows(new: NewSpeakers, keys: Sequence[str], now: str) -> list[tuple[object, ...]]:
    facts = _each(new.details, lambda details: _facts(details, now))
    created_at = _each(new.created_at, datetime.isoformat)
    return list(zip(new.names, keys, created_at, itertools.repeat(now), *zip(*facts, strict=True)))


def _facts(details: SpeakerDetails, now: str) -> tuple[str | None, ...]:
    """Return metadata, expiry, time of disabling, consents, their end, and no last use."""
    consents, end = stored_rows.consent_columns(details.consents, now)
    return (
        json.dumps({k: v for k, v in details.metadata.items() if v is not None}),
        None if details.expires_at is None else details.expires_at.isoformat(),
        now if details.enabled is False else None,
        consents,
        end,
        None,
    )


def _sample_rows(new: NewSpeakers, ids: Sequence[int], space_id: str) -> list[tuple[object, ...]]:
    return list(
        zip(
            [ids[owner] for owner in new.owners.tolist()],
            itertools.repeat(space_id),
            _bytes(new.vectors),
            new.pcm_sha256,
            new.source_names,
            [quality.net_speech_s for quality in new.qualities],
            _each(new.qualities, lambda quality: json.dumps(quality.exact())),
            _each(new.overrides, lambda codes: json.dumps(list(codes))),
            _each(new.sampled_at, datetime.isoformat),
            new.labels,
        )
    )


def _centroid_rows(
    new: NewSpeakers, ids: Sequence[int], space_id: str, transform: Transform | None
) -> list[tuple[object, ...]]:
    telephone = np.array([telephone_share([quality.telephone]) for quality in new.qualities])
    speech_s = [quality.net_speech_s for quality in new.qualities]
    bounds = np.searchsorted(new.owners, np.arange(len(ids) + 1)).tolist()
    runs = list(itertools.pairwise(bounds))
    return list(
        zip(
            ids,
            itertools.repeat(space_id),
            _bytes(_centroids(new.vectors, bounds, transform)),
            [last - first for first, last in runs],
            [float(telephone[first:last].mean()) for first, last in runs],
            [sum(speech_s[first:last]) for first, last in runs],
        )
    )


def _each(values: Sequence[T], convert: Callable[[T], U]) -> list[U]:
    """Convert each value, once for each object: in an import most objects repeat."""
    objects = {id(value): value for value in values}
    by_id = {key: convert(value) for key, value in objects.items()}
    return [by_id[id(value)] for value in values]


def _bytes(vectors: Float32Array) -> list[bytes]:
    """Return each vector of (n, dim) as it is stored."""
    data = np.ascontiguousarray(vectors, dtype="<f4")
    stored: list[bytes] = data.view(np.dtype((np.void, 4 * data.shape[1])))[:, 0].tolist()
    return stored


def _centroids(
    vectors: Float32Array, bounds: Sequence[int], transform: Transform | None
) -> Float32Array:
    """Return the centroid of each run of vectors, bit for bit as if computed alone."""
    if transform is None and len(bounds) - 1 == len(vectors):
        return embeddings.unit(embeddings.unit(vectors))
    runs = [slice(first, last) for first, last in itertools.pairwise(bounds)]
    return np.stack([stored_rows.mean_of(vectors[run], transform) for run in runs])
