"""The index of one embedding space, kept in step with the database by its change feed.

A search is answered at exactly the revision of its snapshot: the index first follows the feed, or
is built from all rows.  A small gallery is held whole.  A large one is sealed in codes (see
`sealed`); later changes are kept exactly beside it, until `sealer` seals it again.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voiceid.domain import EMPTY_REVISION, FeedEntry, Float32Array, Revision
from voiceid.errors import ConfigError, VoiceIDError
from voiceid.index.base import (
    HNSW,
    Hits,
    Ids,
    IndexOptions,
    IndexStatus,
    MissRate,
    Tier,
    answer,
    as_ids,
    merged,
    nearest_of_rows,
    ranked,
    require_query,
)
from voiceid.index.file import IndexFile
from voiceid.index.groups import Group, Groups
from voiceid.index.sections import Array, Facts, Unusable
from voiceid.protection import Vault

if TYPE_CHECKING:  # FAISS and the store load when they are needed
    from voiceid.index.faiss_index import FaissIndex
    from voiceid.index.sealed import Read, Sealed
    from voiceid.store import Reader

_SAVE_AFTER = 256
"""Changes that a later process follows in the time that it takes to write a file."""
_REBUILD_AFTER = 2000
"""Changes from which reading all of some ten thousand rows is as fast as selecting some."""
_REBUILD_SHARE = 0.5
"""Share of the gallery: with more changes, a rebuild is as fast as following them."""
_SEAL_SHARE = 0.01
"""Share of the gallery: with more changes, a sealed one is due to be sealed again."""
_REMEMBERED = 10_000
"""Changes that are remembered for callers with an older snapshot."""
_NONE: Ids = as_ids([])
_NO_ID = 0
"""No centroid has this id; it marks the start of the remembered feed."""


class GalleryIndex:
    """The searchable centroids of one space; calls ``on_due`` when it is due to be sealed."""

    def __init__(
        self,
        space_id: str,
        dim: int,
        path: Path,
        options: IndexOptions | None = None,
        on_due: Callable[[], object] | None = None,
        sealing: Callable[[], Vault | None] = lambda: None,
    ) -> None:
        self._space_id, self._dim = space_id, dim
        self._file = IndexFile(path, space_id, dim, sealing)
        self._options, self._on_due = options or IndexOptions(), on_due
        if self._options.kind == HNSW:
            raise ConfigError(
                "index.kind is hnsw, which only works with PostgreSQL",
                hint="Set database_url, or another index.kind; `auto` suits most galleries.",
            )
        self._lock = threading.RLock()
        self._flat: FaissIndex | None = None
        self._sealed: Sealed | None = None
        self._gone: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.empty(0, dtype=np.bool_)
        self._held, self._sealed_at, self._erased = EMPTY_REVISION, EMPTY_REVISION, _NONE
        self._feed: deque[FeedEntry] = deque(maxlen=_REMEMBERED)
        self._groups, self._unsaved = Groups(space_id), 0

    def prepare(self) -> None:
        """See `Gallery`."""

        def load() -> None:
            # A search reports it; a program that is ending cannot start threads.
            with self._lock, contextlib.suppress(VoiceIDError, RuntimeError):
                if self._flat is None:
                    self._load()

        if self._flat is None:
            threading.Thread(target=load, name="voiceid-index").start()

    def search(
        self, reader: Reader, query: Float32Array, k: int, group: str | None = None
    ) -> list[tuple[int, float]]:
        """See `Gallery`."""
        require_query(query, self._space_id, self._dim)
        with self._lock:
            turned = reader.protection.turned(query, self._space_id)
            return answer(self._nearest(reader, turned, k, group))

    def size(self, reader: Reader, group: str | None = None) -> int:
        """See `Gallery`."""
        with self._lock:
            since = self._follow(reader)
            if since is None or len(since):
                if group is not None:
                    return len(reader.centroids.group(group, self._space_id))
                return reader.centroids.count(self._space_id)
            return len(self) if group is None else len(self._groups.get(reader, group).ids)

    def __len__(self) -> int:
        sealed = 0 if self._sealed is None else len(self._sealed) - np.count_nonzero(self._gone)
        return int(sealed) + (0 if self._flat is None else len(self._flat))

    def sync(self, reader: Reader) -> bool:
        """Bring the file, and its loaded contents, to the reader's revision; see `Gallery`."""
        with self._lock:
            erased = self._file.erase(reader)
            if self._flat is not None or self._is_far_behind(reader):
                if self._follow(reader) is None:  # the database is another, or others are ahead
                    self._flat = self._sealed = None
                elif self._unsaved >= _SAVE_AFTER:
                    self.save()
        if self._on_due is not None and self.is_due(reader):
            self._on_due()
        return erased

    def is_due(self, reader: Reader, *, lost: bool = False) -> bool:
        """Whether :meth:`seal` has work; ``lost``: also count work that a search would do."""
        facts = self._file.header()
        if facts is not None:
            behind = reader.revision.number - facts["revision"]
            most = _followed(facts["count"]) if lost else _much(facts["count"])
            is_fresh = (lost or facts["tier"] != Tier.EXACT) and behind <= most
            if is_fresh or self._tier(facts["count"] + behind) is Tier.EXACT:
                return False
        return not self._is_small(reader)

    def seal(self, read: Read) -> bool:
        """Write a large gallery as codes, if it is due, while others search and change it.

        Return False when the file cannot be written.
        """
        with read() as reader:
            if not self.is_due(reader):
                return True
        facts, arrays = self._codes(read)
        with read() as reader:
            return self._file.write(facts, arrays, reader)

    def rebuild(self, reader: Reader) -> None:
        """Rebuild the index and its file from the database."""
        with self._lock:
            self._build(reader, over_newer=True)

    def save(self, *, over_newer: bool = False) -> None:
        """Write the file, unless a newer one is there; a failure is not an error."""
        with self._lock:
            if self._flat is None or self._sealed is not None:
                return
            facts = {"tier": str(Tier.EXACT), "count": len(self._flat)}
            facts |= {"revision": self._held.number, "token": self._held.token}
            arrays: dict[str, Array] = {"ids": self._flat.ids(), "vectors": self._flat.vectors()}
            if self._file.write(facts, arrays, over_newer=over_newer):
                self._unsaved = 0

    def status(self, reader: Reader) -> IndexStatus:
        """See `Gallery`."""
        now = reader.revision
        enrolled = reader.centroids.count(self._space_id)
        file, facts, loss, vectors = self._file, None, None, None
        state = "damaged" if file.is_there() else "missing"
        with contextlib.suppress(Unusable):
            facts, arrays = file.read()
            vectors = int(np.count_nonzero(arrays["there"]))
            known = Revision(facts["revision"], facts["token"])
            state = "current" if known == now else "behind"
            if facts["tier"] == Tier.TWO_STAGE:
                loss = MissRate(facts["missed"], facts["queries"])
        return IndexStatus(
            space=self._space_id,
            kind=str(self._tier(enrolled)) if facts is None else facts["tier"],
            path=str(self._file.path),
            state=state,
            vectors=vectors,
            enrolled=enrolled,
            revision=None if facts is None else facts["revision"],
            database_revision=now.number,
            is_due=self.is_due(reader),
            miss_rate=None if loss is None else loss.rate,
            miss_rate_upper=None if loss is None else loss.upper,
        )

    def _nearest(self, reader: Reader, query: Float32Array, k: int, group: str | None) -> Hits:
        """Return the nearest by the reader's snapshot."""
        since = self._follow(reader)
        if since is None:
            return nearest_of_rows(reader, self._space_id, query, k, group)
        members = None
        if group is not None and len(since):
            members = Group(as_ids(reader.centroids.group(group, self._space_id)))
        elif group is not None:
            members = self._groups.get(reader, group)
        hits, rescored = self._held_nearest(query, k, members, since)
        if len(since):  # as the snapshot has them
            chosen = since if members is None else since[np.isin(since, members.ids)]
            rescored = np.concatenate([rescored, chosen])
        if not len(rescored):
            return hits
        table = reader.centroids.as_stored(self._space_id, rescored.tolist())
        return merged(hits, ranked(table.ids, table.vectors, query, k), k)

    def _held_nearest(
        self, query: Float32Array, k: int, members: Group | None, without: Ids
    ) -> tuple[Hits, Ids]:
        """Return hits that are not sealed, and the sealed ids that may be nearest."""
        assert self._flat is not None  # noqa: S101 - `_follow` ensures it; for mypy
        among = None
        if members is not None:
            if members.flat is None:
                members.divide(self._sealed, self._gone)
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

    def _follow(self, reader: Reader) -> Ids | None:
        """Bring the index to the reader's revision, or a later one.

        Return the ids (n,) that changed after the reader's snapshot, which are read from it; None
        if the index is at a point that does not follow from the snapshot, or another process is
        making the index.
        """
        if self._flat is None:
            self._load()
        now = reader.revision
        if self._flat is not None and now.number < self._held.number:
            return self._back_to(now, reader)
        if self._flat is None:
            self._build(reader)
        elif now != self._held or len(self._erased):
            self._catch_up(reader, now)
        return None if self._flat is None else _NONE

    def _back_to(self, now: Revision, reader: Reader) -> Ids | None:
        """Return the ids that changed between a revision and the later one that is held.

        None: the revision is not in the remembered feed.  Then the snapshot is older than the
        index's own start, or the database was restored from a backup.  A small gallery is rebuilt
        from the snapshot; a file of the lost revisions is removed, with its voices.
        """
        if any(entry.revision == now for entry in self._feed):
            later = {e.centroid_id for e in self._feed if e.revision.number > now.number}
            return as_ids(sorted(later))
        if self._sealed is not None:
            return None
        self._build(reader)
        if self._file.is_newer(now.number):
            self._file.drop()
        return None if self._flat is None else _NONE

    def _catch_up(self, reader: Reader, now: Revision) -> None:
        feed = None
        if now.number - self._held.number <= _followed(len(self)):
            feed = reader.feed.after(self._held)
        if feed is None:
            if self._takes_newer(reader, now):
                self._catch_up(reader, now)
            else:
                self._build(reader)
            return
        changed = as_ids(sorted({*self._erased.tolist(), *(e.centroid_id for e in feed)}))
        assert self._flat is not None  # noqa: S101 - as above
        table = reader.centroids.as_stored(self._space_id, changed.tolist())
        if self._sealed is not None:
            self._gone[self._sealed.positions(changed)] = True
        self._flat.remove(changed)
        if len(table.ids):  # a space without enrolments has no dimension
            self._flat.add(table.ids, table.vectors)
        self._groups.follow(reader, changed)
        self._held, self._erased = now, _NONE
        self._feed.extend(feed)
        self._unsaved += len(changed)
        over, size = np.count_nonzero(self._gone) + len(self._flat), len(self)
        is_due = self._tier(size) is not Tier.EXACT and over > _much(size)
        if is_due and self._takes_newer(reader, now):
            self._catch_up(reader, now)

    def _takes_newer(self, reader: Reader, now: Revision) -> bool:
        """Load the file that another process sealed meanwhile, if there is one."""
        facts = self._file.header()
        if facts is None or facts["tier"] == Tier.EXACT:
            return False
        sealed_at = Revision(facts["revision"], facts["token"])
        if not self._sealed_at.number < sealed_at.number <= now.number:
            return False
        return reader.feed.has(sealed_at) and self._load()

    def _build(self, reader: Reader, *, over_newer: bool = False) -> None:
        """Build the index from the reader's snapshot, and the file."""
        from voiceid.index.faiss_index import FaissIndex  # noqa: PLC0415 - it loads FAISS

        if self._is_small(reader):
            flat = FaissIndex(self._dim)
            for table in reader.centroids.batches(self._space_id):
                flat.add(table.ids, table.vectors)
            self._hold(flat, None, reader.revision)
            self.save(over_newer=over_newer)
            return
        try:
            with self._file.sealing(wait=over_newer):
                facts, arrays = self._codes(lambda: contextlib.nullcontext(reader))
                written = self._file.write(facts, arrays, over_newer=over_newer)
                if not (written and self._load() and self._held == reader.revision):
                    self._take(facts, arrays)
        except BlockingIOError:  # another process is making it: until then every row is searched
            self._flat = self._sealed = None

    def _codes(self, read: Read) -> tuple[Facts, dict[str, Array]]:
        from voiceid.index.sealed import seal  # noqa: PLC0415 - it loads FAISS

        with read() as reader:
            tier = self._tier(reader.centroids.count(self._space_id))
        return seal(self._space_id, read, tier, self._options.max_miss_rate)

    def _is_far_behind(self, reader: Reader) -> bool:
        """Whether it is worthwhile to write the file of a small gallery again."""
        facts = self._file.header()
        if facts is not None and reader.revision.number - facts["revision"] <= _SAVE_AFTER:
            return False
        return reader.centroids.count(self._space_id) > 0 and self._is_small(reader)

    def _is_small(self, reader: Reader) -> bool:
        """Whether the gallery is one that is held whole."""
        return self._tier(reader.centroids.count(self._space_id)) is Tier.EXACT

    def _tier(self, size: int) -> Tier:
        return self._options.tier(size, self._dim)

    def _load(self) -> bool:
        """Load the index from the file; an unusable file is removed."""
        try:
            self._take(*self._file.read())
        except Unusable:
            self._file.drop()
            return False
        return True

    def _take(self, facts: Facts, arrays: dict[str, Array]) -> None:
        """Hold the contents of a file."""
        from voiceid.index.faiss_index import FaissIndex  # noqa: PLC0415 - it loads FAISS
        from voiceid.index.sealed import Sealed  # noqa: PLC0415 - as above

        flat, sealed = FaissIndex(self._dim), None
        if facts["tier"] == Tier.EXACT:
            flat.add(arrays["ids"], arrays["vectors"])
        else:
            sealed = Sealed(facts, arrays)
        self._hold(flat, sealed, Revision(facts["revision"], facts["token"]))
        self._erased = np.sort(arrays["ids"][arrays["there"] == 0])

    def _hold(self, flat: FaissIndex, sealed: Sealed | None, revision: Revision) -> None:
        self._flat, self._sealed, self._held = flat, sealed, revision
        self._sealed_at = EMPTY_REVISION if sealed is None else revision
        self._gone = np.zeros(0 if sealed is None else len(sealed), dtype=np.bool_)
        self._erased = _NONE
        self._groups.clear()
        self._unsaved = 0
        feed = [entry for entry in self._feed if entry.revision.number <= revision.number]
        if not feed or feed[-1].revision != revision:
            feed = [FeedEntry(revision, _NO_ID)]
        self._feed = deque(feed, maxlen=_REMEMBERED)


def _followed(size: int) -> float:
    """Return how many changes an index of a size follows without a rebuild."""
    return max(_REBUILD_AFTER, _REBUILD_SHARE * size)


def _much(size: int) -> float:
    """Return how many changes make a gallery of a size due to be sealed again."""
    return max(_REBUILD_AFTER, _SEAL_SHARE * size)
