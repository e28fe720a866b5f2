"""Keys derived from a passphrase by scrypt (RFC 7914), with the parameters to derive them again.

One line of JSON stands before the sealed bytes of a file.
"""

from __future__ import annotations

import base64
import json
import os
import unicodedata
from typing import Any

from voiceid.protection.ciphers import KEY_BYTES, Key

LEAST_CHARS = 8
"""The minimum for a new passphrase (NIST SP 800-63B, 5.1.1)."""
_N, _R, _P = 1 << 17, 8, 1
"""By OWASP (Password Storage Cheat Sheet): 128 MiB, and less than a second of CPU time."""
_MOST_N, _MOST_P = 1 << 18, 4
"""The limit for a file: 256 MiB, and 8 times the work."""
_SALT_BYTES = 16
HEAD_BYTES = 512
"""The maximum length of a first line."""


def new_key(kind: str, passphrase: str) -> tuple[bytes, Key]:
    """Return the first line for a file of that kind, and the key for the other bytes."""
    facts = {"n": _N, "r": _R, "p": _P, "salt": base64.b64encode(os.urandom(_SALT_BYTES)).decode()}
    head = json.dumps({"format": kind, "version": 1, "scrypt": facts}).encode() + b"\n"
    return head, key_of(kind, head, passphrase)


def is_head(kind: str, line: bytes) -> bool:
    """Whether a line starts a sealed file of that kind."""
    return line.startswith(f'{{"format": "{kind}",'.encode())


def key_of(kind: str, head: bytes, passphrase: str) -> Key:
    """Return the key for the first line of a file; raises ValueError if that line is invalid."""
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
        raise ValueError("this voiceid does not know its version")
    if not all(type(value) is int for value in (n, r, p)) or len(salt) != _SALT_BYTES:
        raise ValueError("its first line is damaged")
    if not (1 < n <= _MOST_N and n & (n - 1) == 0 and r == _R and 1 <= p <= _MOST_P):
        raise ValueError(f"its key needs more work or memory than the limit: {n=} {r=} {p=}")
    return n, r, p, salt
