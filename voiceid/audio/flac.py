"""Where a FLAC file ends: its last frame is known by its number, and its end by its check sum.

RFC 9639.  Frames do not say how long they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from voiceid.audio.heads import SCAN_BYTES, bytes_at, find, is_head, next_head, tags_end
from voiceid.audio.media import Media
from voiceid.audio.mpeg import is_mp3

_MAX_BLOCKS = 1000
_MAX_TRIED = 100
_MAX_HEADS = 1_000_000
"""Places where a frame may begin: this many frames last three days."""

_MAX_LOST = 100
"""At most this many frames in a row may be damaged."""

_HEAD_BYTES = 16
_FRAME = re.compile(rb"\xff\xf8[\x10-\xfe][\x00-\xae](?=(.{7}))", re.DOTALL)
_FIXED = b"\xff\xf8"
"""What begins a frame of a stream whose blocks are all of one size."""


def flac_end(media: Media, start: int) -> int | None:
    """Return the byte after the last frame; None where a file does not say which frame is last."""
    info = bytes_at(media, start + 8, 18)
    at = _frames_start(media, start)
    if at is None or len(info) < 18:  # noqa: PLR2004
        return None
    n_block = int.from_bytes(info[2:4], "big")
    bits = int.from_bytes(info[10:18], "big")
    n_samples, channels, width = bits & (1 << 36) - 1, (bits >> 41 & 7) + 1, (bits >> 36 & 31) + 1
    if not n_block or bytes_at(media, at, 2) != _FIXED:
        return None
    stop = find(media, at, b"fLaC", lambda head: head[5:8] == b"\0\0\x22")
    number = (n_samples - 1) // n_block if n_samples else _last_number(media, at, stop)
    n_most = n_block * channels * (width + 1) // 8 + 64
    last = None
    for frame in _frames_of(media, at, stop, number):
        for end in _ends(bytes_at(media, frame, min(n_most, stop - frame))):
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


def _last_number(media: Media, start: int, stop: int) -> int:
    """Return the number of the last frame of a stream that does not say how long it is."""
    last = n_tried = 0
    kind = _kind(bytes_at(media, start, 4))
    for at in range(start, stop, SCAN_BYTES):
        block = bytes_at(media, at, min(SCAN_BYTES, stop - at) + _HEAD_BYTES)
        for match in _FRAME.finditer(block):
            n_tried += 1
            if n_tried > _MAX_HEADS:
                return last
            number, n = _numbered(match[1])
            frame = block[match.start() : match.start() + _HEAD_BYTES]
            if last < number <= last + _MAX_LOST and _kind(frame) == kind and _is_whole(frame, n):
                last = number
    return last


def _frames_of(media: Media, start: int, stop: int, number: int) -> Iterator[int]:
    """Yield where a frame of that number may begin: its header has a check sum (section 9.1.8)."""
    coded = _coded(number)
    pattern = re.compile(re.escape(_FIXED) + b".." + re.escape(coded), re.DOTALL)
    n_tried = 0
    for at in range(start, stop, SCAN_BYTES):
        for match in pattern.finditer(
            bytes_at(media, at, min(SCAN_BYTES, stop - at) + _HEAD_BYTES)
        ):
            n_tried += 1
            if n_tried > _MAX_TRIED:
                return
            if _is_whole(bytes_at(media, at + match.start(), _HEAD_BYTES), len(coded)):
                yield at + match.start()


def _kind(frame: bytes) -> tuple[int, int]:
    """Return the codes of the rate and of the size of a sample: all frames have the same."""
    return frame[2] & 0x0F, frame[3] & 0x0E


def _is_whole(frame: bytes, n_number: int) -> bool:
    """Return whether the check sum of a frame's header is right; its number has these bytes."""
    head = frame.ljust(_HEAD_BYTES, b"\0")
    n_size = {6: 1, 7: 2}.get(head[2] >> 4, 0)
    n_rate = {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    return crc(head[: 5 + n_number + n_size + n_rate], 8, 0x07)[-1] == 0


def _numbered(code: bytes) -> tuple[int, int]:
    """Return the number that a code begins with, and its bytes (section 9.1.5)."""
    n = max(1, 8 - (code[0] ^ 0xFF).bit_length())
    number = code[0] & 0xFF >> (n + 1 if n > 1 else 1)
    for byte in code[1:n]:
        number = number << 6 | byte & 0x3F
    return number, n


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
