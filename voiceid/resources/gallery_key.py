"""The key of the gallery, and its protection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voiceid.domain.values import Value
from voiceid.erasure import drop_unused, older_copies
from voiceid.errors import ChangeRefused, ConfigError, GalleryKeyMissing, VoiceIDError
from voiceid.observability import ChangeKind
from voiceid.protection import Key, KeySource, Kind, key_id_of
from voiceid.resources.collection import OfSession
from voiceid.resources.events import names_speakers


@dataclass(frozen=True, slots=True)
class ProtectionStatus(Value):
    """The protection of a gallery.

    Parameters
    ----------
    kind : str
        ``none``, ``rotated`` or ``sealed``.
    key_source : str
        Where the settings say that the key is.
    key_id : str or None
        16 hex digits that identify the key; None: the gallery is not protected.
    has_key : bool
        Whether that key is available.
    protected_at, renewed_at, key_changed_at : datetime or None
        Since when; when all templates were turned last; when the key was changed last.
    older_copies : tuple of str
        Copies of the database beside it, of upgrades and restores: as it was protected then; and
        a ``log.file`` that names speakers.
    """

    kind: str
    key_source: str
    key_id: str | None
    has_key: bool
    protected_at: datetime | None
    renewed_at: datetime | None
    key_changed_at: datetime | None
    older_copies: tuple[str, ...]


class GalleryKey(OfSession):
    """The key that a protected gallery is opened with (docs/privacy.md)."""

    @property
    def source(self) -> KeySource:
        """The place of the key in the settings."""
        return self._session.keys.source or self._session.config.privacy_key

    def require(self) -> None:
        """Raise GalleryKeyMissing if the gallery is protected and its key is not available."""
        if self._session.has_database:
            with self._session.store.read() as reader:
                _ = reader.protection.vault

    def status(self) -> ProtectionStatus:
        """Return the protection of the gallery; raises StoreError."""
        session, row = self._session, None
        if session.has_database:
            with session.store.read() as reader:
                row = reader.protection.row
        times = ("protected_at", "renewed_at", "key_changed_at")
        return ProtectionStatus(
            kind="none" if row is None else row.kind,
            key_source=str(self.source),
            key_id=None if row is None else row.key_id,
            has_key=row is not None and self._has(row.key_id),
            **{
                name: None if row is None else datetime.fromisoformat(getattr(row, name))
                for name in times
            },
            older_copies=self._copies(),
        )

    def init(self, kind: Kind | str = Kind.SEALED) -> ProtectionStatus:
        """Protect the gallery: seal it, or only rotate its vectors; create a key if there is none.

        All rows are rewritten in one change, while others read.  Raises ChangeRefused for a
        gallery that is protected so already, or is sealed, GalleryKeyMissing, StoreError.
        """
        kind = Kind(kind)
        with (
            self._recordings_follow(),
            self._session.change(ChangeKind.PROTECT, large=True) as change,
        ):
            row = change.writer.protection.row
            if row is not None and kind.value in {row.kind, Kind.ROTATED}:
                raise ChangeRefused(
                    f"the gallery is {row.kind} already", hint="`renew` or `rotate` it."
                )
            vault = change.writer.protecting.protect(kind, self._key_for(row))
            self._session.kept_audio.bring_over(change.writer.protection.sealing, vault.sealing)
            change.record(kind=kind.value)
        self._session.store.rewrite()
        return self.status()

    def renew(self) -> ProtectionStatus:
        """Rotate all vectors by another secret rotation: new templates without new recordings."""
        with self._session.change(ChangeKind.RENEW_TEMPLATES, large=True) as change:
            self._require_protected(change.writer.protection.row)
            change.writer.protecting.renew()
            change.record()
        self._session.store.rewrite()
        return self.status()

    def rotate(self, to: str | None = None) -> ProtectionStatus:
        """Change the key of the gallery: to a new one, or to that in another place.

        The place is written as in the settings, which must name it from then on.  What was
        protected by the old key is rewritten in one change, while others read.
        """
        source = self.source
        try:
            target = source if to is None else KeySource.parse(to, self._session.config.home)
        except ValueError as error:
            raise ConfigError(f"{to!r:.80} is not a place for the key: it is {error}") from error
        with self._session.change(ChangeKind.CHANGE_GALLERY_KEY, large=True) as change:
            row = change.writer.protection.row
            self._require_protected(row)
            if key_id_of(new := self._new_key(target)) == row.key_id:
                raise ChangeRefused(
                    f"the key in {target} is the key of the gallery already",
                    hint="To open the gallery with it there, set privacy.key.",
                )
            change.writer.protecting.change_key(new)
            change.record()
        self._session.keys.source = target
        if target == source:
            self._drop(row.key_id)
        self._session.store.rewrite()
        return self.status()

    def off(self) -> ProtectionStatus:
        """Make the gallery plain again; the key stays where it is."""
        with (
            self._recordings_follow(),
            self._session.change(ChangeKind.UNPROTECT, large=True) as change,
        ):
            self._require_protected(change.writer.protection.row)
            self._session.kept_audio.bring_over(change.writer.protection.sealing, None)
            change.writer.protecting.end()
            change.record()
            self._session.keys.is_required = False
        self._session.store.rewrite()
        return self.status()

    @contextmanager
    def _recordings_follow(self) -> Iterator[None]:
        """Have kept recordings of the form that the gallery does not get removed, if it fails too.

        After a kill the next change does it.
        """
        session = self._session
        if session.kept_audio.folder.is_dir():
            with session.store.write() as writer:
                writer.protecting.note_remains()
        try:
            yield
        except BaseException:
            with suppress(VoiceIDError):
                drop_unused(session.store, session.kept_audio)
            raise

    # Places of keys are written inside a transaction that writes to the database: of two processes
    # that change the key, one would put its own in the place of the other's.

    def _key_for(self, row: Any) -> Key:
        """Return the key of a gallery; a new key is only made for a gallery without one."""
        if row is not None:
            return self._session.keys.key(row.key_id)
        return self.source.change(lambda keys: keys or [Key.new()])[0]

    def _new_key(self, target: KeySource) -> Key:
        """Return the first key of another place, or a new one, written above the old ones."""
        if target != self.source and target.is_there():
            return target.read()[0]
        new = Key.new()
        target.change(lambda keys: [new, *keys])
        return new

    def _drop(self, key_id: str) -> None:
        """Remove an old key of the gallery from its place; other keys there are kept."""
        with self._session.store.write():
            self.source.change(lambda keys: [key for key in keys if key_id_of(key) != key_id])

    def _has(self, key_id: str) -> bool:
        try:
            return bool(self._session.keys.key(key_id))
        except GalleryKeyMissing:
            return False

    def _require_protected(self, row: object) -> None:
        if row is None:
            raise ChangeRefused(
                "the gallery is not protected", hint="`voiceid keys gallery init` protects it."
            )

    def _copies(self) -> tuple[str, ...]:
        log = self._session.config.log_file
        files = [] if log is None or not names_speakers(log) else [log]
        return tuple(map(str, [*files, *older_copies(self._session.database)]))
