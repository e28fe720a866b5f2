"""The parts of a `VoiceID` that are looked after: models, database, index."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.app.doctor import audio_problem, examine, now_used
from voiceid.app.forgetting import forget_audio
from voiceid.app.observed import changes, copied, nothing, restored
from voiceid.app.parts import Parts
from voiceid.app.quantizing import quantize
from voiceid.audio import AudioSource
from voiceid.domain import DatabaseUrl, EmbeddingSpace, Finding, database_at
from voiceid.errors import ConfigError, StoreError
from voiceid.index.base import IndexStatus
from voiceid.index.gallery import GalleryIndex
from voiceid.index.pgvector import PgvectorGallery
from voiceid.models.cards import ModelCard
from voiceid.models.install import ModelStore
from voiceid.observability import Change

if TYPE_CHECKING:  # it loads while the models do, or when it is needed
    from voiceid.app.side_by_side import Comparison
    from voiceid.store.copying import Copied
    from voiceid.store.migrate import SchemaStatus
    from voiceid.store.restore import Restored


class Upkeep:
    """The models, the database and the index files."""

    _parts: Parts

    @property
    def models(self) -> ModelStore:
        """The installed models: list, pull, verify, remove."""
        return self._parts.models

    @property
    def card(self) -> ModelCard:
        """The card of the encoder in use; raises ModelUnknown."""
        return now_used(self._parts).card

    @property
    def space(self) -> EmbeddingSpace:
        """The embedding space of the model and the speech settings in use."""
        return now_used(self._parts).space

    @property
    def database(self) -> Path | DatabaseUrl:
        """Where the gallery is: a file, or a database of a server, without its password."""
        return self._parts.database

    def examine(self) -> Iterator[Finding]:
        """Yield what an examination of the whole installation finds; nothing is changed."""
        return examine(self._parts)

    def quantize(self, name: str, sources: Sequence[AudioSource], new_name: str) -> ModelCard:
        """Make the INT8 form of an encoder, and install it; return its card.

        Parameters
        ----------
        name, new_name : str
            Of the encoder, and of the model that it becomes.
        sources : sequence of AudioSource
            Speech of many people, on which the ranges of its values are measured.  Without any,
            ``new_name`` must be a model whose card has them.

        Raises
        ------
        ModelError
            Nothing was installed.
        AudioError
            A recording cannot be read.
        """
        return quantize(self._parts, name, sources, new_name)

    def compare_models(self, a: str, b: str, paths: Sequence[str]) -> Comparison:
        """Hear files with two encoders in turn; return how fast, large, alike and good they are.

        The speaker of a file is its folder's name: equal error rates need some.

        Raises
        ------
        ModelError, AudioError
        """
        from voiceid.app.side_by_side import compare_models  # noqa: PLC0415 - for this alone

        clips = [(Path(path).absolute().parent.name, path) for path in paths]
        return compare_models(self._parts.with_model(a), self._parts.with_model(b), clips)

    def db_status(self) -> SchemaStatus:
        """Return how the database's schema stands to this program's; nothing is changed."""
        from voiceid.store import migrate  # noqa: PLC0415 - the maintenance path only

        return migrate.status(self._parts.database)

    @changes(Change.UPGRADE, nothing)
    def db_upgrade(self) -> SchemaStatus:
        """Bring the database to this program's schema; raises SchemaTooNew."""
        from voiceid.store import migrate  # noqa: PLC0415 - the maintenance path only

        migrate.upgrade(self._parts.database)
        return migrate.status(self._parts.database)

    @changes(Change.BACKUP, nothing)
    def db_backup(self, target: str | os.PathLike[str]) -> int:
        """Copy the database to a new file while others write; return the size in bytes.

        Raises
        ------
        StoreError
            The file exists or cannot be written, or there is no sound database.
        """
        from voiceid.store import maintenance  # noqa: PLC0415 - the maintenance path only

        return maintenance.backup(self._parts.store, Path(target))

    @changes(Change.RESTORE, restored)
    def db_restore(self, file: str | os.PathLike[str]) -> Restored:
        """Put a backup in the place of the database, whoever has it open; return what was done.

        What it replaces is saved beside it.

        Raises
        ------
        StoreError
            The backup is not sound, or could not be put back.  The database is as it was.
        """
        from voiceid.store.restore import restore  # noqa: PLC0415 - the maintenance path only

        if isinstance(self._parts.database, DatabaseUrl):
            raise StoreError(
                f"{self._parts.database} is not a file, and no file is put in its place",
                hint="Use the server's own pg_restore, or `voiceid db copy` into an empty one.",
            )
        self._parts.let_go()
        restored = restore(self._parts.database, Path(file))
        folder = self._parts.index_folder
        for path in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(OSError):  # no answer comes from it, but voices are in it
                path.unlink()
        forget_audio(self._parts.store, self._parts.kept_audio)
        return restored

    @changes(Change.COPY, copied)
    def db_copy(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Copied:
        """Move a gallery from one database to another that is empty; return what was moved.

        Parameters
        ----------
        source, target : str or path
            A SQLite file, or ``postgresql+psycopg://user:password@host:port/database``; neither
            need be the database of this object.

        Raises
        ------
        ConfigError
            That is no database.
        SchemaOutdated, SchemaTooNew, StoreError
            The target is as it was.
        """
        from voiceid.store import Store  # noqa: PLC0415 - the maintenance path only
        from voiceid.store.copying import copy  # noqa: PLC0415 - as above

        there = _database(target)
        made = copy(_database(source), there)
        if isinstance(there, DatabaseUrl):
            store = Store.open(there)
            try:
                with store.read() as reader:
                    lost = self._parts.config.index.allowed_miss_rate
                    for space_id, dim in reader.spaces().items():
                        gallery = PgvectorGallery(space_id, dim, str(there), store.write, lost)
                        gallery.rebuild(reader)
            finally:
                store.close()
        return made

    def db_check(self) -> list[str]:
        """Return everything that is wrong with the database, each in a sentence."""
        from voiceid.store import maintenance  # noqa: PLC0415 - the maintenance path only

        problems = maintenance.check(self._parts.store)
        return problems or [told for told in [audio_problem(self._parts)] if told]

    def index_status(self) -> list[IndexStatus]:
        """Compare the index of each embedding space with the database."""
        return self._parts.each_index(lambda index, reader: index.status(reader))

    def index_seal(self) -> bool:
        """Write the index files that are due, at a low priority; False: one cannot be written."""
        from voiceid.index import sealer  # noqa: PLC0415 - for large galleries alone

        parts = self._parts
        galleries = parts.each_index(lambda index, _: index)
        files = [index for index in galleries if isinstance(index, GalleryIndex)]
        return sealer.seal_due(parts.index_folder, files, parts.store.read)

    @changes(Change.REBUILD_INDEX, nothing)
    def index_rebuild(self) -> list[IndexStatus]:
        """Make each index anew from the database."""
        self._parts.each_index(lambda index, reader: index.rebuild(reader))
        return self.index_status()


def _database(given: str | os.PathLike[str]) -> Path | DatabaseUrl:
    try:
        return database_at(os.fspath(given))
    except ValueError as error:
        raise ConfigError(
            f"what was given is no database, {error}", hint="Name a file, or such a URL."
        ) from error
