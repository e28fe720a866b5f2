"""What can be done to the database, inside one transaction."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection

from voiceid.domain.audit_chain import AuditOptions
from voiceid.protection import KeyRing
from voiceid.store.answer_table import AnswerWriter
from voiceid.store.attempt_table import AttemptWriter
from voiceid.store.audit_table import AuditWriter
from voiceid.store.backup_table import BackupWriter
from voiceid.store.bulk_insert import BulkWriter
from voiceid.store.centroid_table import CentroidWriter
from voiceid.store.change_feed import Effects, FeedOfChange
from voiceid.store.fingerprint_table import FingerprintWriter
from voiceid.store.fit_tables import AdaptationWriter, CalibrationWriter
from voiceid.store.job_table import JobWriter
from voiceid.store.key_table import ApiKeyWriter
from voiceid.store.protecting import ProtectionWriter
from voiceid.store.reader import Reader
from voiceid.store.retention_table import RetentionWriter
from voiceid.store.sample_table import SampleWriter
from voiceid.store.speaker_table import SpeakerWriter
from voiceid.store.spoken_table import SpokenWordsWriter
from voiceid.store.switch_table import SwitchWriter


class Writer(Reader):
    """Reads and changes the database; everything is committed at once, or nothing."""

    def __init__(
        self, connection: Connection, key_ring: KeyRing, audit: AuditOptions | None = None
    ) -> None:
        super().__init__(connection, key_ring)
        self._effects = Effects(self, audit)

    @property
    def now(self) -> datetime:
        """When the transaction began, in UTC: the time of all that it writes."""
        return datetime.fromisoformat(self._effects.now)

    @property
    def touched(self) -> set[str]:
        """Ids of the spaces of which centroids were changed, adapted ones too."""
        return self._effects.touched

    @property
    def erased(self) -> bool:
        """Whether voices were removed: the transaction has a row in ``erasures`` then."""
        return self._effects.erased

    @property
    def moved(self) -> bool:
        """Whether voices were changed or removed."""
        return self._effects.moved

    @property
    def enrolled(self) -> set[int]:
        """Ids of the speakers who got samples."""
        return self._effects.enrolled

    @property
    def erased_vectors(self) -> list[bytes]:
        """The sample vectors that were removed, as they were stored: to search for remains."""
        return self._effects.erased_vectors

    feed = cached_property(lambda self: FeedOfChange(self._effects))
    speakers = cached_property(lambda self: SpeakerWriter(self._effects))
    samples = cached_property(lambda self: SampleWriter(self._effects, self.centroids))
    centroids = cached_property(lambda self: CentroidWriter(self._effects))
    fingerprints = cached_property(lambda self: FingerprintWriter(self._effects))
    bulk = cached_property(lambda self: BulkWriter(self._effects, self.centroids))
    calibrations = cached_property(lambda self: CalibrationWriter(self._effects))
    adaptations = cached_property(lambda self: AdaptationWriter(self._effects, self.centroids))
    protecting = cached_property(lambda self: ProtectionWriter(self._effects))
    keys = cached_property(ApiKeyWriter)
    attempts = cached_property(lambda self: AttemptWriter(self._effects))
    backups = cached_property(lambda self: BackupWriter(self._effects))
    retention = cached_property(lambda self: RetentionWriter(self._effects))
    jobs = cached_property(lambda self: JobWriter(self, self.now))
    answers = cached_property(lambda self: AnswerWriter(self, self.now))
    spoken = cached_property(lambda self: SpokenWordsWriter(self._effects))
    audit = cached_property(lambda self: AuditWriter(self._effects))
    switches = cached_property(lambda self: SwitchWriter(self._effects))
