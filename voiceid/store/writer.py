"""Changing the database, inside one transaction."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection

from voiceid.domain import Revision
from voiceid.domain.audit_chain import AuditOptions
from voiceid.protection import KeyRing
from voiceid.store.answer_table import AnswerWriter
from voiceid.store.attempt_table import AttemptWriter
from voiceid.store.audit_table import AuditWriter
from voiceid.store.backup_table import BackupWriter
from voiceid.store.bulk_insert import BulkWriter
from voiceid.store.centroid_table import CentroidWriter
from voiceid.store.effects import Effects
from voiceid.store.fingerprint_table import FingerprintWriter
from voiceid.store.job_table import JobWriter
from voiceid.store.key_table import ApiKeyWriter
from voiceid.store.protecting import ProtectionWriter
from voiceid.store.reader import Reader
from voiceid.store.retention_table import RetentionWriter
from voiceid.store.sample_table import SampleWriter
from voiceid.store.snapshot import read_state, revision_in
from voiceid.store.speaker_table import SpeakerWriter
from voiceid.store.spoken_table import SpokenWordsWriter
from voiceid.store.switch_table import SwitchWriter


class Writer(Reader):
    """Reads and changes the database; everything is committed at once, or nothing."""

    def __init__(
        self, connection: Connection, key_ring: KeyRing, audit: AuditOptions | None = None
    ) -> None:
        super().__init__(connection, key_ring)
        self.effects = Effects(self.connection, self.protection, audit)

    @property
    def revision(self) -> Revision:
        """The newest point of the change feed, after the entries of this change."""
        return revision_in(read_state(self.connection)) if self.effects.moved else super().revision

    @property
    def now(self) -> datetime:
        """When the transaction began, in UTC: the time of all its rows."""
        return datetime.fromisoformat(self.effects.now)

    speakers = cached_property(SpeakerWriter)
    samples = cached_property(lambda self: SampleWriter(self, self.centroids))
    centroids = cached_property(CentroidWriter)
    fingerprints = cached_property(FingerprintWriter)
    bulk = cached_property(lambda self: BulkWriter(self, self.centroids))
    protecting = cached_property(ProtectionWriter)
    keys = cached_property(ApiKeyWriter)
    attempts = cached_property(AttemptWriter)
    backups = cached_property(BackupWriter)
    retention = cached_property(RetentionWriter)
    jobs = cached_property(lambda self: JobWriter(self, self.now))
    answers = cached_property(lambda self: AnswerWriter(self, self.now))
    spoken = cached_property(SpokenWordsWriter)
    audit = cached_property(AuditWriter)
    switches = cached_property(SwitchWriter)
