"""The index of one embedding space, kept in step with the database by its change feed.

Whoever searches holds a snapshot of the database, and the index is brought to exactly that
snapshot's revision first: by the rows that changed, or from nothing when the feed does not
lead there (a restored backup, a damaged file).  So no answer ever comes from a stale index,
and the file is no more than a way to start sooner.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voiceid.domain import EMPTY_REVISION, Float32Array, Revision
from voiceid.errors import ConfigError, IndexFault
from voiceid.index.base import CentroidSource, Ids, IndexStatus, VectorIndex

_MAGIC = b"voiceid-index-2\n"
_MAX_HEADER_BYTES = 4096
_SAVE_AFTER = 256
"""Changes that a later process catches up with in the time that a file takes to be written."""
_REBUILD_AFTER = 2000
"""Changes from which reading all rows of some ten thousand is no slower than picking some."""
_WRITING_S = 10.0
"""Nobody writes an index file for longer than this; and who does only loses that file."""


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes and threads from replacing files here; a kill ends it too.

    Where there is no ``flock`` (Windows), a save that loses the race is found to be behind
    by the next search, and written again.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


class GalleryIndex:
    """The searchable centroids of one embedding space.  Safe to share among threads.

    Parameters
    ----------
    space_id : str
    dim : int
    kind : str
        ``faiss`` or ``exact``.
    path : Path
        The file; its folder is made when it is first saved.
    """

    def __init__(self, space_id: str, dim: int, kind: str, path: Path) -> None:
        self._space_id, self._dim, self._kind, self._path = space_id, dim, kind, path
        self._lock = threading.RLock()
        self._index: VectorIndex | None = None
        self._held = EMPTY_REVISION
        self._unsaved = 0
        self._unfinished = f".{path.name}."

    def prepare(self) -> None:
        """Load the engine in the background, when the caller has other work before a search."""
        if self._index is None:
            threading.Thread(target=self._type, name="voiceid-index").start()

    def search(
        self,
        reader: CentroidSource,
        query: Float32Array,
        k: int,
        group: str | None = None,
    ) -> list[tuple[int, float]]:
        """Return (centroid id, cosine) of the ``k`` nearest centroids, best first.

        Parameters
        ----------
        reader : CentroidSource
            The snapshot that the answer must agree with.
        query : (dim,) float32
            Unit length.
        k : int
        group : str, optional
            Whose members are looked at, and nobody else; everybody when omitted.

        Raises
        ------
        IndexFault
            The query is not a finite vector of this space's dimension.
        SpeakerDetailInvalid
            Nothing can be a group of that name.
        """
        if query.shape != (self._dim,) or not np.all(np.isfinite(query)):
            raise IndexFault(
                f"a query of shape {query.shape} cannot be searched for in {self._space_id}",
                hint=f"It takes finite vectors of {self._dim} components.",
            )
        among = None
        if group is not None:
            among = np.array(reader.group(group, self._space_id), dtype=np.int64)
        with self._lock:
            ids, scores = self._synced(reader).search(query, k, among)
        cosines = np.clip(scores.astype(np.float64), -1.0, 1.0)
        return [(int(i), float(s)) for i, s in zip(ids, cosines, strict=True)]

    def size(self, reader: CentroidSource, group: str | None = None) -> int:
        """Return how many centroids :meth:`search` looks at."""
        if group is not None:
            return len(reader.group(group, self._space_id))
        return reader.count(self._space_id)

    def sync(self, reader: CentroidSource) -> None:
        """Bring the index to the reader's revision.

        The file is written when much was caught up with, and whenever somebody was removed:
        no voice stays in it that has left the database.
        """
        with self._lock:
            self._synced(reader)

    def rebuild(self, reader: CentroidSource) -> None:
        """Make the index anew from the database, and the file with it, whatever it was."""
        with self._lock:
            self._build(reader)
            self._save(over_newer=True)

    def save(self) -> None:
        """Write the file, unless a newer one is there; that it cannot be written is no error."""
        with self._lock:
            if self._index is not None:
                self._save(over_newer=False)

    def status(self, reader: CentroidSource) -> IndexStatus:
        """Compare the file with the database; nothing is changed."""
        with self._lock:
            found = self._read()
            now = reader.revision()
            state, vectors, held = "missing", None, None
            if found is not None:
                index, revision = found
                vectors, held = len(index), revision.number
                state = "current" if revision == now else "behind"
            elif self._path.exists():
                state = "damaged"
        return IndexStatus(
            space=self._space_id,
            kind=self._kind,
            path=str(self._path),
            state=state,
            vectors=vectors,
            enrolled=reader.count(self._space_id),
            revision=held,
            database_revision=now.number,
        )

    def _synced(self, reader: CentroidSource) -> VectorIndex:
        """Return the index at exactly the reader's revision."""
        index = self._load() if self._index is None else self._index
        now = reader.revision()
        if index is not None and now == self._held:
            return index
        if index is not None and self._held.number > now.number:
            return self._build_behind(reader)
        if index is None or not reader.has_revision(self._held):
            index = self._build(reader)
            self._save(over_newer=False)
            return index
        changed = reader.changes_since(self._held.number)
        if len(changed) > _REBUILD_AFTER:
            index = self._build(reader)
            self._save(over_newer=False)
            return index
        self._catch_up(index, np.array(changed, dtype=np.int64), reader)
        return index

    def _catch_up(self, index: VectorIndex, changed: Ids, reader: CentroidSource) -> None:
        table = reader.centroids(self._space_id, changed.tolist())
        gone = np.isin(changed, index.ids()) & ~np.isin(changed, table.ids)
        index.remove(changed)
        if len(table.ids):  # a space that was never enrolled in has no dimension
            index.add(table.ids, table.vectors)
        self._held = reader.revision()
        self._unsaved += len(changed)
        if gone.any() or self._unsaved >= _SAVE_AFTER:
            self._save(over_newer=False)

    def _build(self, reader: CentroidSource) -> VectorIndex:
        index = self._type()(self._dim)
        table = reader.centroids(self._space_id)
        if len(table.ids):
            index.add(table.ids, table.vectors)
        self._index, self._held = index, reader.revision()
        return index

    def _build_behind(self, reader: CentroidSource) -> VectorIndex:
        """Make the index of a revision that lies before the one held: there is no way back.

        Either the snapshot is older than the last search, or a backup was restored, and then
        a file of the lost future would keep its voices for as long as its number is higher.
        The two cannot be told apart, so the file goes, and none of an old snapshot is written.
        """
        index = self._build(reader)
        if self._is_newer():
            self._drop()
        return index

    def _load(self) -> VectorIndex | None:
        """Take the index from the file; a file that is not as it must be is removed."""
        found = self._read()
        if found is None:
            self._drop()
            return None
        self._index, self._held = found
        return self._index

    def _type(self) -> type[VectorIndex]:
        if self._kind == "faiss":
            from voiceid.index.faiss_index import FaissIndex  # noqa: PLC0415 - 0.1 s

            return FaissIndex
        if self._kind == "exact":
            from voiceid.index.exact import ExactIndex  # noqa: PLC0415 - one of the two is used

            return ExactIndex
        raise ConfigError(f"there is no index of kind {self._kind!r}; there are faiss and exact")

    def _save(self, *, over_newer: bool) -> None:
        index = self._index
        if index is None:
            return
        payload = index.to_bytes()
        facts = {
            "kind": self._kind,
            "space": self._space_id,
            "dim": self._dim,
            "revision": self._held.number,
            "token": self._held.token,
            "count": len(index),
            "sha256": hashlib.sha256(payload).hexdigest(),
        }
        try:
            self._write(_MAGIC + json.dumps(facts).encode() + b"\n" + payload, over_newer)
            self._unsaved = 0
        except OSError:  # built again when needed; the old file may hold a removed voice
            self._drop()

    def _drop(self) -> None:
        """Remove the file: it is only a cache."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _is_newer(self) -> bool:
        """Whether the file is of a later revision: another process was faster."""
        try:
            with self._path.open("rb") as file:
                magic, line = file.readline(), file.readline(_MAX_HEADER_BYTES)
            return magic == _MAGIC and int(json.loads(line)["revision"]) > self._held.number
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _read(self) -> tuple[VectorIndex, Revision] | None:
        """Return the file's index and revision, or None when it is missing or not as it must be."""
        try:
            magic, line, payload = self._path.read_bytes().split(b"\n", 2)
            facts = json.loads(line)
            expected = {
                "kind": self._kind,
                "space": self._space_id,
                "dim": self._dim,
                "sha256": hashlib.sha256(payload).hexdigest(),
            }
            if magic + b"\n" != _MAGIC or {key: facts[key] for key in expected} != expected:
                return None
            index = self._type().from_bytes(payload, self._dim)
            if len(index) != facts["count"]:
                return None
            return index, Revision(int(facts["revision"]), str(facts["token"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, data: bytes, over_newer: bool) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep(folder)
        number, name = tempfile.mkstemp(prefix=self._unfinished, dir=folder)  # 0600
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with _alone_in(folder):  # nobody puts a newer one there between the two
                if over_newer or not self._is_newer():
                    Path(name).replace(self._path)
        finally:
            Path(name).unlink(missing_ok=True)

    def _sweep(self, folder: Path) -> None:
        """Remove what processes left that were killed while they wrote: there are voices in it."""
        for path in folder.glob(f"{self._unfinished}*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _WRITING_S:
                    path.unlink()
