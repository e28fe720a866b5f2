"""Centroids on PostgreSQL: the column type, the search in SQL, and pgvector's HNSW index.

In Python a centroid's vector is little-endian float32 bytes for every database; on PostgreSQL the
column is pgvector's `vector`.  A search compares all rows of a space: it sorts only ids and
cosines, and reads the vectors of the best afterwards.  A cast to `halfvec` makes it slower
(docs/postgres.md).  The comment of an HNSW index, which is optional, holds its measured loss.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import Connection, Dialect, LargeBinary, func, text
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine, UserDefinedType

from voiceid.domain import CentroidTable, Float32Array, tag
from voiceid.store import stored_rows

HNSW_M, HNSW_EF_CONSTRUCTION = 32, 200
"""Neighbours of a point, and candidates at insertion.  pgvector's defaults, 16 and 64, lose every
second speaker at 100,000 (docs/postgres.md)."""
_PLAN_FOR_VALUES = "SET LOCAL plan_cache_mode = force_custom_plan"
"""A plan that is kept for all values uses no index of one space, and does not know large groups."""
_NOTED = re.compile(r"ef_search (\d+), (\d+) of (\d+) lost", re.ASCII)
_HEADER = struct.Struct(">HH")
"""Before the numbers pgvector sends, big-endian, their count and 16 unused bits."""


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
        """See SQLAlchemy's `TypeEngine`: numbers are read in pgvector's binary form."""
        return func.vector_send(colexpr, type_=self)

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[bytes | None], bytes | None]:
        """See SQLAlchemy's `TypeEngine`."""
        del dialect, coltype
        return lambda value: None if value is None else OnWire.read(value)


VECTOR: TypeEngine[bytes] = LargeBinary().with_variant(VectorBytes(), "postgresql")
"""The type of a centroid's vector."""


class OnWire(bytes):
    """A vector in pgvector's binary form, which is far faster than its text form."""

    @classmethod
    def of(cls, vector: Float32Array) -> OnWire:
        """Return a vector (dim,) in binary form."""
        return cls(_HEADER.pack(len(vector), 0) + vector.astype(">f4").tobytes())

    @staticmethod
    def read(sent: bytes) -> bytes:
        """Return the little-endian float32 bytes of a vector in binary form."""
        return np.frombuffer(sent, dtype=">f4", offset=_HEADER.size).astype("<f4").tobytes()


def speak_binary(connection: Any) -> None:
    """Make a psycopg connection send `OnWire` unchanged; the server infers the type."""
    from psycopg.adapt import Dumper  # noqa: PLC0415 - only where there is such a connection
    from psycopg.pq import Format  # noqa: PLC0415 - as above

    class AsItIs(Dumper):
        format = Format.BINARY

        def dump(self, obj: OnWire) -> bytes:
            return bytes(obj)

    connection.adapters.register_dumper(OnWire, AsItIs)


class RowSearch:
    """The search of a database that compares its rows itself, and its HNSW indexes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def nearest(
        self,
        space_id: str,
        query: Float32Array,
        n: int,
        group: str | None = None,
        ef_search: int | None = None,
    ) -> CentroidTable:
        """Return the ``n`` centroids of a space nearest to a unit vector (dim,), in no order.

        Compares all rows, or the members of a group; with ``ef_search``, that many candidates of
        the HNSW index instead.
        """
        values: dict[str, object] = {"space": space_id, "query": OnWire.of(query), "n": n}
        rows, members, settings = "centroids", "", _PLAN_FOR_VALUES
        if group is not None:
            values["group"] = tag("group", group)
            members = (
                "AND EXISTS (SELECT 1 FROM memberships AS m"
                " WHERE m.speaker_id = c.speaker_id AND m.group_name = :group)"
            )
        elif ef_search is not None:
            settings += f"; SET LOCAL hnsw.ef_search = {ef_search:d}"
            values["candidates"] = ef_search
            half = f"AS halfvec({len(query)}))"
            rows = (
                "(SELECT id, space_id, vector FROM centroids WHERE space_id = :space"  # noqa: S608
                f" ORDER BY CAST(vector {half} <#> CAST(CAST(:query AS vector) {half}"
                " LIMIT :candidates)"
            )
        sql = f"""
            SELECT c.id, vector_send(c.vector) AS vector FROM centroids AS c WHERE c.id = ANY (
                ARRAY(SELECT c.id FROM {rows} AS c WHERE c.space_id = :space {members}
                      ORDER BY c.vector <#> CAST(:query AS vector), c.id LIMIT :n))
        """  # noqa: S608
        self._connection.exec_driver_sql(settings)
        nearest = self._connection.execute(text(sql).columns(vector=VECTOR), values).all()
        ids = np.array([row.id for row in nearest], dtype=np.int64)
        vectors = stored_rows.vectors([row.vector for row in nearest], len(query), space_id)
        return CentroidTable(ids, vectors)

    def hnsw(self, space_id: str) -> tuple[int, int, int] | None:
        """Return ef_search of the HNSW index, its missed queries, and the tested queries."""
        comment = self._connection.scalar(
            text("SELECT obj_description(to_regclass(:name), 'pg_class')"),
            {"name": _hnsw_name(space_id)},
        )
        match = _NOTED.fullmatch(comment or "")
        return None if match is None else (int(match[1]), int(match[2]), int(match[3]))

    def build_hnsw(self, space_id: str, dim: int) -> None:
        """Build the HNSW index of a space; raises StoreError where pgvector cannot."""
        space = self._connection.scalar(text("SELECT quote_literal(:space)"), {"space": space_id})
        self._connection.exec_driver_sql(
            f"CREATE INDEX {_hnsw_name(space_id)} ON centroids USING hnsw"
            f" ((vector::halfvec({dim:d})) halfvec_ip_ops)"
            f" WITH (m = {HNSW_M}, ef_construction = {HNSW_EF_CONSTRUCTION})"
            f" WHERE space_id = {space.replace('%', '%%')}"
        )

    def note_hnsw(self, space_id: str, ef_search: int, missed: int, queries: int) -> None:
        """Store ef_search and the measured loss in the comment of the HNSW index."""
        comment = f"ef_search {ef_search:d}, {missed:d} of {queries:d} lost"
        self._connection.exec_driver_sql(f"COMMENT ON INDEX {_hnsw_name(space_id)} IS '{comment}'")

    def drop_hnsw(self, space_id: str) -> None:
        """Drop the HNSW index of a space, if there is one."""
        self._connection.exec_driver_sql(f"DROP INDEX IF EXISTS {_hnsw_name(space_id)}")


def faults(connection: Connection) -> list[str]:
    """Return the indexes that cannot be used, in sentences; PostgreSQL enforces references."""
    unused = connection.exec_driver_sql(
        "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace"
    )
    return [f"PostgreSQL: the index {name} is not usable" for name in unused.scalars()]


def _hnsw_name(space_id: str) -> str:
    """Return the name of a space's index: PostgreSQL cuts names at 63 bytes."""
    return f"hnsw_{hashlib.sha256(space_id.encode()).hexdigest()[:16]}"
