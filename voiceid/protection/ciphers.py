"""Sealing with AES-256-GCM (NIST SP 800-38D), and derived keys: the user of `cryptography`.

Sealed bytes are ``nonce (12) | ciphertext | tag (16)``.  The context is authenticated, not stored:
bytes that were moved to another row, column or file do not open.  Nonces are random: a key may seal
2^32 times (SP 800-38D, 8.3), and each speaker has a separate key.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES, _TAG_BYTES = 12, 16
OVERHEAD_BYTES = _NONCE_BYTES + _TAG_BYTES
"""The bytes that sealing adds."""


class SealBroken(Exception):
    """Sealed bytes were changed or moved, or belong to another key."""


class Key:
    """A secret of 256 bits that seals, opens, and derives other keys."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, but this one has {len(secret)}")
        self.secret = secret
        """The 32 bytes, for storing the key."""
        self._made: AESGCM | None = None

    @classmethod
    def new(cls) -> Key:
        """Return a random key."""
        return cls(os.urandom(KEY_BYTES))

    @property
    def _cipher(self) -> AESGCM:
        if self._made is None:  # a `cached_property` takes longer than opening: each search opens
            self._made = _aes_gcm()(self.secret)
        return self._made

    def seal(self, data: bytes, *context: object) -> bytes:
        """Return sealed data, which opens only with this key and the same context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, _said(context))

    def open(self, sealed: bytes, *context: object) -> bytes:
        """Return the sealed data; raises SealBroken."""
        try:
            nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, ciphertext, _said(context))
        except _failures() as error:
            raise SealBroken("it was changed or moved, or belongs to another key") from error

    def wrap(self, key: Key, *context: object) -> bytes:
        """Return another key, sealed."""
        return self.seal(key.secret, *context)

    def unwrap(self, wrapped: bytes, *context: object) -> Key:
        """Return a wrapped key; raises SealBroken."""
        return Key(self.open(wrapped, *context))

    def derive(self, purpose: str) -> Key:
        """Return the key for a purpose: HKDF-Expand of one block (RFC 5869, 2.3)."""
        return Key(self.digest("derive", purpose))

    def digest(self, *content: object) -> bytes:
        """Return the HMAC-SHA256 of content with this key: 32 bytes."""
        return hmac.new(self.secret, _said(content), hashlib.sha256).digest()

    def stream(self, n_bytes: int, *content: object) -> bytes:
        """Return pseudorandom bytes, the same for the same content: SHAKE256 (FIPS 202)."""
        return hashlib.shake_256(self.secret + _said(content)).digest(n_bytes)


@functools.cache
def _aes_gcm() -> type[AESGCM]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 40 ms

    return AESGCM


def _failures() -> tuple[type[Exception], ...]:
    """Return the errors of opening, imported only after a failure: every decision opens."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

    return InvalidTag, ValueError, TypeError


def _said(context: tuple[object, ...]) -> bytes:
    """Return a context as bytes, different for each context."""
    return repr(context).encode("utf-8", "surrogatepass")
