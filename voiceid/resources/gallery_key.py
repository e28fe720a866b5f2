"""The key of the gallery, and what it protects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from voiceid.domain import DatabaseUrl
from voiceid.errors import ChangeRefused, GalleryKeyMissing
from voiceid.observability import ChangeKind
from voiceid.protection import Key, KeySource, Kind
from voiceid.resources.events import names_speakers
from voiceid.session import Session

_COPIES = ".before-*"


@dataclass(frozen=True, slots=True)
class ProtectionStatus:
    """How a gallery is protected.

    Parameters
    ----------
    kind : str
        ``none``, ``rotated`` or ``sealed``.
    key_source : str
        Where the settings say that the key is.
    key_id : str or None
        16 hex digits by which the key is known; None: the gallery is not protected.
    has_key : bool
        Whether that key is there.
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

    def to_dict(self) -> dict[str, object]:
        """Return the same as JSON has it."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }


class GalleryKey:
    """The key that a protected gallery is opened with (docs/privacy.md)."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def source(self) -> KeySource:
        """Where the settings say that the key is."""
        return self._session.config.privacy_key

    def status(self) -> ProtectionStatus:
        """Return how the gallery is protected; raises StoreError."""
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
        """Protect the gallery: seal it, or only rotate its vectors; make a key if there is none.

        All rows are rewritten in one change, while others read.  Raises ChangeRefused for a
        gallery that is protected so already, GalleryKeyMissing, StoreError.
        """
        kind = Kind(kind)
        keys = self._keys()
        with self._session.change(ChangeKind.PROTECT, large=True) as change:
            row = change.writer.protection.row
            if row is not None and row.kind == kind.value:
                raise ChangeRefused(
                    f"the gallery is {kind} already", hint="`renew` or `rotate` it."
                )
            vault = change.writer.protecting.protect(kind, keys[0])
            self._session.kept_audio.bring_over(change.writer.protection.sealing, vault.sealing)
            change.record(kind=kind.value)
        self._rewrite()
        return self.status()

    def renew(self) -> ProtectionStatus:
        """Turn all vectors by another secret rotation: new templates without new recordings."""
        with self._session.change(ChangeKind.RENEW_TEMPLATES, large=True) as change:
            self._require_protected(change.writer.protection.row)
            change.writer.protecting.renew()
            change.record()
        self._rewrite()
        return self.status()

    def rotate(self, to: str | None = None) -> ProtectionStatus:
        """Change the key of the gallery: to a new one, or to that in another place.

        The place is written as in the settings, which must name it from then on.  What was
        protected by the old key is rewritten in one change, while others read.
        """
        target = self.source if to is None else KeySource.parse(to, self._session.config.home)
        old = self.source.read()
        if target == self.source or not target.is_there():
            new = Key.new()
            target.write([new, *(old if target == self.source else ())])
        else:
            new = target.read()[0]
        with self._session.change(ChangeKind.CHANGE_GALLERY_KEY, large=True) as change:
            self._require_protected(change.writer.protection.row)
            change.writer.protecting.change_key(new)
            change.record()
        self._session.keys.source = target
        if target == self.source:
            target.write([new])
        self._rewrite()
        return self.status()

    def off(self) -> ProtectionStatus:
        """Make the gallery plain again; the key stays where it is."""
        with self._session.change(ChangeKind.UNPROTECT, large=True) as change:
            self._require_protected(change.writer.protection.row)
            self._session.kept_audio.bring_over(change.writer.protection.sealing, None)
            change.writer.protecting.end()
            change.record()
            self._session.keys.is_required = False
        self._rewrite()
        return self.status()

    def _keys(self) -> list[Key]:
        if not self.source.is_there():
            self.source.write([Key.new()])
        return self.source.read()

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

    def _rewrite(self) -> None:
        """Have what a server still holds of the old rows removed from its files."""
        self._session.store.rewrite()

    def _copies(self) -> tuple[str, ...]:
        path, log = self._session.database, self._session.config.log_file
        found = [] if log is None or not names_speakers(log) else [log]
        if not isinstance(path, DatabaseUrl):
            found += sorted(Path(path).parent.glob(path.name + _COPIES))
        return tuple(map(str, found))
