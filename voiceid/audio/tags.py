"""Tags that players write before and behind the sound of a file of any kind."""

from __future__ import annotations

import re

from voiceid.audio.heads import SCAN_BYTES, bytes_at
from voiceid.audio.media import Media

_MAX_TAGS = 16
_ID3 = re.compile(rb"ID3[\x02-\x04]\x00.[\x00-\x7f]{4}", re.DOTALL)
"""Of version 2.2 to 2.4 (id3.org, "ID3v2 header")."""


def tags_end(media: Media, start: int) -> int:
    """Return where tags end that players write before and behind the sound."""
    at = start
    for _ in range(_MAX_TAGS):
        n = _tag_bytes(media, at)
        if not n:
            break
        at += n
    return at


def _tag_bytes(media: Media, at: int) -> int:
    head = bytes_at(media, at, 32)
    if _ID3.match(head):
        return (20 if head[5] & 0x10 else 10) + id3_bytes(head)
    if head.startswith(b"TAG"):
        return 227 if head.startswith(b"TAG+") else 128
    if head.startswith(b"APETAGEX"):  # its size is that of all but its header
        return 32 + (int.from_bytes(head[12:16], "little") if head[23:24] >= b"\xa0" else 0)
    if head.startswith(b"LYRICSBEGIN"):
        end = re.search(rb"LYRICS200|LYRICSEND", bytes_at(media, at, SCAN_BYTES))
        return end.end() if end is not None else 0
    return 0


def id3_bytes(head: bytes) -> int:
    """Return the length of an ID3v2 tag behind its header of 10 bytes."""
    size = 0
    for byte in head[6:10]:  # seven bits each
        size = size << 7 | byte & 0x7F
    return size
