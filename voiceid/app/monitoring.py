"""What a `VoiceID` has done, and what is in its gallery, in numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.app.parts import Parts
from voiceid.domain import DatabaseUrl
from voiceid.errors import StoreError

if TYPE_CHECKING:  # they load when they are asked for
    from voiceid.observability.galleries import GalleryStats, SpaceStats
    from voiceid.observability.stats import Stats
    from voiceid.store.reader import Reader


class Monitoring:
    """Counters of this process, and gauges of the gallery."""

    _parts: Parts

    def stats(self) -> Stats:
        """Return the counters and latencies of this object since it was opened.

        Quick enough to be asked every few seconds; it loads no model.
        """
        return self._parts.observer.counters.stats(self._speakers())

    def gallery_stats(self) -> GalleryStats:
        """Return what is in the gallery, and how its files stand; nothing is changed.

        It reads the index files to tell how they stand, and loads no model.

        Raises
        ------
        ModelUnknown, StoreError
        """
        from voiceid.observability.galleries import GalleryStats  # noqa: PLC0415 - for this alone
        from voiceid.store import upgrade  # noqa: PLC0415 - it loads while the models do

        parts = self._parts
        status = upgrade.status(parts.database)
        if status.current is None:
            return GalleryStats(parts.card.name, None, 0, 0, {}, {}, (), 0)
        spaces, model = self._spaces(), parts.in_use.card.name
        with parts.store.read() as reader:
            standing = reader.speakers.standings(datetime.now(UTC))
            return GalleryStats(
                model=model,
                schema=status.head,  # it is upgraded when it is opened
                revision=reader.feed.revision().number,
                speakers=sum(standing.values()),
                standing={name.value: count for name, count in standing.items()},
                groups=reader.speakers.group_sizes(),
                spaces=spaces,
                database_bytes=_database_bytes(parts.database, reader),
            )

    def _spaces(self) -> tuple[SpaceStats, ...]:
        from voiceid.observability.galleries import SpaceStats  # noqa: PLC0415 - for this alone

        parts, in_use = self._parts, self._parts.in_use.space.id
        states = {one.space: one for one in parts.each_index(lambda i, reader: i.status(reader))}
        with parts.store.read() as reader:
            speakers, samples = reader.centroids.counts(), reader.samples.counts()
            calibrations = {
                one.space_id: one.id for one in reader.calibrations.list() if one.in_use
            }
            adaptations = {one.space_id: one.id for one in reader.adaptations.list() if one.in_use}
        return tuple(
            SpaceStats(
                space=space,
                in_use=space == in_use,
                speakers=speakers.get(space, 0),
                samples=samples.get(space, 0),
                calibration=calibrations.get(space),
                adaptation=adaptations.get(space),
                index_state=state.state,
                index_bytes=_size(Path(state.path)),
            )
            for space, state in sorted(states.items())
        )

    def _speakers(self) -> Mapping[str, int] | None:
        if not self._parts.has_database:
            return {}
        try:
            with self._parts.store.read() as reader:
                return reader.centroids.counts()
        except StoreError:  # whoever watches must see the counters of errors all the same
            return None


def _database_bytes(database: Path | DatabaseUrl, reader: Reader) -> int:
    if isinstance(database, DatabaseUrl):
        return reader.server_bytes()
    return _size(database) + _size(Path(f"{database}-wal"))


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
