"""Signatures with Ed25519 (RFC 8032): made with the gallery's key, checked with its public key."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from voiceid.errors import SignatureInvalid
from voiceid.protection.ciphers import Key

_KEY_BYTES = 32
ANYBODY = "anybody"
"""In place of a public key: a file is imported with or without a signature."""


class SigningKey:
    """A private key, made from a secret of 256 bits."""

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

    def signed(self, kind: str, sha256: str) -> dict[str, str]:
        """Return the signature of a file of that kind, as stored in the file."""
        return {"public_key": self.public, "signature": self.sign(_statement(kind, sha256))}


@dataclass(frozen=True, slots=True)
class Trusted:
    """The keys whose files are imported.

    - `keys`: public keys, in base64; None: signatures are not checked.
    - `is_own`: they are the keys of this gallery, not named by the caller.
    """

    keys: frozenset[str] | None
    is_own: bool = False

    def with_key(self, key: SigningKey) -> Trusted:
        """Return the same, with another key of this gallery."""
        if self.keys is None or not self.is_own:
            return self
        return Trusted(self.keys | {key.public}, is_own=True)

    def require(self, kind: str, sha256: str, signed: object, where: object) -> None:
        """Raise SignatureInvalid unless one of the keys signed the file of that kind and hash."""
        if self.keys is None:
            return
        fields = signed if isinstance(signed, Mapping) else {}
        public, signature = (str(fields.get(name, "")) for name in ("public_key", "signature"))
        hint = (
            "`voiceid privacy key` prints the key of the gallery that wrote it: --signed-by KEY;"
            f" --signed-by {ANYBODY} imports it without a check."
        )
        if not public:
            raise SignatureInvalid(f"{where} is not signed; nothing was changed", hint=hint)
        if public not in self.keys:
            raise SignatureInvalid(
                f"{where} is signed by another key, {public[:60]}; nothing was changed", hint=hint
            )
        if not is_signed(_statement(kind, sha256), signature, public):
            raise SignatureInvalid(
                f"{where} was changed after it was signed; nothing was changed here",
                hint="Check who may write to it, and use another file.",
            )


def _statement(kind: str, sha256: str) -> bytes:
    """Return the text that is signed for a file."""
    return f"voiceid {kind} {sha256}".encode()


def is_signed(content: bytes, signature: str, public: str) -> bool:
    """Return whether a signature matches a public key, both in base64."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        key = Ed25519PublicKey.from_public_bytes(_bytes(public))
        key.verify(_bytes(signature), content)
    except (InvalidSignature, ValueError, TypeError, binascii.Error):
        return False
    return True


def is_public_key(text: str) -> bool:
    """Return whether a text is a public key, in base64."""
    try:
        return len(_bytes(text)) == _KEY_BYTES
    except (ValueError, binascii.Error):
        return False


def _bytes(text: str) -> bytes:
    """Return the bytes of a base64 text; raises ValueError for a text in another spelling."""
    decoded = base64.b64decode(text, validate=True)
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("there are extra bits")
    return decoded
