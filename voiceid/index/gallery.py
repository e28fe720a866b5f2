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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voiceid.domain import EMPTY_REVISION, Float32Array, Revision
from voiceid.errors import ConfigError, IndexFault
from voiceid.index.base import CentroidSource, VectorIndex

_MAGIC = b"voiceid-index-1\n"


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The index file of a space against the database.

    Parameters
    ----------
    space, kind, path : str
    state : str
        ``current``, ``behind`` (the next search catches up), ``missing`` or ``damaged``
        (the next search makes it anew).
    vectors, enrolled : int or None
        In the file, and in the database.
    revision, database_revision : int or None
    """

    space: str
    kind: str
    path: str
    state: str
    vectors: int | None
    enrolled: int
    revision: int | None
    database_revision: int


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

    def search(
        self, reader: CentroidSource, query: Float32Array, k: int
    ) -> list[tuple[int, float]]:
        """Return (centroid id, cosine) of the ``k`` nearest centroids, best first.

        Parameters
        ----------
        reader : CentroidSource
            The snapshot that the answer must agree with.
        query : (dim,) float32
            Unit length.
        k : int

        Raises
        ------
        IndexFault
            The query is not a finite vector of this space's dimension.
        """
        if query.shape != (self._dim,) or not np.all(np.isfinite(query)):
            raise IndexFault(
                f"a query of shape {query.shape} cannot be searched for in {self._space_id}",
                hint=f"It takes finite vectors of {self._dim} components.",
            )
        with self._lock:
            self.sync(reader)
            ids, scores = self._loaded().search(query, k)
        cosines = np.clip(scores.astype(np.float64), -1.0, 1.0)
        return [(int(i), float(s)) for i, s in zip(ids, cosines, strict=True)]

    def sync(self, reader: CentroidSource) -> None:
        """Bring the index to the reader's revision."""
        with self._lock:
            if self._index is None:
                self._load()
            now = reader.revision()
            if now == self._held and self._index is not None:
                return
            forward = self._held.number <= now.number and reader.has_revision(self._held)
            if self._index is None or not forward:
                self.rebuild(reader)
                return
            changed = reader.changes_since(self._held.number)
            table = reader.centroids(self._space_id, changed)
            self._index.remove(np.array(changed, dtype=np.int64))
            self._index.add(table.ids, table.vectors)
            self._held = now

    def rebuild(self, reader: CentroidSource) -> None:
        """Make the index anew from the database, and save it."""
        with self._lock:
            index = self._empty()
            table = reader.centroids(self._space_id)
            if len(table.ids):
                index.add(table.ids, table.vectors)
            self._index, self._held = index, reader.revision()
            self.save()

    def save(self) -> None:
        """Write the file, unless a newer one is there; that it cannot be written is no error."""
        with self._lock, contextlib.suppress(OSError):
            header = self._header()
            if header is not None and header["revision"] > self._held.number:
                return
            payload = self._loaded().to_bytes()
            facts = {
                "kind": self._kind,
                "space": self._space_id,
                "dim": self._dim,
                "revision": self._held.number,
                "token": self._held.token,
                "count": len(self._loaded()),
                "sha256": hashlib.sha256(payload).hexdigest(),
            }
            self._write(_MAGIC + json.dumps(facts).encode() + b"\n" + payload)

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

    def _loaded(self) -> VectorIndex:
        if self._index is None:
            self._index = self._empty()
        return self._index

    def _load(self) -> None:
        found = self._read()
        if found is not None:
            self._index, self._held = found

    def _type(self) -> type[VectorIndex]:
        if self._kind == "faiss":
            from voiceid.index.faiss_index import FaissIndex  # noqa: PLC0415 - 0.1 s

            return FaissIndex
        if self._kind == "exact":
            from voiceid.index.exact import ExactIndex  # noqa: PLC0415 - one of the two is used

            return ExactIndex
        raise ConfigError(f"there is no index of kind {self._kind!r}; there are faiss and exact")

    def _empty(self) -> VectorIndex:
        return self._type()(self._dim)

    def _header(self) -> dict[str, int] | None:
        """Return the numbers of the file's header, or None when there is no such file."""
        try:
            with self._path.open("rb") as file:
                magic, line = file.readline(), file.readline(4096)
            facts = json.loads(line) if magic == _MAGIC else None
            return {"revision": int(facts["revision"])} if isinstance(facts, dict) else None
        except (OSError, ValueError, KeyError):
            return None

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

    def _write(self, data: bytes) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=".index-", dir=folder)  # 0600
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
