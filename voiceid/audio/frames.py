"""Files of frames without an index: what kinds there are, and where the last frame ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from voiceid.audio.heads import (
    HEAD_BYTES,
    MAX_GAPS,
    MAX_STEPS,
    SCAN_BYTES,
    ZEROS,
    bytes_at,
    is_filling,
    next_head,
)
from voiceid.audio.media import Media
from voiceid.audio.mpeg import MAX_FRAME_BYTES, frame_bytes

_BLOCK_BYTES = 1 << 18
_MAX_SYNC_BYTES = 1338  # of a transport stream with time stamps
_MAX_TRIED = 300_000
"""Places where a frame may begin: a source of noise with this many has 700 MB."""

_PIECE_BYTES = 16
"""Fewer bytes after the last frame are a piece of the next: too few to recognise it."""

_TAG = re.compile(rb"TAG|APETAGEX|LYRICSBEGIN|ID3[\x02-\x04]\x00")
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AMR_BYTES = (13, 14, 16, 18, 20, 21, 27, 32, 6, *[1] * 7)
_AMR_WB_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, *[1] * 6)


class Frames(NamedTuple):
    """A kind of frames.

    - `sync`: the bytes that each begins with.
    - `length`: returns the length of the frame that begins with `n_head` bytes; 0: not a frame.
    - `n_in_a_row`: this many, each where the one before it ends, cannot be chance.
    - `n_most`: bytes of the longest frame.
    """

    sync: re.Pattern[bytes]
    length: Callable[[bytes], int]
    n_in_a_row: int = 3
    n_head: int = 16
    n_most: int = 1 << 16


def _adts_bytes(head: bytes) -> int:
    """Return the length of a frame of AAC (ISO/IEC 13818-7, section 6.2)."""
    bits = int.from_bytes(head[:7].ljust(7, b"\0"), "big")
    size = bits >> 13 & 0x1FFF
    is_frame = bits >> 40 & 0xFFF6 == 0xFFF0 and bits >> 34 & 15 < 13  # noqa: PLR2004
    return size if is_frame and size >= 7 else 0  # noqa: PLR2004


def _latm_bytes(head: bytes) -> int:
    """Return the length of a frame of AAC in LOAS (ISO/IEC 14496-3, section 1.7.2)."""
    bits = int.from_bytes(head[:3].ljust(3, b"\0"), "big")
    return 3 + (bits & 0x1FFF) if bits >> 13 == 0x2B7 else 0  # noqa: PLR2004


def _ac3_bytes(head: bytes) -> int:
    """Return the length of a frame of AC-3 or E-AC-3 (ETSI TS 102 366, sections 4.3 and E.1.2)."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":  # noqa: PLR2004
        return 0
    if 10 < head[5] >> 3 <= 16:  # noqa: PLR2004
        return 2 + 2 * (int.from_bytes(head[2:4], "big") & 0x7FF)
    rate, size = head[4] >> 6, head[4] & 63
    if head[5] >> 3 > 16 or rate == 3 or size >= 2 * len(_AC3_KBPS):  # noqa: PLR2004
        return 0
    words = _AC3_KBPS[size // 2] * 96_000 // (48_000, 44_100, 32_000)[rate]
    return 2 * (words + (size & 1 if rate == 1 else 0))


def _dts_bytes(head: bytes) -> int:
    """Return the length of a frame of DTS, or of its extension (ETSI TS 102 114, 5.3.1, 7.4.1)."""
    bits = int.from_bytes(head[:12].ljust(12, b"\0"), "big")
    if head[:4] == b"\x7f\xfe\x80\x01":
        return (bits >> 36 & 0x3FFF) + 1
    if head[:4] == b"\x64\x58\x20\x25":
        return (bits >> 21 & 0xFFFFF if bits >> 53 & 1 else bits >> 29 & 0xFFFF) + 1
    return 0


def _ts_bytes(head: bytes) -> int:
    """Return the length of the packets of a transport stream that follow each other.

    Each has 188 bytes (ISO/IEC 13818-1, section 2.4.3.2), on Blu-ray and AVCHD four more before.
    """
    for size, before in ((188, 0), (192, 4)):
        syncs = head[before::size]
        n = len(syncs) - len(syncs.lstrip(b"G"))
        if n:
            return n * size
    return 0


def _flv_bytes(head: bytes) -> int:
    """Return the length of a tag and of the size behind it (Flash Video 10.1, section E.4.1)."""
    is_tag = head[:1] in {b"\x08", b"\x09", b"\x0f", b"\x12"} and head[8:11] == bytes(3)
    return 15 + int.from_bytes(head[1:4], "big") if is_tag else 0


def _ps_bytes(head: bytes) -> int:
    """Return the length of a packet of a program stream (ISO/IEC 13818-1, section 2.5.3)."""
    if head[:3] != b"\0\0\x01" or len(head) < 14 or head[3] < 0xB9:  # noqa: PLR2004
        return 4 if head[:4] == b"\0\0\x01\xb9" else 0
    if head[3] == 0xBA:  # noqa: PLR2004 - a pack, of MPEG-2 or MPEG-1
        return 14 + (head[13] & 7) if head[4] & 0xC0 == 0x40 else 12  # noqa: PLR2004
    return 6 + int.from_bytes(head[4:6], "big") if head[3] > 0xB9 else 4  # noqa: PLR2004


def _klv_bytes(head: bytes) -> int:
    """Return the length of a key, a length and a value of MXF (SMPTE ST 336)."""
    if head[:4] != _KLV or len(head) < 17:  # noqa: PLR2004
        return 0
    n = head[16] & 0x7F
    size = n + int.from_bytes(head[17 : 17 + n], "big") if head[16] & 0x80 else n
    return 17 + min(size, 1 << 60)


def _amr_bytes(sizes: tuple[int, ...], head: bytes) -> int:
    """Return the length of a frame of AMR (RFC 4867, section 5.3); zeros fill a file up."""
    is_frame = head[:1] > b"\0" and head[0] & 0x83 == 0
    return sizes[head[0] >> 3] if is_frame else 0


_KLV = b"\x06\x0e\x2b\x34"
_AMR_SYNC = re.compile(rb"[\x04\x0c\x14\x1c\x24\x2c\x34\x3c\x44\x7c]")
AMR = Frames(_AMR_SYNC, partial(_amr_bytes, _AMR_BYTES), 12)
AMR_WB = Frames(_AMR_SYNC, partial(_amr_bytes, _AMR_WB_BYTES), 12)
FLV = Frames(re.compile(rb"[\x08\x09\x0f\x12].{7}\x00\x00\x00", re.DOTALL), _flv_bytes, 2)
MP3 = Frames(re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd]"), frame_bytes)
MXF = Frames(re.compile(re.escape(_KLV)), _klv_bytes, n_head=26, n_most=1 << 28)
PS = Frames(re.compile(rb"\x00\x00\x01[\xb9-\xff]"), _ps_bytes)
TS_HEAD = rb"G.{187}G.{187}G|.{4}G.{191}G.{191}G"
_TS = Frames(re.compile(rb"G(?:.{187}G){7}|G(?:.{191}G){7}", re.DOTALL), _ts_bytes, 1, 188_000, 192)
_NAMELESS = (
    MP3,
    Frames(re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), _adts_bytes),
    Frames(re.compile(rb"\x0b\x77"), _ac3_bytes),
    Frames(re.compile(rb"\x56[\xe0-\xff]"), _latm_bytes),
    Frames(re.compile(rb"\x7f\xfe\x80\x01|\x64\x58\x20\x25"), _dts_bytes),
)


