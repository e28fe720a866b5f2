"""What the key of a gallery opens: the keys of its speakers, hashes of names, and the rotation."""

from __future__ import annotations

import enum
import threading

from voiceid.protection.ciphers import KEY_BYTES, Key
from voiceid.protection.rotation import Matrix, rotation


class Kind(enum.StrEnum):
    """How a gallery is protected."""

    ROTATED = "rotated"
    """Vectors are rotated; names and the rest are as without protection."""
    SEALED = "sealed"
    """Everything that is about a person is sealed, and vectors are rotated."""


class Vault:
    """The secrets of one gallery.  Safe to share among threads.

    ``secrets`` are the gallery's own 64 bytes, which `wrapped_secrets` seals: they stay when the
    key of the gallery is changed.  The first half rotates, and is new when templates are renewed.
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
        """Itself, where rows are sealed, else None."""
        return self if self.is_sealed else None

    def hash(self, purpose: str, text: str) -> str:
        """Return 64 hex digits for a text, the same each time, that say nothing without the key."""
        return self._hashing.digest(purpose, text).hex()

    def recording(self, pcm_sha256: str) -> str:
        """Return what a recording is found by: its hash, keyed."""
        return self.hash("recording", pcm_sha256)

    def wrap(self, speaker_id: int, key: Key) -> bytes:
        """Return the key of a speaker as it is stored."""
        return self._key.wrap(key, "speaker", self.gallery_id, speaker_id)

    def unwrap(self, speaker_id: int, wrapped: bytes) -> Key:
        """Return the key of a speaker; raises SealBroken."""
        return self._key.unwrap(wrapped, "speaker", self.gallery_id, speaker_id)

    def rotation(self, space_id: str, dim: int) -> Matrix:
        """Return the matrix (dim, dim) by which vectors (n, dim) of a space are multiplied."""
        with self._lock:
            if space_id not in self._rotations:
                self._rotations[space_id] = rotation(self._rotating, space_id, dim)
            return self._rotations[space_id]


def wrapped_secrets(key: Key, gallery_id: str, kind: Kind, secrets: bytes) -> bytes:
    """Return the secrets of a gallery as they are stored."""
    return key.seal(secrets, "secrets", gallery_id, kind.value)
