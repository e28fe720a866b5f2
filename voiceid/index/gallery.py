"""The index of one embedding space, kept in step with the database by its change feed.

Whoever searches holds a snapshot of the database, and is answered at exactly that snapshot's
revision: the index follows the feed first, by the rows that changed, or is made from nothing when
the feed does not lead there (a restored backup, a damaged file).  So no answer ever comes from a
stale index, and the file is no more than a way to start sooner.

A small gallery is held whole.  A large one is sealed in codes (see `sealed`), and what changed
since then lies over it, exact, until there is so much of it that it is sealed anew.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voiceid.domain import EMPTY_REVISION, FeedEntry, Float32Array, Revision, tag
from voiceid.errors import ConfigError
from voiceid.index.base import (
    HNSW,
    CentroidSource,
    Hits,
    Ids,
    IndexOptions,
    IndexStatus,
    Tier,
    as_ids,
    merged,
    ranked,
    require_query,
    told,
)

if TYPE_CHECKING:  # FAISS takes 0.1 s to load
    from voiceid.index.faiss_index import FaissIndex
    from voiceid.index.file import IndexFile
    from voiceid.index.sealed import Sealed, View

_SAVE_AFTER = 256
"""Changes that a later process catches up with in the time that a file takes to be written."""
_REBUILD_AFTER = 2000
"""Changes from which reading all rows of some ten thousand is no slower than picking some."""
_REBUILD_SHARE = 0.1
"""Of the gallery: changes from which making it anew is no slower than following them."""
_SEAL_SHARE = 0.01
"""Of the gallery: what may lie over the sealed before it is sealed anew."""
_REMEMBERED = 10_000
"""Changes that are remembered for whoever asks with an older snapshot."""
_NONE: Ids = as_ids([])
_NOBODY = 0
"""No centroid has this id: the feed that is remembered begins with the point it began at."""
_GROUPS = 16
"""Groups that are kept ready to be searched."""


@dataclass(slots=True)
class _Group:
    """The centroids of a group: all, those that are not sealed, and a view of those that are."""

    ids: Ids
    flat: Ids | None = None
    view: View | None = None


class GalleryIndex:
    """The searchable centroids of one embedding space; see `Gallery`.

    Parameters
    ----------
    space_id : str
    dim : int
    path : Path
        The file; its folder is made when it is first saved.
    options : IndexOptions, optional

    Raises
    ------
    ConfigError
        The kind is for PostgreSQL alone.
    """

    def __init__(
        self, space_id: str, dim: int, path: Path, options: IndexOptions | None = None
    ) -> None:
        self._space_id, self._dim, self._path = space_id, dim, path
        self._options = options or IndexOptions()
        if self._options.kind == HNSW:
            raise ConfigError(
                "index.kind is hnsw, which is for a gallery in PostgreSQL",
                hint="Set database_url, or another index.kind; `auto` suits most galleries.",
            )
        self._lock = threading.RLock()
        self._sealing = threading.Lock()
        self._flat: FaissIndex | None = None
        self._sealed: Sealed | None = None
        self._gone: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.empty(0, dtype=np.bool_)
        self._held = EMPTY_REVISION
        self._feed: deque[FeedEntry] = deque(maxlen=_REMEMBERED)
        self._groups: dict[str, _Group] = {}
        self._unsaved = 0

    def prepare(self) -> None:
        """See `Gallery`."""
        if self._flat is None:
            threading.Thread(target=self._load_once, name="voiceid-index").start()

    def search(
        self, reader: CentroidSource, query: Float32Array, k: int, group: str | None = None
    ) -> list[tuple[int, float]]:
        """See `Gallery`."""
        require_query(query, self._space_id, self._dim)
        with self._lock:
            since = self._follow(reader)
            return told(self._nearest(reader, query, k, group, since))

    def size(self, reader: CentroidSource, group: str | None = None) -> int:
        """See `Gallery`."""
        with self._lock:
            since = self._follow(reader)
            if since is None or len(since):
                if group is not None:
                    return len(reader.centroids.group(group, self._space_id))
                return reader.centroids.count(self._space_id)
            return len(self) if group is None else len(self._group(reader, group).ids)

    def __len__(self) -> int:
        sealed = (
            0 if self._sealed is None else len(self._sealed) - int(np.count_nonzero(self._gone))
        )
        return sealed + (0 if self._flat is None else len(self._flat))

    def sync(self, reader: CentroidSource) -> None:
        """Bring the index to the reader's revision.

        The file is written when much was caught up with, and whenever somebody was removed.
        A large gallery is sealed anew while others search on.
        """
        with self._lock:
            if self._follow(reader) is None:
                self._build(reader)
            due = self._wants_sealing()
        if due and self._sealing.acquire(blocking=False):
            try:
                self._seal(reader)
            finally:
                self._sealing.release()

    def rebuild(self, reader: CentroidSource) -> None:
        """Make the index anew from the database, and the file with it, whatever it was."""
        with self._lock:
            self._build(reader, over_newer=True)

    def save(self) -> None:
        """Write the file, unless a newer one is there; that it cannot be written is no error."""
        with self._lock:
            self._save()

    def status(self, reader: CentroidSource) -> IndexStatus:
        """See `Gallery`."""
        from voiceid.index.sections import Unusable  # noqa: PLC0415 - as in `_file`

        now = reader.feed.revision()
        enrolled = reader.centroids.count(self._space_id)
        try:
            found = self._file().read()
        except Unusable:
            found = None
        state = "damaged" if self._file().is_there() else "missing"
        if found is not None:
            state = "current" if found.revision == now else "behind"
        loss = None if found is None else found.loss
        return IndexStatus(
            space=self._space_id,
            kind=str(self._tier(enrolled) if found is None else found.tier),
            path=str(self._path),
            state=state,
            vectors=None if found is None else found.count,
            enrolled=enrolled,
            revision=None if found is None else found.revision.number,
            database_revision=now.number,
            miss_rate=None if loss is None else loss.rate,
            miss_rate_upper=None if loss is None else loss.upper,
        )

    def _nearest(
        self,
        reader: CentroidSource,
        query: Float32Array,
        k: int,
        group: str | None,
        since: Ids | None,
    ) -> Hits:
        """Return the nearest as the reader's snapshot has them; see :meth:`_follow`."""
        if since is None:
            return self._all_rows(reader, query, k, group)
        members = None
        if group is not None and len(since):
            members = _Group(as_ids(reader.centroids.group(group, self._space_id)))
        elif group is not None:
            members = self._group(reader, group)
        hits, rescored = self._held_nearest(query, k, members, since)
        if len(since):  # as the snapshot has them
            mine = since if members is None else since[np.isin(since, members.ids)]
            rescored = np.concatenate([rescored, mine])
        if not len(rescored):
            return hits
        table = reader.centroids.table(self._space_id, rescored.tolist())
        return merged(hits, ranked(table.ids, table.vectors, query, k), k)

    def _held_nearest(
        self, query: Float32Array, k: int, members: _Group | None, without: Ids
    ) -> tuple[Hits, Ids]:
        """Return hits that are not sealed, and the ids of those sealed who may be nearest."""
        assert self._flat is not None  # noqa: S101 - `_follow` sees to it, and this tells mypy
        among = None
        if members is not None:
            if members.flat is None:
                self._divide(members)
            among = members.flat
        ids, scores = self._flat.search(query, k + len(without), among)
        left = ~np.isin(ids, without)
        hits = ids[left][:k], scores[left][:k]
        if self._sealed is None:
            return hits, _NONE
        gone = self._gone
        if len(without):
            gone = gone.copy()
            gone[self._sealed.positions(without)] = True
        view = None if members is None else members.view
        return hits, self._sealed.ids[self._sealed.candidates(query, k, gone, view)]

    def _all_rows(
        self, reader: CentroidSource, query: Float32Array, k: int, group: str | None
    ) -> Hits:
        """Search every row of a snapshot that the index cannot be brought to."""
        among = None if group is None else as_ids(reader.centroids.group(group, self._space_id))
        best: Hits = as_ids([]), np.empty(0, dtype=np.float32)
        for table in reader.centroids.batches(self._space_id):
            chosen = slice(None) if among is None else np.isin(table.ids, among)
            best = merged(best, ranked(table.ids[chosen], table.vectors[chosen], query, k), k)
        return best

    def _group(self, reader: CentroidSource, name: str) -> _Group:
        key = tag("group", name)
        if key not in self._groups:
            if len(self._groups) >= _GROUPS:
                del self._groups[next(iter(self._groups))]
            self._groups[key] = _Group(as_ids(reader.centroids.group(key, self._space_id)))
        return self._groups[key]

    def _divide(self, members: _Group) -> None:
        """Find which members are sealed, and make a view of them."""
        members.flat, members.view = members.ids, None
        if self._sealed is not None:
            positions = self._sealed.positions(members.ids)
            members.view = self._sealed.view(positions)
            sealed = self._sealed.ids[positions[~self._gone[positions]]]
            members.flat = np.setdiff1d(members.ids, sealed, assume_unique=True)

    def _follow(self, reader: CentroidSource) -> Ids | None:
        """Bring the index to the reader's revision, or beyond what the reader can see.

        Returns
        -------
        (n,) int64 or None
            What changed after the reader's snapshot, which has to be taken from there; None when
            the index is at a point that the snapshot is not known to lead to.
        """
        self._load_once()
        now = reader.feed.revision()
        if self._flat is not None and now.number < self._held.number:
            return self._back_to(now, reader)
        if self._flat is None or (now != self._held and not reader.feed.has(self._held)):
            self._build(reader)
        elif now != self._held:
            self._catch_up(reader)
        return _NONE

    def _back_to(self, now: Revision, reader: CentroidSource) -> Ids | None:
        """Return what changed between a revision and the later one that is held.

        None: the feed that is remembered does not pass through it.  Then either the snapshot
        is older than the index's own start, or a backup was put in the database's place.  A
        small gallery is made of the snapshot; then a file of the lost future goes, which would
        keep its voices for as long as its number is higher.
        """
        if any(one.revision == now for one in self._feed):
            later = {one.centroid_id for one in self._feed if one.revision.number > now.number}
            return as_ids(sorted(later))
        if self._sealed is not None:
            return None
        self._build(reader)
        if self._file().is_newer(now.number):
            self._file().drop()
        return as_ids([])

    def _catch_up(self, reader: CentroidSource) -> None:
        behind = reader.feed.revision().number - self._held.number
        if behind > max(_REBUILD_AFTER, _REBUILD_SHARE * len(self)):
            self._build(reader)
            return
        feed = reader.feed.since(self._held.number)
        changed = as_ids(sorted({one.centroid_id for one in feed}))
        assert self._flat is not None  # noqa: S101 - as above
        table = reader.centroids.table(self._space_id, changed.tolist())
        there = [self._flat.ids()]
        if self._sealed is not None:
            at = self._sealed.positions(changed)
            there.append(self._sealed.ids[at[~self._gone[at]]])
            self._gone[at] = True
        removed = changed[np.isin(changed, np.concatenate(there)) & ~np.isin(changed, table.ids)]
        self._flat.remove(changed)
        if len(table.ids):  # a space that was never enrolled in has no dimension
            self._flat.add(table.ids, table.vectors)
        self._regroup(reader, changed)
        self._held = reader.feed.revision()
        self._feed.extend(feed)
        self._unsaved += len(changed)
        if self._sealed is not None and len(removed):
            self._file().erase(removed, self._held.number)
        elif len(removed) or self._unsaved >= _SAVE_AFTER:
            self._save()

    def _regroup(self, reader: CentroidSource, changed: Ids) -> None:
        for name, group in self._groups.items():
            mine = as_ids(reader.centroids.group(name, self._space_id, changed.tolist()))
            if len(mine) or np.isin(changed, group.ids).any():
                kept = np.setdiff1d(group.ids, changed, assume_unique=True)
                self._groups[name] = _Group(np.union1d(kept, mine))

    def _build(self, reader: CentroidSource, *, over_newer: bool = False) -> None:
        """Make the index of the reader's snapshot, and the file."""
        tier = self._tier(reader.centroids.count(self._space_id))
        file = self._file()
        if tier is not Tier.EXACT and self._seal_file(reader, tier, over_newer=over_newer):
            self._load()
            if self._flat is not None and self._held == reader.feed.revision():
                return
        flat = file.empty()
        for table in reader.centroids.batches(self._space_id):
            flat.add(table.ids, table.vectors)
        self._hold(flat, None, reader.feed.revision())
        if tier is Tier.EXACT:
            self._save(over_newer=over_newer)

    def _seal(self, reader: CentroidSource) -> None:
        """Seal the gallery anew, while others search."""
        tier = self._tier(len(self))
        if tier is Tier.EXACT or self._seal_file(reader, tier, over_newer=False):
            with self._lock:
                self._build(reader) if tier is Tier.EXACT else self._load()

    def _seal_file(self, reader: CentroidSource, tier: Tier, *, over_newer: bool) -> bool:
        return self._file().seal(reader, tier, self._options.max_miss_rate, over_newer=over_newer)

    def _wants_sealing(self) -> bool:
        """Whether so much lies over the sealed, or the gallery has grown into another tier."""
        tier = self._tier(len(self))
        if self._sealed is None:
            return tier is not Tier.EXACT
        over = int(np.count_nonzero(self._gone)) + (0 if self._flat is None else len(self._flat))
        return over > max(_REBUILD_AFTER, _SEAL_SHARE * len(self))

    def _tier(self, size: int) -> Tier:
        return self._options.tier(size, self._dim)

    def _load_once(self) -> None:
        with self._lock:
            if self._flat is None:
                self._load()

    def _load(self) -> None:
        """Take the index from the file; a file that is not as it must be is removed."""
        from voiceid.index.sections import Unusable  # noqa: PLC0415 - as in `_file`

        file = self._file()
        try:
            found = file.read()
        except Unusable:
            file.drop()
        else:
            self._hold(found.flat, found.sealed, found.revision)

    def _hold(self, flat: FaissIndex, sealed: Sealed | None, revision: Revision) -> None:
        self._flat, self._sealed, self._held = flat, sealed, revision
        self._gone = np.zeros(0 if sealed is None else len(sealed), dtype=np.bool_)
        self._groups.clear()
        self._unsaved = 0
        feed = [one for one in self._feed if one.revision.number <= revision.number]
        if not feed or feed[-1].revision != revision:
            feed = [FeedEntry(revision, _NOBODY)]
        self._feed = deque(feed, maxlen=_REMEMBERED)

    def _save(self, *, over_newer: bool = False) -> None:
        if self._flat is None or self._sealed is not None:
            return
        if self._file().save(self._flat, self._held, over_newer=over_newer):
            self._unsaved = 0

    def _file(self) -> IndexFile:
        from voiceid.index.file import IndexFile  # noqa: PLC0415 - it loads FAISS

        return IndexFile(self._path, self._space_id, self._dim)
