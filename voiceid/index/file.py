"""The index file of a space at one revision: it lets later processes start faster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voiceid.domain import Revision
from voiceid.errors import GalleryKeyMissing, StoreError
from voiceid.index import sections
from voiceid.index.base import Ids, as_ids
from voiceid.index.sections import Array, Facts, Unusable
from voiceid.protection import Key, Vault
from voiceid.whole_files import alone_in

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader

SUFFIX = ".index"
_OF_CENTROIDS = frozenset({"there", "vectors", "bytes", "products"})
"""The sections with a row for each centroid; the row is zero after an erasure."""

SEALING = "sealing.lock"
"""The file in the folder that is locked by the process that makes the codes of a large gallery."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """The index file of a space; its folder is made when it is first written."""

    path: Path
    space_id: str
    dim: int
    vault: Callable[[], Vault | None] = lambda: None  # what seals the file; None: it is plain

    @contextlib.contextmanager
    def sealing(self, *, wait: bool) -> Iterator[None]:
        """Lock out other makers of codes of a gallery in this folder; see `alone_in`."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(alone_in(self.path.parent, SEALING, wait=wait))
            except BlockingIOError:
                raise
            except OSError:  # the folder is missing or closed: no other can write either
                pass
            yield

    def key(self) -> Key | None:
        """Return the key that seals the file; raises Unusable, GalleryKeyMissing."""
        try:
            vault = self.vault()
        except GalleryKeyMissing:
            raise
        except StoreError as error:
            raise Unusable(error.message) from error
        return None if vault is None else vault.file_key

    def header(self) -> Facts | None:
        """Return the facts of the file; None when it cannot be used."""
        with contextlib.suppress(Unusable):
            facts = self._header()
            if facts.get("space") == self.space_id:
                return facts
        return None

    def read(self) -> tuple[Facts, dict[str, Array]]:
        """Return the contents of the file; raises Unusable."""
        expected = {"space": self.space_id, "dim": self.dim}
        try:
            return sections.read(self.path, expected, self.key())
        except Unusable:
            try:
                with alone_in(self.path.parent):  # another process may have been erasing in it
                    return sections.read(self.path, expected, self.key())
            except OSError as error:  # the folder is missing, or closed
                raise Unusable(str(error)) from error

    def write(
        self,
        facts: Facts,
        arrays: dict[str, Array],
        reader: Reader | None = None,
        *,
        over_newer: bool = False,
    ) -> bool:
        """Write the gallery at the revision in the facts; return whether that is possible.

        A newer file is left.  Rows that changed between that revision and the reader's are erased.
        """
        arrays["there"] = np.ones(len(arrays["ids"]), dtype=np.uint8)
        now = base = Revision(facts["revision"], facts["token"])
        if reader is not None and (now := reader.revision) != base:
            rows = np.isin(arrays["ids"], changed_since(reader, base))
            for name in _OF_CENTROIDS & arrays.keys():
                arrays[name][rows] = 0
        facts = {**facts, "space": self.space_id, "dim": self.dim, **_erased(now)}
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone_in(self.path.parent):
                self._sweep()
                if over_newer or not self.is_newer(now.number):
                    sections.write(self.path, facts, arrays, self.key())
        except (OSError, Unusable):
            return False
        return True

    def erase(self, reader: Reader) -> bool:
        """Overwrite or remove rows of changed and removed centroids; return whether that worked."""
        try:
            if not self.path.parent.is_dir():
                return True
            with alone_in(self.path.parent):
                self._sweep()
                if self.is_there():
                    self._erase(reader)
        except (OSError, Unusable):
            self.drop()
            return not self.is_there()
        return True

    def is_there(self) -> bool:
        """Whether there is a file, with any content."""
        try:
            self.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # a folder without access does not tell
            pass
        return True

    def drop(self) -> None:
        """Remove the file: it is only a cache."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def is_newer(self, number: int) -> bool:
        """Whether the file has a later revision: another process was faster."""
        facts = self.header()
        return facts is not None and facts["erased_to"] > number

    def _header(self) -> Facts:
        return sections.header(self.path, sealed=self.key() is not None)

    def _erase(self, reader: Reader) -> None:
        facts = self._header()
        base = Revision(facts["revision"], facts["token"])
        erased = Revision(facts["erased_to"], facts["erased_token"])
        now = reader.revision
        if facts["space"] != self.space_id or not reader.feed.has(base):
            raise Unusable("it does not belong to this database's history")
        if now == erased:
            return
        follows = reader.feed.has(erased)
        ids = changed_since(reader, erased if follows else base)
        changed = _erased(now) if follows else {}
        rows = sections.erase(self.path, ids, _OF_CENTROIDS, changed, self.key())
        if rows and not reader.centroids.count(self.space_id):
            self.drop()

    def _sweep(self) -> None:
        """Remove incomplete files of killed processes; the caller holds the lock of writers."""
        for left in self.path.parent.glob(f"{sections.unfinished(self.path)}*"):
            with contextlib.suppress(OSError):
                left.unlink()


def changed_since(reader: Reader, revision: Revision) -> Ids:
    """Return the ids (n,) of the centroids that changed after a revision, rising."""
    feed = reader.feed.since(revision.number)
    return as_ids(sorted({entry.centroid_id for entry in feed}))


def remove_others(folder: Path, space_ids: Collection[str]) -> list[Path]:
    """Remove the index files in a folder of all but these spaces; return those that stayed."""
    kept = {f"{space_id}{SUFFIX}" for space_id in space_ids}
    left = []
    for path in folder.glob(f"*{SUFFIX}*") if folder.is_dir() else ():
        if path.name in kept or not path.is_file():
            continue
        try:
            with alone_in(folder):  # no writer is at work on these incomplete files
                path.unlink(missing_ok=True)
        except OSError:
            left.append(path)
    return left


def _erased(revision: Revision) -> Facts:
    return {"erased_to": revision.number, "erased_token": revision.token}