def nameless(media: Media, at: int) -> Frames | None:
    """Return the kind of the frame that begins at a byte, if files of that kind begin with one."""
    head = bytes_at(media, at, HEAD_BYTES)
    if re.match(TS_HEAD, head, re.DOTALL):
        return _TS
    return next((kind for kind in _NAMELESS if kind.length(head)), None)


def frames_end(media: Media, start: int, kind: Frames) -> tuple[int, bool]:
    """Return where the last of the frames from ``start`` on ends, and whether it is cut.

    Damaged bytes between them are skipped, as decoders do.
    """
    at = end = start
    for _ in range(MAX_GAPS):
        last, end = _followed(media, at, kind)
        last, stop = max(last, end - kind.n_most), min(end, media.size)
        if end != media.size and (head := next_head(media, last + 1, stop)) < stop:
            return head, True  # the last frame is cut, and another file follows
        if end >= media.size or kind.length(bytes_at(media, end, kind.n_head)):
            break  # the latter: more than `MAX_STEPS`
        # Also a last frame that its encoder did not write to its end may have tags behind it.
        tail = max(last, end - MAX_FRAME_BYTES)
        tag = _TAG.search(bytes_at(media, tail, end - tail + 16))
        if tag is not None:
            return tail + tag.start(), False
        at = _next_frame(media, end, kind)
        if at == media.size or next_head(media, end, at) < at:
            break
    near = next_head(media, end, min(end + _PIECE_BYTES, media.size))
    piece = bytes_at(media, end, max(0, near - end))
    if len(piece) < _PIECE_BYTES and not is_filling(piece):
        return near, True
    behind = bytes_at(media, end, ZEROS)
    n_padded = _n_zeros(media, last) * 5 // 4 if kind is MP3 else 0  # as the frame before is
    is_padded = _n_zeros(media, end) < max(ZEROS, n_padded)
    is_filled = len(behind) == ZEROS and is_filling(behind) and not is_padded
    return end, end > media.size or is_filled


def _n_zeros(media: Media, end: int) -> int:
    """Return the number of zeros before a byte, in at most the length of a frame."""
    start = max(0, end - MAX_FRAME_BYTES)
    tail = bytes_at(media, start, end - start)
    return len(tail) - len(tail.rstrip(b"\0"))


def _followed(media: Media, start: int, kind: Frames) -> tuple[int, int]:
    """Return where the last of the frames that follow each other begins, and where it ends."""
    last = at = block_at = start
    block = b""
    for _ in range(MAX_STEPS):
        if at >= media.size:
            break
        if at + kind.n_head > block_at + len(block):
            block_at, block = at, bytes_at(media, at, _BLOCK_BYTES)
        n_bytes = kind.length(block[at - block_at : at - block_at + kind.n_head])
        if not n_bytes:
            break
        last, at = at, at + n_bytes
    return last, at


def _next_frame(media: Media, start: int, kind: Frames) -> int:
    """Return where frames in a row begin, else the end.  Each byte is examined once."""
    searched, place = media.next_frames.get(kind, (0, -1))
    if not searched <= start <= place:
        place = _looked_for(media, start, kind)
        media.next_frames[kind] = start, place
    return place


def _looked_for(media: Media, start: int, kind: Frames) -> int:
    for at in range(start, media.size, SCAN_BYTES):
        for match in kind.sync.finditer(bytes_at(media, at, SCAN_BYTES + _MAX_SYNC_BYTES)):
            place = at + match.start()
            media.n_tried += 1
            if media.n_tried > _MAX_TRIED:
                return media.size
            for _ in range(kind.n_in_a_row):
                n_bytes = kind.length(bytes_at(media, place, kind.n_head))
                place += n_bytes
                if not n_bytes:
                    break
            else:
                return at + match.start()
    return media.size
