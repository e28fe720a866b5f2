"""The signing key of a gallery, for receipts, backups and exports."""

from __future__ import annotations

import contextlib

from voiceid.errors import GalleryKeyMissing, SignatureInvalid, StoreError
from voiceid.protection import ANYBODY, Key, KeySource, SigningKey, Trusted, Vault, is_public_key
from voiceid.resources.collection import OfSession

KEY_NAME = "receipts.key"
"""The key file in the data folder of a gallery that is not protected."""


class GallerySignature(OfSession):
    """Signs by the secrets of a protected gallery, or by a key in the data folder."""

    def key(self) -> SigningKey:
        """Return the key; one in the data folder is made once.

        Raises GalleryKeyMissing, StoreError.
        """
        vault = None
        if self._session.has_database:
            with self._session.store.read() as reader:
                vault = reader.protection.vault
        return self.key_with(vault)

    def key_with(self, vault: Vault | None) -> SigningKey:
        """Return the key of a gallery with that protection: see `key`."""
        if vault is not None:
            return SigningKey(vault.signing_key)
        if not self._kept.is_there():
            self._kept.change(lambda keys: keys or [Key.new()])
        return SigningKey(self._kept.read()[0])

    def key_of_file(self) -> SigningKey | None:
        """Return the key; None, with a notice, if there is none and the folder is read-only."""
        try:
            return self.key()
        except GalleryKeyMissing:
            raise
        except StoreError as error:
            self._session.notify(f"the file is not signed: {error.message}")
            return None

    def trusted(self, signed_by: str | None = None) -> Trusted:
        """Return the trusted signers: this gallery, or the given public key.

        Files that this gallery signed before or after it was protected are trusted too.  Raises
        SignatureInvalid for an invalid key.
        """
        if signed_by == ANYBODY:
            return Trusted(None)
        if signed_by is not None:
            if not is_public_key(signed_by):
                hint = 'Give the key itself, not its file: --signed-by "$(cat FILE)".'
                raise SignatureInvalid(f"{signed_by:.60} is not a public key", hint=hint)
            return Trusted(frozenset({signed_by}))
        keys = set[str]()
        if self._kept.is_there():
            keys.add(SigningKey(self._kept.read()[0]).public)
        trusted = Trusted(frozenset(keys), is_own=True)
        with contextlib.suppress(StoreError):  # a damaged database is what a backup is for
            if (vault := self._vault_now()) is not None:
                return trusted.with_key(SigningKey(vault.signing_key))
        return trusted

    def _vault_now(self) -> Vault | None:
        """Return the vault of the present database, which is not upgraded for this."""
        from voiceid.store.upgrade import SchemaState, status  # noqa: PLC0415 - as in `Session`

        if status(self._session.database).state is not SchemaState.CURRENT:
            return None
        with self._session.store.read() as reader:
            return reader.protection.vault

    @property
    def _kept(self) -> KeySource:
        return KeySource("file", str(self._session.config.data / KEY_NAME))
