"""Whether a backup may take the place of the database: whose it is, and how it is protected."""

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
"""Says whether a row of ``protection``, or None, is that of the database that is replaced."""


class BackupCheck:
    """Refuses a backup that is not this gallery's, or is protected otherwise; see `restore`.

    ``standing`` may be set to None: then any protection is taken.
    """

    def __init__(self, session: Session, file: Path, trusted: Trusted) -> None:
        self._file, self._trusted = file, trusted
        self.standing: Standing | None = _standing(session)

    def __call__(self, backup: Reader, signed: Mapping[str, object], sha256: str) -> None:
        """Raise SignatureInvalid, ChangeRefused or GalleryKeyMissing unless it may."""
        from voiceid.store.backup_signature import WHAT  # noqa: PLC0415 - as above

        trusted, vault = self._trusted, backup.protection.vault
        if vault is not None:  # the gallery's key opens it, so that it is this gallery's
            trusted = trusted.with_key(SigningKey(vault.signing_key))
        trusted.require(WHAT, sha256, signed, self._file)
        row = backup.protection.row
        if self.standing is not None and not self.standing(row):
            raise ChangeRefused(
                f"{self._file} is {'plain' if row is None else row.kind}, and not protected as"
                " the gallery is; kept recordings would be lost. Nothing was changed",
                hint="--change-protection puts it back all the same.",
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
