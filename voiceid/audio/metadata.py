"""How many texts the metadata of a recording holds: FFmpeg compares each with all others."""

from __future__ import annotations

import re

from voiceid.audio.heads import SCAN_BYTES, bytes_at, tags_end
from voiceid.audio.media import Media
from voiceid.errors import AudioUnreadable

_MAX_TEXTS = 30_000
"""A gigabyte of any bytes holds some 24,000 by chance."""

_READ_AT_ONCE = re.compile(rb"\x1aE\xdf\xa3|OggS|fLaC")
_TEXT = re.compile(rb"\x45\xa3|\0\0[^\0=]*=")
"""What begins a tag of Matroska (RFC 9559), and a comment of Ogg and FLAC, with its length."""


def require_few_texts(media: Media) -> None:
    """Raise `AudioUnreadable` if FFmpeg would compare texts for long without asking for bytes."""
    if not _READ_AT_ONCE.match(bytes_at(media, tags_end(media, 0), 4)):
        return
    n_texts = 0
    for at in range(0, media.size, SCAN_BYTES):
        n_texts += sum(1 for _ in _TEXT.finditer(bytes_at(media, at, SCAN_BYTES)))
        if n_texts > _MAX_TEXTS:
            raise AudioUnreadable(
                f"{media.where} has more than {_MAX_TEXTS:,} texts in its metadata",
                hint="Export the recording again, without its tags.",
            )
