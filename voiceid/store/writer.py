"""What can be done to the database, inside one transaction."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection

from voiceid.store.bulk_insert import BulkWriter
from voiceid.store.centroid_table import CentroidWriter
from voiceid.store.change_feed import Effects, MovingFeed
from voiceid.store.erasure_table import ErasureWriter
from voiceid.store.fit_tables import AdaptationWriter, CalibrationWriter
from voiceid.store.reader import Reader
from voiceid.store.sample_table import SampleWriter
from voiceid.store.searching import SearchingWriter
from voiceid.store.space_table import SpaceWriter
from voiceid.store.speaker_table import SpeakerWriter
from voiceid.store.switch_table import SwitchWriter


class Writer(Reader):
    """Reads and changes the database; everything is committed at once, or nothing."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._effects = Effects(connection)

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
    def erased_vectors(self) -> list[bytes]:
        """The sample vectors that were removed, as they were stored: to search for remains."""
        return self._effects.erased_vectors

    @cached_property
    def feed(self) -> MovingFeed:
        """The change feed."""
        return MovingFeed(self._connection)

    @cached_property
    def spaces(self) -> SpaceWriter:
        """Embedding spaces."""
        return SpaceWriter(self._connection)

    @cached_property
    def speakers(self) -> SpeakerWriter:
        """Speakers, their details and groups."""
        return SpeakerWriter(self._effects)

    @cached_property
    def samples(self) -> SampleWriter:
        """Samples."""
        return SampleWriter(self._effects, self.spaces, self.centroids)

    @cached_property
    def centroids(self) -> CentroidWriter:
        """Centroids; they follow the samples."""
        return CentroidWriter(self._effects, self.spaces)

    @cached_property
    def bulk(self) -> BulkWriter:
        """Many new speakers at once."""
        return BulkWriter(self._effects, self.spaces, self.centroids)

    @cached_property
    def calibrations(self) -> CalibrationWriter:
        """Calibrations."""
        return CalibrationWriter(self._effects, self.spaces)

    @cached_property
    def adaptations(self) -> AdaptationWriter:
        """Adaptations."""
        return AdaptationWriter(self._effects, self.spaces, self.centroids)

    @cached_property
    def switches(self) -> SwitchWriter:
        """Switches of the model."""
        return SwitchWriter(self._effects, self.spaces)

    @cached_property
    def erasures(self) -> ErasureWriter:
        """Erasures that are not finished."""
        return ErasureWriter(self._connection)

    @cached_property
    def search(self) -> SearchingWriter:
        """The search of a database that searches its rows itself."""
        return SearchingWriter(self._connection)
