"""Counts the texts in the metadata of a recording: FFmpeg compares each with all others."""

from __future__ import annotations

import re

_MAX_TEXTS, _BYTES_A_TEXT = 5000, 1 << 14
"""Texts at once, which FFmpeg compares in about .6 s, and the bytes after which there may be one
more: sound looks like one each 43 KB or more."""

_TEXTS = {
    b"\x1aE\xdf\xa3": re.compile(rb"\x45\xa3"),
    **dict.fromkeys((b"fLaC", b"OggS"), re.compile(rb"\0\0[^\0=]*=")),
}
"""What begins a text, by the first bytes of a file: the name of a tag of Matroska (RFC 9559), and
a comment of FLAC and Ogg."""


TOO_MANY = f"it has more than {_MAX_TEXTS:,} texts in its metadata"


class Texts:
    """Counts the texts in bytes that FFmpeg reads; for one thread.

    - `head`: the first bytes, of 4 or more.
    """

    def __init__(self, head: bytes) -> None:
        self._text, self._n = _TEXTS.get(head[:4]), 0.0

    def are_too_many(self, data: bytes) -> bool:
        """Take the next bytes, and return whether there are too many texts."""
        if self._text is None:
            return False
        self._n = max(0.0, self._n - len(data) / _BYTES_A_TEXT) + len(self._text.findall(data))
        return self._n > _MAX_TEXTS
