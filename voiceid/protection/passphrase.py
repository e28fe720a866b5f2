"""Keys that are made of a passphrase by scrypt (RFC 7914), with what is needed to make them again.

What stands before the sealed bytes of a file is one line of JSON.
"""

from __future__ import annotations

import base64
import json
import os
import unicodedata
from typing import Any

from voiceid.protection.ciphers import KEY_BYTES, Key

LEAST_CHARS = 8
"""Of a passphrase that is made (NIST SP 800-63B, 5.1.1)."""
_N, _R, _P = 1 << 17, 8, 1
"""OWASP's (Password Storage Cheat Sheet): 128 MiB, and under a second of a processor."""
_MOST_N, _MOST_P = 1 << 18, 4
"""Of a file: 256 MiB, and 8 times the work."""
_SALT_BYTES = 16
HEAD_BYTES = 512
"""The most that a first line has."""


def new_key(kind: str, passphrase: str) -> tuple[bytes, Key]:
    """Return a line to stand at the start of a file of that kind, and the key of the rest."""
    facts = {"n": _N, "r": _R, "p": _P, "salt": base64.b64encode(os.urandom(_SALT_BYTES)).decode()}
    head = json.dumps({"format": kind, "version": 1, "scrypt": facts}).encode() + b"\n"
    return head, key_of(kind, head, passphrase)


def is_head(kind: str, line: bytes) -> bool:
    """Whether a line is the start of a sealed file of that kind."""
    return line.startswith(f'{{"format": "{kind}",'.encode())


def key_of(kind: str, head: bytes, passphrase: str) -> Key:
    """Return the key by the first line of a file; raises ValueError, whatever stands there."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415 - 40 ms

    n, r, p, salt = _parameters(kind, head)
    secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    return Key(Scrypt(salt=salt, length=KEY_BYTES, n=n, r=r, p=p).derive(secret))


def _parameters(kind: str, head: bytes) -> tuple[int, int, int, bytes]:
    if len(head) > HEAD_BYTES:
        raise ValueError("its first line is too long")
    try:
        document: Any = json.loads(head)
        facts = document["scrypt"]
        n, r, p, salt = (facts[name] for name in ("n", "r", "p", "salt"))
        salt = base64.b64decode(salt, validate=True)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("its first line is damaged") from error
    if document.get("format") != kind or document.get("version") != 1:
        raise ValueError("it is of a version that this voiceid does not know")
    if not all(type(value) is int for value in (n, r, p)) or len(salt) != _SALT_BYTES:
        raise ValueError("its first line is damaged")
    if not (1 < n <= _MOST_N and n & (n - 1) == 0 and r == _R and 1 <= p <= _MOST_P):
        raise ValueError(f"it asks for more work or memory than is done for a file: {n=} {r=} {p=}")
    return n, r, p, salt
