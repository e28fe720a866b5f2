"""Signatures with Ed25519 (RFC 8032): made with the gallery's key, checked by anybody."""

from __future__ import annotations

import base64
import binascii

from voiceid.protection.ciphers import Key


class SigningKey:
    """A private key, made of a secret of 256 bits."""

    def __init__(self, secret: Key) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 40 ms

        self._key = Ed25519PrivateKey.from_private_bytes(secret.secret)

    @property
    def public(self) -> str:
        """The public key, 32 bytes, in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, content: bytes) -> str:
        """Return the signature of content, 64 bytes, in base64."""
        return base64.b64encode(self._key.sign(content)).decode()


def is_signed(content: bytes, signature: str, public: str) -> bool:
    """Return whether a signature is that of a public key, both in base64."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), content)
    except (InvalidSignature, ValueError, TypeError, binascii.Error):
        return False
    return True
