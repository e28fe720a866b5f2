"""The steps after an erasure, so that no byte of it stays in a file of the data folder.

The transaction itself overwrites the rows (``secure_delete``).  After it, their copies are removed:
index files, kept audio, the write-ahead log.  Until then a row stays in the table ``erasures``, so
that after a kill or a failure the next change continues, and `voiceid doctor` reports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.audio import KeptAudio
from voiceid.domain import DatabaseUrl
from voiceid.errors import ErasureIncomplete, StoreError, VoiceIDError
from voiceid.index.base import Gallery
from voiceid.index.file import remove_others
from voiceid.remains import holding

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Store


@dataclass(frozen=True, slots=True)
class Erasure:
    """Removes the copies of erased rows outside the database."""

    store: Store
    gallery: Callable[[str, int], Gallery]  # from the id and the dimension of a space to its index
    index_folder: Path
    kept_audio: KeptAudio

    def complete(self, vectors: Sequence[bytes] = ()) -> None:
        """Remove all remaining copies, of this and earlier erasures.

        ``vectors`` were just erased, and are searched for in copies of the database.  Raises
        ErasureIncomplete with the remaining copies, their places, and until when they stay.
        """
        try:
            remains = self._swept()
        except StoreError as error:  # the rows are removed nevertheless
            remains = [f"{self.store.path}: unknown bytes: {error.message}"]
        remains += self._in_copies(vectors)
        if remains:
            raise ErasureIncomplete(
                "it was removed from the database, but bytes of it remain:\n  "
                + "\n  ".join(remains),
                remains=tuple(remains),
                hint="The next change tries again; `voiceid doctor` says whether anything remains.",
            )

    def _swept(self) -> list[str]:
        with self.store.read() as reader:
            number = reader.erasures.newest()
        remains = [*self._from_index(), *self._from_audio(), *self._from_log()]
        if not remains:
            with self.store.write() as writer:
                writer.erasures.clear(number)
        return remains

    def _from_index(self) -> Iterator[str]:
        with self.store.read() as reader:
            dims = reader.spaces.dims()
            for space_id, dim in dims.items():
                try:
                    done = self.gallery(space_id, dim).sync(reader)
                except VoiceIDError:
                    done = False
                if not done:
                    yield f"{self.index_folder / space_id}.index: it cannot be changed"
        for path in remove_others(self.index_folder, dims):
            yield f"{path}: it cannot be removed"

    def _from_audio(self) -> Iterator[str]:
        try:
            drop_unused(self.store, self.kept_audio)
        except StoreError as error:
            yield f"{self.kept_audio.folder}: {error.message}"

    def _from_log(self) -> Iterator[str]:
        try:
            emptied = self.store.erase_remains()
        except StoreError as error:
            yield f"{self.store.path}-wal: {error.message}"
            return
        if not emptied:
            yield (
                f"{self.store.path} and {self.store.path}-wal: another process reads an older"
                " state; bytes remain there until it ends"
            )

    def _in_copies(self, vectors: Sequence[bytes]) -> Iterator[str]:
        """Yield the copies in which an erased vector is found."""
        try:
            copies = holding(older_copies(self.store.path), vectors)
        except StoreError as error:
            yield f"{self.store.path}.before-*: copies of earlier states: {error.message}"
            return
        for copy in copies:
            yield f"{copy}: a copy of an earlier state; it stays until you remove it"


def older_copies(database: Path | DatabaseUrl) -> list[Path]:
    """Return the copies of a database that an upgrade and a restore made beside it."""
    if isinstance(database, DatabaseUrl):
        return []
    return sorted(database.parent.glob(f"{database.name}.before-*"))


def unused_audio(store: Store, audio: KeptAudio) -> str | None:
    """Return the number of kept recordings without a sample, as a text; None if there are none."""
    unused = _unused(store, audio)
    return f"kept recordings without a sample: {len(unused)}" if unused else None


def _unused(store: Store, audio: KeptAudio) -> set[str]:
    recordings = audio.recordings()
    if not recordings:
        return recordings
    with store.read() as reader:
        return recordings - reader.samples.stored_hashes(recordings)


def drop_unused(store: Store, audio: KeptAudio) -> None:
    """Remove kept recordings without a sample, and files of killed processes."""
    unused = _unused(store, audio)
    if unused or audio.unfinished():
        with store.write() as writer:  # no enrolment runs meanwhile
            audio.remove(unused - writer.samples.stored_hashes(unused))
