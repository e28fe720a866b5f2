"""Centroids on PostgreSQL: pgvector's `vector`, and codes that a search looks through first.

In Python a centroid's vector is bytes, little-endian float32, whatever the database.  On
PostgreSQL the column itself is pgvector's `vector`: the same float32 numbers, and no second
column that could say something else.

Beside the rows, for spaces that are large, there are *codes*: three bits for each component of
a vector, whether it is above the gallery's mean, and above one standard deviation more or less.
How many bits differ is how far apart two voices are, roughly; to count them takes a part of the
time that the vectors take, and the nearest by code are compared by their vectors.
A trigger keeps codes in the transaction that changes a centroid, so they are in step with every
snapshot; they can be thrown away at any time.  Their two tables, `codings` (mean and deviations
of a space, and what a search through its codes was measured to lose) and `codes`, and the
function `voice_code` are made by the revisions 0001 and 0005 on PostgreSQL alone, and nothing
but this module knows them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Dialect, LargeBinary, Row, func, text
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine, UserDefinedType

from voiceid.domain import Float32Array

_HEADER = struct.Struct(">HH")
"""Before the numbers, big-endian, pgvector sends their count and 16 bits that are unused."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How a space's codes are searched.

    Parameters
    ----------
    share : float
        Of the gallery: how many of the nearest by code are compared by their vectors.
    missed, queries : int
        How many of so many lost whom a search of all vectors finds, when it was made.
    """

    share: float
    missed: int
    queries: int


class VectorBytes(UserDefinedType[bytes]):
    """pgvector's `vector`, as bytes of little-endian float32 in Python."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name in SQL."""
        return "vector"

    def bind_processor(self, dialect: Dialect) -> Callable[[bytes | None], OnWire | None]:
        """See SQLAlchemy's `TypeEngine`."""
        del dialect
        return lambda value: None if value is None else OnWire.of(np.frombuffer(value, "<f4"))

    def column_expression(self, colexpr: ColumnElement[bytes]) -> ColumnElement[bytes]:
        """See SQLAlchemy's `TypeEngine`: numbers come in as they are sent over the wire."""
        return func.vector_send(colexpr, type_=self)

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[bytes | None], bytes | None]:
        """See SQLAlchemy's `TypeEngine`."""
        del dialect, coltype
        return lambda value: None if value is None else _little_endian(value)


VECTOR: TypeEngine[bytes] = LargeBinary().with_variant(VectorBytes(), "postgresql")
"""The type of a centroid's vector."""


class OnWire(bytes):
    """A vector as pgvector sends and receives it: far faster to make and to read than its text."""

    @classmethod
    def of(cls, vector: Float32Array) -> OnWire:
        """Return a vector (dim,) in that form."""
        return cls(_HEADER.pack(len(vector), 0) + vector.astype(">f4").tobytes())


def speak_binary(connection: Any) -> None:
    """Teach a connection of psycopg to send `OnWire` as it is; the server knows what is wanted."""
    from psycopg.adapt import Dumper  # noqa: PLC0415 - only where there is such a connection
    from psycopg.pq import Format  # noqa: PLC0415 - as above

    class AsItIs(Dumper):
        format = Format.BINARY

        def dump(self, obj: OnWire) -> bytes:
            return bytes(obj)

    connection.adapters.register_dumper(OnWire, AsItIs)


def nearest(
    connection: Connection, space_id: str, query: Float32Array, n: int, *, group: str | None
) -> list[Row[Any]]:
    """Return id and vector of the ``n`` centroids nearest to (dim,), best first, of all rows."""
    rows = f"""
        SELECT c.id, c.vector FROM centroids AS c
        WHERE c.space_id = :space {_members(group)}
        ORDER BY c.vector <#> CAST(:query AS vector), c.id LIMIT :n
    """  # noqa: S608
    return _found(connection, rows, {"space": space_id, "n": n, "group": group}, query)


def nearest_by_code(
    connection: Connection,
    space_id: str,
    query: Float32Array,
    n: int,
    *,
    group: str | None,
    candidates: int,
) -> list[Row[Any]]:
    """Return id and vector of the ``n`` best of the ``candidates`` that are nearest by code.

    The group's members alone are looked at, before the nearest are taken.
    """
    rows = f"""
        SELECT c.id, c.vector FROM centroids AS c WHERE c.id = ANY (ARRAY(
            SELECT c.centroid_id FROM codes AS c
            WHERE c.space_id = :space {_members(group)}
            ORDER BY c.code <~> (
                SELECT voice_code(CAST(:query AS vector), mean, spread)
                FROM codings WHERE space_id = :space
            ), c.centroid_id LIMIT :candidates
        ))
        ORDER BY c.vector <#> CAST(:query AS vector), c.id LIMIT :n
    """  # noqa: S608
    values = {"space": space_id, "n": n, "group": group, "candidates": candidates}
    return _found(connection, rows, values, query)


