"""The vaults of a gallery, each opened once."""

from __future__ import annotations

import time
from typing import Any

from voiceid.errors import GalleryKeyMissing, StoreError
from voiceid.protection.ciphers import Key, SealBroken
from voiceid.protection.key_source import KeySource, key_id_of
from voiceid.protection.vault import Kind, Vault


class KeyRing:
    """The opened vaults of a gallery, by their stored row.

    ``is_required``: an unprotected gallery is refused, since it may be a replacement.

    A place that did not give its keys is not asked again for as long as that took: a command that
    hangs is not waited for at each step of an answer.
    """

    def __init__(self, source: KeySource | None, *, is_required: bool = False) -> None:
        self.source, self.is_required = source, is_required
        self._vaults: dict[tuple[object, ...], Vault] = {}
        self._failed: dict[KeySource, tuple[GalleryKeyMissing, float]] = {}

    @property
    def has_key(self) -> bool:
        """Whether there is a key, of this or another gallery."""
        return self.source is not None and self.source.is_there()

    def vault(self, row: Any) -> Vault:
        """Return the vault of a row of ``protection``; raises GalleryKeyMissing."""
        stored = (row.gallery_id, row.kind, row.key_id, row.secrets)  # the row has more columns
        if (vault := self._vaults.get(stored)) is None:
            try:
                vault = Vault(row.gallery_id, Kind(row.kind), self.key(row.key_id), row.secrets)
            except (SealBroken, ValueError) as error:
                raise StoreError(
                    "the row about the gallery's protection was changed in the database",
                    hint="Restore a backup, and check who may write to the database.",
                ) from error
            self._vaults = {stored: vault}
        return vault

    def key(self, key_id: str) -> Key:
        """Return the key with an id; raises GalleryKeyMissing."""
        if self.source is None:
            raise GalleryKeyMissing("the gallery is protected, but no key is set")
        for key in self._read(self.source):
            if key_id_of(key) == key_id:
                return key
        raise GalleryKeyMissing(f"the key in {self.source} is not {key_id}, the key of the gallery")

    def _read(self, source: KeySource) -> list[Key]:
        started = time.monotonic()
        if (failed := self._failed.get(source)) and started < failed[1]:
            raise failed[0].with_traceback(None)
        try:
            return source.read()
        except GalleryKeyMissing as error:
            self._failed = {source: (error, 2 * time.monotonic() - started)}
            raise
