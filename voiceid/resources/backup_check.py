"""The check whether a backup may replace the database: its signature and protection."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from voiceid.errors import ChangeRefused, StoreError
from voiceid.protection import SigningKey, Trusted
from voiceid.session import Session

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader

Standing: TypeAlias = Callable[[Any], bool]
"""Tells whether a row of ``protection``, or None, matches the replaced database."""


class BackupCheck:
    """Refuses a backup of another gallery or with another protection; see `restore`.

    ``standing`` may be set to None: then any protection is accepted.
    """

    def __init__(self, session: Session, file: Path, trusted: Trusted) -> None:
        self._file, self._trusted = file, trusted
        self.standing: Standing | None = _standing(session)

    def __call__(self, backup: Reader, signed: Mapping[str, object], sha256: str) -> None:
        """Raise SignatureInvalid, ChangeRefused or GalleryKeyMissing for a refused backup."""
        from voiceid.store.backup_signature import WHAT  # noqa: PLC0415 - as above

        trusted, vault = self._trusted, backup.protection.vault
        if vault is not None:  # the gallery's key opens it: it is this gallery's
            trusted = trusted.with_key(SigningKey(vault.signing_key))
        trusted.require(WHAT, sha256, signed, self._file)
        row = backup.protection.row
        if self.standing is not None and not self.standing(row):
            raise ChangeRefused(
                f"{self._file} is {'plain' if row is None else row.kind}, but the gallery has"
                " another protection; kept recordings would be lost. Nothing was changed",
                hint="Use --change-protection to restore it anyway.",
            )


def _standing(session: Session) -> Standing:
    from voiceid.store.upgrade import SchemaState, status  # noqa: PLC0415 - as above

    with contextlib.suppress(StoreError):  # a damaged database is what a backup is for
        if status(session.database).state is SchemaState.CURRENT:
            with session.store.read() as reader:
                row, is_empty = reader.protection.row, not reader.speakers.count()
            return lambda other: _is_same(row, other) or (row is None and is_empty)
    return lambda other: other is not None or not session.keys.has_key


def _is_same(row: Any, other: Any) -> bool:
    if row is None or other is None:
        return row is other
    return (row.gallery_id, row.kind) == (other.gallery_id, other.kind)
