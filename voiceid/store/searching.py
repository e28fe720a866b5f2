"""The search of a database that compares its rows itself; see `pgvector`."""

from __future__ import annotations

from sqlalchemy import Connection

from voiceid.domain import CentroidTable, Float32Array, tag
from voiceid.store import pgvector, stored_rows


class SearchingReader:
    """Searches one snapshot of the database."""

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
        """Return the ``n`` centroids of a space nearest to (dim,) float32, in no order."""
        members = None if group is None else tag("group", group)
        found = pgvector.nearest(self._connection, space_id, query, n, members, ef_search)
        return stored_rows.centroids(found, len(query), space_id)

    def hnsw(self, space_id: str) -> tuple[int, int, int] | None:
        """Return ef_search of the HNSW index, and the queries that it missed, of how many."""
        return pgvector.hnsw(self._connection, space_id)


class SearchingWriter(SearchingReader):
    """Builds and drops HNSW indexes."""

    def build_hnsw(self, space_id: str, dim: int) -> None:
        """Build the HNSW index of a space."""
        pgvector.build_hnsw(self._connection, space_id, dim)

    def note_hnsw(self, space_id: str, ef_search: int, missed: int, queries: int) -> None:
        """Keep with the HNSW index how it is searched, and what that loses."""
        pgvector.note_hnsw(self._connection, space_id, ef_search, missed, queries)

    def drop_hnsw(self, space_id: str) -> None:
        """Drop the HNSW index of a space, if there is one."""
        pgvector.drop_hnsw(self._connection, space_id)
