"""Reading the database, inside one transaction."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from sqlalchemy import select, text

from voiceid.store import pgvector, stored_rows
from voiceid.store.attempt_table import Attempts
from voiceid.store.audit_table import Audit
from voiceid.store.backup_table import Backups
from voiceid.store.centroid_table import Centroids
from voiceid.store.change_feed import Erasures, Feed
from voiceid.store.fingerprint_table import Fingerprints
from voiceid.store.fit_tables import Adaptations, Calibrations, fits_in_use
from voiceid.store.job_table import Jobs
from voiceid.store.key_table import ApiKeys
from voiceid.store.learned_from import LearnedFrom
from voiceid.store.mentions import Mentions
from voiceid.store.retention_table import Retention
from voiceid.store.sample_table import Samples
from voiceid.store.snapshot import Snapshot
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
        UNION ALL SELECT max(created_at) FROM spoken_words
        UNION ALL SELECT max(created_at) FROM api_keys
        UNION ALL SELECT max(started_at) FROM retention_runs
        UNION ALL SELECT max(made_at) FROM backups
    ) AS newest
    """
)


class Reader(Snapshot):
    """Reads one snapshot of the database by one small object per table, made on first use."""

    feed = cached_property(Feed)
    speakers = cached_property(Speakers)
    samples = cached_property(Samples)
    centroids = cached_property(Centroids)
    fingerprints = cached_property(Fingerprints)
    calibrations = cached_property(Calibrations)
    adaptations = cached_property(Adaptations)
    learned = cached_property(LearnedFrom)
    switches = cached_property(Switches)
    erasures = cached_property(Erasures)
    keys = cached_property(ApiKeys)
    attempts = cached_property(Attempts)
    backups = cached_property(Backups)
    retention = cached_property(Retention)
    mentions = cached_property(Mentions)
    jobs = cached_property(Jobs)
    spoken = cached_property(SpokenWordsTable)
    audit = cached_property(Audit)
    fits = fits_in_use
    search = cached_property(lambda self: pgvector.RowSearch(self.connection))

    def newest_row(self) -> datetime | None:
        """Return when the newest row was written, or None without rows; raises StoreError.

        A speaker's time follows each change of the samples, which may have imported times.
        Rows that answers write do not count: the clocks of two hosts differ by milliseconds.
        """
        newest = self.connection.execute(_NEWEST).scalar()
        return None if newest is None else stored_rows.moment_of(newest)

    def faults(self) -> list[str]:
        """Return the faults that the database's own checks find, in sentences."""
        if self.connection.dialect.name == "postgresql":
            return pgvector.faults(self.connection)
        pages = self.connection.exec_driver_sql("PRAGMA integrity_check").scalars()
        dangling = self.connection.exec_driver_sql("PRAGMA foreign_key_check")
        return [f"SQLite: {fault}" for fault in pages if fault != "ok"] + [
            f"a row of {row[0]} refers to a missing row of {row[2]}" for row in dangling
        ]

    def without_speaker(self) -> set[int]:
        """Return the speaker ids in rows for which there is no speaker."""
        enrolled = select(speakers.c.id)
        queries = [select(id_).where(id_.not_in(enrolled)).distinct() for id_ in SPEAKER_IDS]
        ids = [id_ for query in queries for id_ in self.connection.scalars(query)]
        return {id_ for id_ in ids if isinstance(id_, int)}

    def server_bytes(self) -> int:
        """Return the size in bytes of a database on a server."""
        size = self.connection.exec_driver_sql("SELECT pg_database_size(current_database())")
        return int(size.scalar_one())
