"""What is asked of a database that searches its rows itself; see `pgvector`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from voiceid.domain import CentroidTable, Float32Array, tag
from voiceid.store import pgvector, stored_rows
from voiceid.store.pgvector import Coding


class SearchingReader:
    """Searches one snapshot of the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def nearest(
        self,
        space_id: str,
        query: Float32Array,
        n: int,
        *,
        group: str | None = None,
        candidates: int | None = None,
    ) -> CentroidTable:
        """Return the ``n`` centroids of a space nearest to (dim,).

        Parameters
        ----------
        space_id : str
        query : (dim,) float32
            Unit length.
        n : int
        group : str, optional
            Whose members are looked at, and nobody else.
        candidates : int, optional
            Take the best of that many that are nearest by code; else of all rows.

        Raises
        ------
        StoreError
            A vector is damaged.
        SpeakerDetailInvalid
            Nothing can be a group of that name.
        """
        found: Sequence[Row[Any]]
        members = None if group is None else tag("group", group)
        if candidates is None:
            found = pgvector.nearest(self._connection, space_id, query, n, group=members)
        else:
            found = pgvector.nearest_by_code(
                self._connection, space_id, query, n, group=members, candidates=candidates
            )
        return stored_rows.centroids(found, len(query), space_id)

    def coding(self, space_id: str) -> Coding | None:
        """Return how a space is coded, or None."""
        return pgvector.coding(self._connection, space_id)

    def mean_and_sample(self, space_id: str, n: int) -> tuple[Float32Array, Float32Array]:
        """Return the mean (dim,) of a space's centroids, and (n, dim) of them."""
        return pgvector.mean_and_sample(self._connection, space_id, n)


class SearchingWriter(SearchingReader):
    """Makes and drops the codes that a search looks through first."""

    def code(
        self,
        space_id: str,
        mean: Float32Array,
        spread: Float32Array,
        share: float,
        *,
        missed: int,
        queries: int,
    ) -> None:
        """Code the centroids of a space, by their mean (dim,) and standard deviations (dim,)."""
        made = Coding(share, missed, queries)
        pgvector.make_codes(self._connection, space_id, mean, spread, made)

    def drop_codes(self, space_id: str) -> None:
        """Leave a space without codes."""
        pgvector.drop_codes(self._connection, space_id)
