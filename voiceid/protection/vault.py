"""The secrets behind a gallery's key: keys of its speakers, keyed hashes, and the rotation."""

from __future__ import annotations

import enum
import threading

from voiceid.protection.ciphers import KEY_BYTES, Key
from voiceid.protection.rotation import Matrix, rotation


class Kind(enum.StrEnum):
    """How a gallery is protected."""

    ROTATED = "rotated"
    """Vectors are rotated; names and other data are not protected."""
    SEALED = "sealed"
    """All data about a person is sealed, and vectors are rotated."""


class Vault:
    """The secrets of one gallery.  Safe to share among threads.

    ``secrets`` are the gallery's own 64 bytes, which `wrapped_secrets` seals: they stay when the
    key of the gallery changes.  The first half makes the rotation; renewing templates replaces it.
    """

    def __init__(self, gallery_id: str, kind: Kind, key: Key, wrapped_secrets: bytes) -> None:
        self.gallery_id, self.kind, self._key = gallery_id, kind, key
        self.secrets = key.open(wrapped_secrets, "secrets", gallery_id, kind.value)
        self._rotating, own = Key(self.secrets[:KEY_BYTES]), Key(self.secrets[KEY_BYTES:])
        self._hashing, self.text_key = own.derive("hashes"), own.derive("texts")
        self.file_key, self.signing_key = own.derive("files"), own.derive("receipts")
        self._rotations: dict[str, Matrix] = {}
        self._lock = threading.Lock()

    @property
    def is_sealed(self) -> bool:
        """Whether rows are sealed."""
        return self.kind is Kind.SEALED

    @property
    def sealing(self) -> Vault | None:
        """The vault itself if rows are sealed, else None."""
        return self if self.is_sealed else None

    def hash(self, purpose: str, text: str) -> str:
        """Return a keyed hash of a text, 64 hex digits, the same for the same text."""
        return self._hashing.digest(purpose, text).hex()

    def recording(self, pcm_sha256: str) -> str:
        """Return the keyed hash by which a recording is found."""
        return self.hash("recording", pcm_sha256)

    def wrap(self, speaker_id: int, key: Key) -> bytes:
        """Return the key of a speaker in its stored form."""
        return self._key.wrap(key, "speaker", self.gallery_id, speaker_id)

    def unwrap(self, speaker_id: int, wrapped: bytes) -> Key:
        """Return the key of a speaker; raises SealBroken."""
        return self._key.unwrap(wrapped, "speaker", self.gallery_id, speaker_id)

    def rotation(self, space_id: str, dim: int) -> Matrix:
        """Return the matrix (dim, dim) that rotates the vectors (n, dim) of a space."""
        with self._lock:
            if space_id not in self._rotations:
                self._rotations[space_id] = rotation(self._rotating, space_id, dim)
            return self._rotations[space_id]


def wrapped_secrets(key: Key, gallery_id: str, kind: Kind, secrets: bytes) -> bytes:
    """Return the secrets of a gallery in their stored form."""
    return key.seal(secrets, "secrets", gallery_id, kind.value)
