"""What can be asked of the database, inside one transaction."""

from __future__ import annotations

from functools import cached_property

from sqlalchemy import Connection

from voiceid.store import pgvector
from voiceid.store.centroid_table import Centroids
from voiceid.store.change_feed import Feed
from voiceid.store.erasure_table import Erasures
from voiceid.store.fit_tables import Adaptations, Calibrations, FitsInUse, fits_in_use
from voiceid.store.sample_table import Samples
from voiceid.store.searching import SearchingReader
from voiceid.store.space_table import Spaces
from voiceid.store.speaker_table import Speakers
from voiceid.store.switch_table import Switches


class Reader:
    """Reads one snapshot of the database: one small object a table, made when it is asked for.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def feed(self) -> Feed:
        """The change feed."""
        return Feed(self._connection)

    @cached_property
    def spaces(self) -> Spaces:
        """Embedding spaces."""
        return Spaces(self._connection)

    @cached_property
    def speakers(self) -> Speakers:
        """Speakers, their details and groups."""
        return Speakers(self._connection)

    @cached_property
    def samples(self) -> Samples:
        """Samples."""
        return Samples(self._connection, self.spaces)

    @cached_property
    def centroids(self) -> Centroids:
        """Centroids."""
        return Centroids(self._connection, self.spaces)

    @cached_property
    def calibrations(self) -> Calibrations:
        """Calibrations."""
        return Calibrations(self._connection)

    @cached_property
    def adaptations(self) -> Adaptations:
        """Adaptations."""
        return Adaptations(self._connection)

    @cached_property
    def switches(self) -> Switches:
        """Switches of the model."""
        return Switches(self._connection, self.spaces)

    @cached_property
    def erasures(self) -> Erasures:
        """Erasures that are not finished."""
        return Erasures(self._connection)

    @cached_property
    def search(self) -> SearchingReader:
        """The search of a database that searches its rows itself."""
        return SearchingReader(self._connection)

    def fits(self, space_id: str) -> FitsInUse:
        """Return what decisions in the space of a model are made by.

        Raises
        ------
        SpaceMismatch
            Another space has taken the place of this one.
        StoreError
            What is in use is damaged.
        """
        self.spaces.require_current(space_id)
        return fits_in_use(self._connection, space_id)

    def faults(self) -> list[str]:
        """Return what the database's own checks of its pages and references find, in sentences."""
        if self._connection.dialect.name == "postgresql":
            return pgvector.faults(self._connection)
        pages = self._connection.exec_driver_sql("PRAGMA integrity_check").scalars()
        dangling = self._connection.exec_driver_sql("PRAGMA foreign_key_check")
        return [f"SQLite: {said}" for said in pages if said != "ok"] + [
            f"a row of {row[0]} refers to a {row[2]} that is not there" for row in dangling
        ]

    def server_bytes(self) -> int:
        """Return how large the database is, where a server keeps it."""
        size = self._connection.exec_driver_sql("SELECT pg_database_size(current_database())")
        return int(size.scalar_one())
