"""Where a FLAC file ends: its last frame is known by its number, and its end by its check sum.

RFC 9639.  Frames do not say how long they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from voiceid.audio.heads import SCAN_BYTES, bytes_at, is_head, next_head, tags_end
from voiceid.audio.media import Media
from voiceid.audio.mpeg import is_mp3

_MAX_BLOCKS = 1000
_MAX_TRIED = 100
_FIXED = b"\xff\xf8"
"""What begins a frame of a stream whose blocks are all of one size."""


def flac_end(media: Media, start: int) -> int | None:
    """Return the byte behind the last frame; None where a file does not say which that is."""
    info = bytes_at(media, start + 8, 18)
    at = _frames_start(media, start)
    if at is None or len(info) < 18:  # noqa: PLR2004
        return None
    n_block = int.from_bytes(info[2:4], "big")
    bits = int.from_bytes(info[10:18], "big")
    n_samples, channels, width = bits & (1 << 36) - 1, (bits >> 41 & 7) + 1, (bits >> 36 & 31) + 1
    if not n_samples or not n_block or bytes_at(media, at, 2) != _FIXED:
        return None
    n_most = n_block * channels * (width + 1) // 8 + 64
    last = None
    for frame in _frames_of(media, at, (n_samples - 1) // n_block):
        for end in _ends(bytes_at(media, frame, n_most)):
            last = frame + end
            more = bytes_at(media, tags_end(media, frame + end), SCAN_BYTES).lstrip(b"\0")
            if not more or is_head(bytes(4) + more) or is_mp3(more):
                return _with_zeros(media, frame + end)
    return last


def _with_zeros(media: Media, end: int) -> int:
    """Return the end of a check sum that may end with zeros: it is right before them as well."""
    for at in (end, end + 1):
        if bytes_at(media, at, 1) != b"\0" or next_head(media, at, at + 1) == at:
            return at
    return end + 2


def _frames_start(media: Media, start: int) -> int | None:
    """Return where the metadata ends (section 8.1)."""
    at = start + 4
    for _ in range(_MAX_BLOCKS):
        block = bytes_at(media, at, 4)
        if len(block) < 4:  # noqa: PLR2004
            return None
        at += 4 + int.from_bytes(block[1:], "big")
        if block[0] & 0x80:
            return at
    return None


def _frames_of(media: Media, start: int, number: int) -> Iterator[int]:
    """Yield where a frame of that number may begin: its header has a check sum (section 9.1.8)."""
    coded = _coded(number)
    pattern = re.compile(re.escape(_FIXED) + b".." + re.escape(coded), re.DOTALL)
    n_tried = 0
    for at in range(start, media.size, SCAN_BYTES):
        for match in pattern.finditer(bytes_at(media, at, SCAN_BYTES + 16)):
            n_tried += 1
            if n_tried > _MAX_TRIED:
                return
            head = bytes_at(media, at + match.start(), 16).ljust(16, b"\0")
            n_size = {6: 1, 7: 2}.get(head[2] >> 4, 0)
            n_rate = {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
            if crc(head[: 5 + len(coded) + n_size + n_rate], 8, 0x07)[-1] == 0:
                yield at + match.start()


def _coded(number: int) -> bytes:
    """Return a frame's number in its code, that of UTF-8 for up to 36 bits (section 9.1.5)."""
    if number < 0x80:  # noqa: PLR2004
        return bytes([number])
    n_more = next(n for n in range(1, 7) if number < 1 << 5 * n + 6)
    tail = [0x80 | number >> 6 * n & 0x3F for n in reversed(range(n_more))]
    lead = 0xFF00 >> n_more + 1 & 0xFF
    return bytes([lead | number >> 6 * n_more, *tail])


def _ends(data: bytes) -> Iterator[int]:
    """Yield where a frame may end that these bytes begin with (section 9.3)."""
    for n, sum_ in enumerate(crc(data, 16, 0x8005), start=1):
        if sum_ == 0:
            yield n


def crc(data: bytes, width: int, polynomial: int) -> list[int]:
    """Return the check sum of the first 1, 2, ... bytes, of that many bits; 0: it is in them."""
    sums, sum_ = [], 0
    table, mask, shift = _crc_table(width, polynomial), (1 << width) - 1, width - 8
    for byte in data:
        sum_ = (sum_ << 8 & mask) ^ table[sum_ >> shift ^ byte]
        sums.append(sum_)
    return sums


@cache
def _crc_table(width: int, polynomial: int) -> list[int]:
    table = []
    for value in range(256):
        sum_ = value << width - 8
        for _ in range(8):
            sum_ = sum_ << 1 ^ (polynomial if sum_ >> width - 1 else 0)
            sum_ &= (1 << width) - 1
        table.append(sum_)
    return table
