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

    feed = cached_property(lambda self: Feed(self._connection))
    spaces = cached_property(lambda self: Spaces(self._connection))
    speakers = cached_property(lambda self: Speakers(self._connection))
    samples = cached_property(lambda self: Samples(self._connection, self.spaces))
    centroids = cached_property(lambda self: Centroids(self._connection, self.spaces))
    calibrations = cached_property(lambda self: Calibrations(self._connection))
    adaptations = cached_property(lambda self: Adaptations(self._connection))
    switches = cached_property(lambda self: Switches(self._connection, self.spaces))
    erasures = cached_property(lambda self: Erasures(self._connection))
    search = cached_property(lambda self: SearchingReader(self._connection))

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