def coding(connection: Connection, space_id: str) -> Coding | None:
    """Return how a space is coded, or None where it is not."""
    found = text("SELECT share, missed, queries FROM codings WHERE space_id = :space")
    row = connection.execute(found, {"space": space_id}).first()
    return None if row is None else Coding(row.share, row.missed, row.queries)


def mean_and_sample(
    connection: Connection, space_id: str, n: int
) -> tuple[Float32Array, Float32Array]:
    """Return the mean (dim,) of a space's centroids, and (n, dim) of them, drawn as by chance."""
    mean = text("SELECT vector_send(avg(vector)) AS vector FROM centroids WHERE space_id = :space")
    drawn = text(
        "SELECT vector_send(vector) AS vector FROM (SELECT vector FROM centroids"
        " WHERE space_id = :space ORDER BY hashint8(id) LIMIT :n) AS drawn"
    )
    values = {"space": space_id, "n": n}
    [middle] = connection.execute(mean.columns(vector=VECTOR), values).scalars()
    some = connection.execute(drawn.columns(vector=VECTOR), values).scalars().all()
    numbers = np.frombuffer(b"".join(some), dtype="<f4").reshape(len(some), -1)
    return np.frombuffer(middle, dtype="<f4"), numbers


def make_codes(
    connection: Connection,
    space_id: str,
    mean: Float32Array,
    spread: Float32Array,
    made: Coding,
) -> None:
    """Code a space anew, around the mean (dim,) and standard deviations (dim,) of its vectors."""
    drop_codes(connection, space_id)
    numbers = {"mean": OnWire.of(mean), "spread": OnWire.of(spread)}
    connection.execute(
        text(
            "INSERT INTO codings (space_id, mean, spread, share, missed, queries) VALUES (:space,"
            " CAST(:mean AS vector), CAST(:spread AS vector), :share, :missed, :queries)"
        ),
        {"space": space_id, **numbers, **asdict(made)},
    )
    connection.execute(
        text(
            "INSERT INTO codes (centroid_id, space_id, speaker_id, code)"
            " SELECT c.id, space_id, c.speaker_id, voice_code(c.vector, mean, spread)"
            " FROM centroids AS c JOIN codings USING (space_id) WHERE space_id = :space"
        ),
        {"space": space_id},
    )
    connection.execute(text("ANALYZE codes"))


def drop_codes(connection: Connection, space_id: str) -> None:
    """Leave a space without codes: searches go through all rows."""
    for table in ("codes", "codings"):
        connection.execute(
            text(f"DELETE FROM {table} WHERE space_id = :space"),  # noqa: S608
            {"space": space_id},
        )


def faults(connection: Connection) -> list[str]:
    """Return what is wrong beside the rows, in sentences; references PostgreSQL enforces itself."""
    unused = connection.exec_driver_sql(
        "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace"
    )
    wrong = connection.exec_driver_sql(
        "SELECT c.id FROM centroids AS c JOIN codings AS g USING (space_id)"
        " LEFT JOIN codes AS k ON k.centroid_id = c.id"
        " WHERE k.code IS DISTINCT FROM voice_code(c.vector, g.mean, g.spread)"
    )
    return [f"PostgreSQL: the index {name} is not usable" for name in unused.scalars()] + [
        f"the code of centroid {number} is not what its vector makes: `voiceid index rebuild`"
        for number in wrong.scalars()
    ]


def _members(group: str | None) -> str:
    """Return the condition that lets only the members of a group through."""
    if group is None:
        return ""
    return (
        "AND EXISTS (SELECT 1 FROM memberships AS m"
        " WHERE m.speaker_id = c.speaker_id AND m.group_name = :group)"
    )


def _found(
    connection: Connection, rows: str, values: dict[str, object], query: Float32Array
) -> list[Row[Any]]:
    """Run a search; only what it found is made ready to be sent."""
    sql = text(
        f"WITH found AS MATERIALIZED ({rows}) SELECT id, vector_send(vector) AS vector FROM found"  # noqa: S608
    )
    given = {key: value for key, value in values.items() if value is not None}
    return list(
        connection.execute(sql.columns(vector=VECTOR), {**given, "query": OnWire.of(query)})
    )


def _little_endian(sent: bytes) -> bytes:
    return np.frombuffer(sent, dtype=">f4", offset=_HEADER.size).astype("<f4").tobytes()
