"""The whole database: its schema, its checks, and copies of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.domain import DatabaseUrl, database_at
from voiceid.erasure import drop_unused, unused_audio
from voiceid.errors import ConfigError, StoreError, VoiceIDError
from voiceid.index.file import remove_others
from voiceid.observability import ChangeKind
from voiceid.protection import KeyRing
from voiceid.resources.backup_check import BackupCheck
from voiceid.resources.gallery_signature import GallerySignature
from voiceid.session import Session

if TYPE_CHECKING:  # each loads when it is needed
    from voiceid.store.copying import Copied
    from voiceid.store.restore import Restored
    from voiceid.store.upgrade import SchemaStatus

_NAMED = 10
"""Speakers whom a sentence names."""


class Database:
    """The file in the data folder, or the database on a server."""

    def __init__(self, session: Session) -> None:
        self._session, self._signature = session, GallerySignature(session)

    @property
    def location(self) -> Path | DatabaseUrl:
        """The location: a file, or a database on a server, shown without its password."""
        return self._session.database

    def status(self) -> SchemaStatus:
        """Compare its schema with this program's; nothing is changed."""
        from voiceid.store import upgrade  # noqa: PLC0415 - for this alone

        return upgrade.status(self.location)

    def upgrade(self) -> SchemaStatus:
        """Upgrade it to this program's schema, and report removals; raises SchemaTooNew."""
        from voiceid.store import upgrade  # noqa: PLC0415 - for this alone

        with self._session.recorded(ChangeKind.UPGRADE) as record:
            upgraded = upgrade.upgrade(self.location)
            record()
        return upgraded

    def check(self) -> list[str]:
        """Return every problem of the database, each in a sentence."""
        from voiceid.store import maintenance  # noqa: PLC0415 - for this alone

        session = self._session
        if problems := maintenance.check(session.store):
            return problems
        unused = unused_audio(session.store, session.kept_audio)
        return [] if unused is None else [unused]

    def backup(self, target: str | os.PathLike[str]) -> int:
        """Copy it to a new file while others may write, and record that; return the size in bytes.

        It is signed (`Privacy.key`).
        Raises FileNotWritten: the file exists, or cannot be written; StoreError: the database is
        not sound.
        """
        from voiceid.store import maintenance  # noqa: PLC0415 - for this alone

        with self._session.recorded(ChangeKind.BACKUP) as record:
            session, path = self._session, Path(target)
            size = maintenance.backup(session.store, path, record, self._signature.key_of_file())
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            try:
                with session.store.write() as writer:
                    writer.backups.add(str(path.absolute()), sha256)
            except StoreError as error:  # the backup is there, and whole
                session.notify(f"the backup is not in the list of backups: {error.message}")
            return size

    def restore(
        self,
        file: str | os.PathLike[str],
        *,
        signed_by: str | None = None,
        change_protection: bool = False,
    ) -> Restored:
        """Replace it by a backup while others may have it open; return the result.

        The replaced database is saved beside it.

        Parameters
        ----------
        signed_by : str, optional
            The public key of the gallery that the backup is of (`Privacy.key`), or ``anybody``:
            then the signature is not checked.  When omitted, it must be this gallery.
        change_protection : bool
            Restore it even if its protection differs from the database's.

        Raises
        ------
        SignatureInvalid
            It is signed by another gallery, is unsigned, or was changed.
        ChangeRefused
            It has another protection.
        StoreError
            The backup is damaged, or could not be restored; the database is then unchanged.
        """
        from voiceid.store.restore import restore  # noqa: PLC0415 - for this alone

        session, location = self._session, self.location
        if isinstance(location, DatabaseUrl):
            raise StoreError(
                f"{location} is a database server, and cannot be replaced by a file",
                hint="Use the server's own pg_restore, or `voiceid database copy` into an empty"
                " database.",
            )
        with session.recorded(ChangeKind.RESTORE, in_chain=True) as record:
            keys = session.keys
            accept = BackupCheck(session, Path(file), self._signature.trusted(signed_by))
            if change_protection:
                accept.standing, keys = None, KeyRing(keys.source)
            before = self._enrolled()
            session.disconnect()
            restored = restore(location, Path(file), keys, session.config.audit, accept)
            session.keys.is_required &= not change_protection
            remove_others(session.index_folder, ())  # they belong to the replaced database
            drop_unused(session.store, session.kept_audio)
            record(speakers=restored.n_speakers)
            self._say_who_is_back(before)
            return restored

    def _say_who_is_back(self, before: tuple[set[int], set[int]] | None) -> None:
        """Name the erased and the disabled that the backup brings back."""
        if before is None or (now := self._enrolled()) is None:
            return
        back, enabled = now[0] - before[0], now[1] - before[1]
        erase = "erase again those who were erased since the backup"
        self._say(back, "not in the database any more", erase)
        self._say(enabled - back, "disabled", "withdraw their consents again, or disable them")

    def _say(self, ids: set[int], were: str, what_to_do: str) -> None:
        if ids:
            numbers = ", ".join(map(str, sorted(ids)[:_NAMED]))
            more = ", ..." if len(ids) > _NAMED else ""
            self._session.notify(
                f"speakers of the backup who were {were}: {len(ids)} (numbers {numbers}{more});"
                f" {what_to_do}"
            )

    def _enrolled(self) -> tuple[set[int], set[int]] | None:
        """Return the ids of all speakers, and of the enabled; None: nothing can be read."""
        from voiceid.store.upgrade import SchemaState  # noqa: PLC0415 - for this alone

        with contextlib.suppress(VoiceIDError):
            if self.status().state is SchemaState.CURRENT:
                with self._session.store.read() as reader:
                    ids = reader.speakers.ids
                    return set(ids()), set(ids(only_enabled=True))
        return None

    def copy(
        self,
        source: str | os.PathLike[str] | DatabaseUrl,
        target: str | os.PathLike[str] | DatabaseUrl,
    ) -> Copied:
        """Copy a gallery from one database to another, empty one; return the result.

        Parameters
        ----------
        source, target : str, path or DatabaseUrl
            A SQLite file, or ``postgresql+psycopg://user:password@host:port/database``; neither
            need be the database of this object, whose own is `location`.

        Raises
        ------
        ConfigError
            One of them is not a valid database location.
        SchemaOutdated, SchemaTooNew, StoreError
            The target is as it was.
        """
        from voiceid.store.copying import copy  # noqa: PLC0415 - for this alone

        with self._session.recorded(ChangeKind.COPY) as record:
            keys = KeyRing(self._session.keys.source)
            copied = copy(_database(source), _database(target), keys)
            record(speakers=copied.rows["speakers"], samples=copied.rows["samples"])
            return copied


def _database(place: str | os.PathLike[str] | DatabaseUrl) -> Path | DatabaseUrl:
    if isinstance(place, DatabaseUrl):
        return place
    try:
        return database_at(os.fspath(place))
    except ValueError as error:
        raise ConfigError(
            f"that is not a database: {error}", hint="Give a file or such a URL."
        ) from error
