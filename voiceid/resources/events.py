"""Live decisions, counters, figures of the gallery, and the examination."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceid.domain import DatabaseUrl, Decision, Finding
from voiceid.errors import StoreError
from voiceid.resources.collection import OfSession

if TYPE_CHECKING:  # they load when they are asked for
    from voiceid.observability.galleries import GalleryStats, SpaceStats
    from voiceid.observability.stats import Stats
    from voiceid.store.reader import Reader


class Events(OfSession):
    """Decisions, changes and errors of this process, and figures of the gallery."""

    def on_decision(self, callback: Callable[[Decision], None]) -> Callable[[], None]:
        """Call ``callback`` with every decision before the caller of the question gets it.

        It is called in the deciding thread; several may run at once.  An exception of it reaches
        the caller instead of the decision, so that an unrecorded decision has no effect.  Call the
        returned callable to end it.
        """
        listeners, entry = self._session.listeners, object()
        listeners[entry] = callback
        return lambda: listeners.pop(entry, None) and None

    def stats(self) -> Stats:
        """Return the counters and latencies of this object since it was opened.

        Fast enough for a call every few seconds; it loads no model.
        """
        return self._session.observer.counters.stats(self._speakers_by_space())

    def gallery(self) -> GalleryStats:
        """Return the content of the gallery, and the state of its files; nothing is changed.

        It reads the index files, and loads no model.  Raises ModelUnknown, StoreError.
        """
        from voiceid.observability.galleries import GalleryStats  # noqa: PLC0415 - for this alone
        from voiceid.store import upgrade  # noqa: PLC0415 - it loads while the models do

        session = self._session
        status = upgrade.status(session.database)
        if status.current is None:
            return GalleryStats(session.named_model.card.name, None, 0, 0, {}, {}, (), 0)
        spaces, model = self._spaces(), session.model.card.name
        with session.store.read() as reader:
            standings = reader.speakers.standings(datetime.now(UTC))
            return GalleryStats(
                model=model,
                schema=status.head,  # it is upgraded when it is opened
                revision=reader.revision.number,
                speakers=sum(standings.values()),
                standing={standing.value: count for standing, count in standings.items()},
                groups=reader.speakers.group_sizes(),
                spaces=spaces,
                database_bytes=_database_bytes(session.database, reader),
            )

    def examine(self) -> Iterator[Finding]:
        """Yield the findings of an examination of the whole installation; nothing is changed."""
        from voiceid.resources.examination import examine  # noqa: PLC0415 - for this alone

        return examine(self._session)

    def _spaces(self) -> tuple[SpaceStats, ...]:
        from voiceid.observability.galleries import SpaceStats  # noqa: PLC0415 - for this alone

        session, in_use = self._session, self._session.model.space.id
        states = session.each_index(lambda index, reader: index.status(reader))
        with session.store.read() as reader:
            speakers, samples = reader.centroids.counts(), reader.samples.counts()
            calibrations = {c.space_id: c.id for c in reader.calibrations.list() if c.in_use}
            adaptations = {a.space_id: a.id for a in reader.adaptations.list() if a.in_use}
        return tuple(
            SpaceStats(
                space=state.space,
                in_use=state.space == in_use,
                speakers=speakers.get(state.space, 0),
                samples=samples.get(state.space, 0),
                calibration=calibrations.get(state.space),
                adaptation=adaptations.get(state.space),
                index_state=state.state,
                index_bytes=_size(Path(state.path)),
            )
            for state in sorted(states, key=lambda state: state.space)
        )

    def _speakers_by_space(self) -> Mapping[str, int] | None:
        if not self._session.has_database:
            return {}
        try:
            with self._session.store.read() as reader:
                return reader.centroids.counts()
        except StoreError:  # a monitor must see the counters of errors all the same
            return None


def _database_bytes(database: Path | DatabaseUrl, reader: Reader) -> int:
    if isinstance(database, DatabaseUrl):
        return reader.server_bytes()
    return _size(database) + _size(Path(f"{database}-wal"))


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def events_about(
    log: Path | None, speaker_id: int, since: datetime | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the events about a speaker in the event file; other lines are skipped."""
    if log is None or not log.is_file():
        return
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
                when = datetime.fromisoformat(event["time"])
                is_about = event.get("speaker_id") == speaker_id
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
            if is_about and (since is None or when >= since):
                yield {key: value for key, value in event.items() if value is not None}


def names_speakers(log: Path) -> bool:
    """Whether an event file has names: lines from before the gallery was sealed."""
    try:
        with log.open("rb") as lines:
            return any(b'"speaker": "' in line or b'"other": "' in line for line in lines)
    except OSError:
        return False
