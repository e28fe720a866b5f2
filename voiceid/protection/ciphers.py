"""Sealing with AES-256-GCM (NIST SP 800-38D), and keys made of keys: the door to `cryptography`.

Sealed bytes are ``nonce (12) | ciphertext | tag (16)``.  The context is authenticated and not kept:
what was moved to another row, column or file does not open.  Nonces are random: a key may seal
2^32 times (SP 800-38D, 8.3), and each speaker has a key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES, _TAG_BYTES = 12, 16
OVERHEAD_BYTES = _NONCE_BYTES + _TAG_BYTES
"""By which sealed bytes are longer."""


class SealBroken(Exception):
    """Sealed bytes that were changed or moved, or are of another key."""


class Key:
    """A secret of 256 bits that seals, opens, and makes other keys."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, and this has {len(secret)}")
        self.secret = secret
        """The 32 bytes, for the place where a key is kept."""

    @classmethod
    def new(cls) -> Key:
        """Return a random key."""
        return cls(os.urandom(KEY_BYTES))

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 40 ms

        return AESGCM(self.secret)

    def seal(self, data: bytes, *context: object) -> bytes:
        """Return data that only this key opens, and only with the same context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, _said(context))

    def open(self, sealed: bytes, *context: object) -> bytes:
        """Return what was sealed; raises SealBroken."""
        try:
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, _said(context))
        except _failures() as error:
            raise SealBroken("it was changed or moved, or is of another key") from error

    def wrap(self, key: Key, *context: object) -> bytes:
        """Return another key, sealed."""
        return self.seal(key.secret, *context)

    def unwrap(self, wrapped: bytes, *context: object) -> Key:
        """Return the key that was wrapped; raises SealBroken."""
        return Key(self.open(wrapped, *context))

    def derive(self, purpose: str) -> Key:
        """Return the key for a purpose: HKDF-Expand of one block (RFC 5869, 2.3)."""
        return Key(self.digest("derive", purpose))

    def digest(self, *content: object) -> bytes:
        """Return the 32 bytes of HMAC-SHA256 of content: the same for the same, by this key."""
        return hmac.new(self.secret, _said(content), hashlib.sha256).digest()

    def stream(self, n_bytes: int, *content: object) -> bytes:
        """Return bytes that look random, the same for the same content: SHAKE256 (FIPS 202)."""
        return hashlib.shake_256(self.secret + _said(content)).digest(n_bytes)


def _failures() -> tuple[type[Exception], ...]:
    """Return what does not open, where something did not: opening is asked with every decision."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

    return InvalidTag, ValueError, TypeError


def _said(context: tuple[object, ...]) -> bytes:
    """Return a context in bytes, no two the same."""
    return repr(context).encode("utf-8", "surrogatepass")
