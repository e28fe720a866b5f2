"""What can be asked of the database, inside one transaction."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection, select, text

from voiceid.protection import KeyRing
from voiceid.store import pgvector, stored_rows
from voiceid.store.attempt_table import Attempts
from voiceid.store.audit_table import Audit
from voiceid.store.backup_table import Backups
from voiceid.store.centroid_table import Centroids
from voiceid.store.change_feed import Erasures, Feed
from voiceid.store.fingerprint_table import Fingerprints
from voiceid.store.fit_tables import Adaptations, Calibrations, FitsInUse, fits_in_use
from voiceid.store.job_table import Jobs
from voiceid.store.key_table import ApiKeys
from voiceid.store.learned_from import LearnedFrom
from voiceid.store.mentions import Mentions
from voiceid.store.protection import Protection
from voiceid.store.retention_table import Retention
from voiceid.store.sample_table import Samples
from voiceid.store.space_table import Spaces
from voiceid.store.speaker_table import Speakers
from voiceid.store.spoken_table import SpokenWordsTable
from voiceid.store.switch_table import Switches
from voiceid.store.tables import SPEAKER_IDS, speakers

_NEWEST = text(
    """
    SELECT max(moment) FROM (
        SELECT max(updated_at) AS moment FROM speakers
        UNION ALL SELECT max(created_at) FROM calibrations
        UNION ALL SELECT max(used_since) FROM calibrations
        UNION ALL SELECT max(created_at) FROM adaptations
        UNION ALL SELECT max(used_since) FROM adaptations
        UNION ALL SELECT max(started_at) FROM model_changes
        UNION ALL SELECT max(switched_at) FROM model_changes
        UNION ALL SELECT max(created_at) FROM erasures
    ) AS newest
    """
)


class Reader:
    """Reads one snapshot of the database: one small object a table, made when it is asked for."""

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection, self._keys = connection, keys

    protection = cached_property(lambda self: Protection(self._connection, self._keys))

    feed = cached_property(lambda self: Feed(self._connection))
    spaces = cached_property(lambda self: Spaces(self._connection))
    speakers = cached_property(lambda self: Speakers(self._connection, self.protection))
    samples = cached_property(lambda self: Samples(self._connection, self.spaces, self.protection))
    centroids = cached_property(
        lambda self: Centroids(self._connection, self.spaces, self.protection)
    )
    fingerprints = cached_property(lambda self: Fingerprints(self._connection, self.protection))
    calibrations = cached_property(lambda self: Calibrations(self._connection, self.protection))
    adaptations = cached_property(lambda self: Adaptations(self._connection, self.protection))
    learned = cached_property(lambda self: LearnedFrom(self._connection))
    switches = cached_property(
        lambda self: Switches(self._connection, self.spaces, self.protection)
    )
    erasures = cached_property(lambda self: Erasures(self._connection))
    keys = cached_property(lambda self: ApiKeys(self._connection, self.protection))
    attempts = cached_property(lambda self: Attempts(self._connection, self.protection))
    backups = cached_property(lambda self: Backups(self._connection, self.protection))
    retention = cached_property(lambda self: Retention(self._connection))
    mentions = cached_property(lambda self: Mentions(self._connection, self.protection))
    jobs = cached_property(lambda self: Jobs(self._connection, self.protection))
    spoken = cached_property(lambda self: SpokenWordsTable(self._connection, self.protection))
    audit = cached_property(lambda self: Audit(self._connection, self.protection))
    search = cached_property(lambda self: pgvector.RowSearch(self._connection))

    def fits(self, space_id: str) -> FitsInUse:
        """Return what decisions in the space of a model are made by.

        Raises SpaceMismatch when another space has taken the place of this one.
        """
        fits = fits_in_use(self._connection, self.protection, space_id)
        if fits.is_switched:
            self.spaces.require_current(space_id)
        return fits

    def newest_row(self) -> datetime | None:
        """Return when the newest row was written, or None when nothing was; raises StoreError.

        A speaker has the time of each change of the samples, whose own times may be imported.
        """
        newest = self._connection.execute(_NEWEST).scalar()
        return None if newest is None else stored_rows.moment_of(newest)

    def faults(self) -> list[str]:
        """Return what the database's own checks of its pages and references find, in sentences."""
        if self._connection.dialect.name == "postgresql":
            return pgvector.faults(self._connection)
        pages = self._connection.exec_driver_sql("PRAGMA integrity_check").scalars()
        dangling = self._connection.exec_driver_sql("PRAGMA foreign_key_check")
        return [f"SQLite: {said}" for said in pages if said != "ok"] + [
            f"a row of {row[0]} refers to a {row[2]} that is not there" for row in dangling
        ]

    def without_speaker(self) -> set[int]:
        """Return the ids of speakers who are not there, and of whom rows are."""
        there = select(speakers.c.id)
        queries = [select(id_).where(id_.not_in(there)).distinct() for id_ in SPEAKER_IDS]
        found = [id_ for query in queries for id_ in self._connection.scalars(query)]
        return {id_ for id_ in found if isinstance(id_, int)}

    def server_bytes(self) -> int:
        """Return how large the database is, where a server keeps it."""
        size = self._connection.exec_driver_sql("SELECT pg_database_size(current_database())")
        return int(size.scalar_one())
