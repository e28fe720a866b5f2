"""The index file of a space: what later processes start sooner with, and can do without.

It holds the gallery at one revision: every vector (tier "exact"), or the codes of `sealed`.  No
voice stays in it that has left the database: a small file is written anew, in a large one the
codes are overwritten.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voiceid.domain import Revision
from voiceid.index import sections
from voiceid.index.base import CentroidSource, Ids, MissRate, Tier
from voiceid.index.faiss_index import FaissIndex
from voiceid.index.sealed import Plan, Sealed, code_bytes, positions_of, sealing


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds.

    Parameters
    ----------
    flat : FaissIndex
        Everybody, or nobody beside ``sealed``.
    sealed : Sealed or None
    revision : Revision
    tier : Tier
    count : int
    loss : MissRate or None
        None where nobody can be lost.
    """

    flat: FaissIndex
    sealed: Sealed | None
    revision: Revision
    tier: Tier
    count: int
    loss: MissRate | None


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


def drop_unknown(folder: Path, space_ids: Collection[str]) -> Iterator[str]:
    """Remove index files of spaces that are not known; yield those that stay, and why."""
    for path in folder.glob("*.index") if folder.is_dir() else ():
        if path.stem not in space_ids:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                yield f"{path}: {error.strerror}"


@dataclass(frozen=True, slots=True)
class IndexFile:
    """The file at a path.

    Parameters
    ----------
    path : Path
        Its folder is made when it is first saved.
    space_id : str
    dim : int
    """

    path: Path
    space_id: str
    dim: int

    def empty(self) -> FaissIndex:
        """Return an index of nobody."""
        return FaissIndex(self.dim)

    def read(self) -> Found:
        """Return what the file holds.

        Raises
        ------
        Unusable
            It is missing, or not as it must be.
        """
        expected = {"space": self.space_id, "dim": self.dim}
        try:
            facts, arrays = sections.read(self.path, expected)
        except sections.Unusable:
            try:
                with _alone_in(self.path.parent):  # somebody may have been erasing in it
                    facts, arrays = sections.read(self.path, expected)
            except OSError as error:  # there is no such folder, or it is closed
                raise sections.Unusable(str(error)) from error
        tier, flat, sealed = Tier(facts["tier"]), self.empty(), None
        if tier is Tier.EXACT:
            flat.add(arrays["ids"], arrays["vectors"])
        else:
            sealed = Sealed(facts, arrays)
        revision = Revision(facts["revision"], facts["token"])
        loss = None
        if tier is Tier.TWO_STAGE:
            loss = MissRate(facts["missed"], facts["queries"])
        return Found(flat, sealed, revision, tier, facts["count"], loss)

    def save(self, flat: FaissIndex, revision: Revision, *, over_newer: bool) -> bool:
        """Write every vector, unless a newer file is there; return whether it could be written."""
        shapes = {"ids": ("<i8", (len(flat),)), "vectors": ("<f4", (len(flat), self.dim))}
        facts = {**self._facts(revision), "tier": str(Tier.EXACT), "count": len(flat)}
        try:
            with sections.writing(self.path, facts, shapes) as (new, name):
                new.put("ids", flat.ids())
                new.put("vectors", flat.vectors())
                new.finish()
                self._put_in_place(name, revision, over_newer=over_newer)
        except OSError:  # built again when needed; the old file may hold a removed voice
            self.drop()
            return False
        return True

    def seal(
        self, reader: CentroidSource, tier: Tier, max_miss_rate: float, *, over_newer: bool
    ) -> bool:
        """Write everybody in codes, unless a newer file is there; return whether it could be."""
        revision = reader.feed.revision()
        plan = Plan(self.space_id, self.dim, tier, max_miss_rate, self._facts(revision))
        try:
            with sealing(self.path, reader, plan) as name:
                self._put_in_place(name, revision, over_newer=over_newer)
        except OSError:
            return False
        return True

    def erase(self, ids: Ids, number: int) -> None:
        """Overwrite the codes of centroids that were gone by a revision's number.

        A file that was begun before it, and comes later, does not take this one's place.
        """
        try:
            with _alone_in(self.path.parent):
                facts = sections.header(self.path)
                rows = positions_of(ids, sections.unchecked(self.path, "ids"))
                zeros = {
                    name: {int(row): np.zeros(size, np.uint8) for row in rows}
                    for name, size in code_bytes(self.dim).items()
                }
                sections.overwrite(self.path, zeros, erased_to=max(number, facts["erased_to"]))
        except (OSError, sections.Unusable):
            self.drop()

    def is_there(self) -> bool:
        """Whether there is a file, whatever is in it."""
        with contextlib.suppress(OSError):
            return self.path.exists()
        return False

    def drop(self) -> None:
        """Remove the file: it is only a cache."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def is_newer(self, number: int) -> bool:
        """Whether the file knows of a later revision: another process was faster."""
        try:
            facts = sections.header(self.path)
        except sections.Unusable:
            return False
        return facts.get("space") == self.space_id and (
            max(facts["revision"], facts["erased_to"]) > number
        )

    def _facts(self, revision: Revision) -> dict[str, Any]:
        return {
            "space": self.space_id,
            "dim": self.dim,
            "revision": revision.number,
            "token": revision.token,
            "erased_to": revision.number,
        }

    def _put_in_place(self, name: Path, revision: Revision, *, over_newer: bool) -> None:
        with _alone_in(self.path.parent):  # nobody puts a newer one there between the two
            if over_newer or not self.is_newer(revision.number):
                name.replace(self.path)
