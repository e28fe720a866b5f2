"""The first bytes of sound files, where a file begins within other bytes, and the tags around."""

from __future__ import annotations

import re
from collections.abc import Callable

from voiceid.audio.media import Media

HEAD_BYTES = 512
"""Enough to recognise a container: this holds the starts of three transport stream packets."""

_NEAR_BYTES = 64
"""Where a file ends and another begins within this many bytes, it cannot be chance."""

SCAN_BYTES = 1 << 20
"""Bytes that are searched at once."""

_MAX_LOOKED_BYTES = 1 << 28
"""A file that begins after more other bytes is not found: a search takes 1 s per 100 MiB."""

MAX_STEPS = 1_500_000
MAX_GAPS = 1000
"""A file with more pages, or more damaged places, is made to keep readers busy; the report says
that the rest is unheard.  This many frames of MP3 last 10 hours."""

ZEROS = 8
"""This many zeros at the end of a frame or block, with more after it, only fill up the file."""

_HEADS = tuple(
    (re.compile(pattern, re.DOTALL), back)
    for pattern, back in (
        *((name + rb"....WAVE[a-zA-Z]", 0) for name in (rb"RIFF", rb"RIFX", rb"RF64", rb"BW64")),
        (rb"RIFF....AVI LIST", 0),
        (rb"FORM....(?:AIF[FC]|8SVX|16SV|MAUD)", 0),
        (rb"OggS\x00[\x02\x06]\x00{8}", 0),
        (rb"ftyp[ -~]{4}....", 4),
        (rb"fLaC[\x00\x80]\x00\x00\x22", 0),
        (rb"\x1aE\xdf\xa3.{,40}\x42\x82.(?:matroska|webm)", 0),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0),
        (rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", 0),
        (rb"caff\x00\x01\x00\x00desc", 0),
        (rb"\.snd\x00\x00......\x00\x00\x00[\x01-\x1b]\x00", 0),
        (rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09", 0),
        (rb"#!AMR(?:-WB|_MC1\.0|-WB_MC1\.0)?\n", 0),
        (rb"#!iLBC[23]0\n", 0),
        (rb"TTA1[\x01\x02]\x00", 0),
        (rb"wvpk....[\x02-\x10]\x04.{6}\x00{4}", 0),
        (rb"NIST_1A\n *\d+\n", 0),
        (rb"Creative Voice File\x1a", 0),
        (rb"MAC [\x00-\xff][\x0e\x0f]\x00\x00", 0),
        (rb"DSD \x1c\x00{7}", 0),
        (rb"\.SoX.\x00\x00\x00.{8}\x00\x00", 0),
        (rb"nut/multimedia container\x00", 0),
        (rb"\xb7\xd8\x00\x207I\xda\x11\xa6N\x00\x07", 0),
        (rb"ID3[\x02-\x04]\x00[\x00\x10-\xf0][\x00-\x7f]{4}(?:[A-Z][A-Z0-9]{2}|\x00\x00\x00)", 0),
    )
)
"""Each pattern is too long to appear by chance in a recording; then the bytes before it."""

_TEXT_FROM = 1 << 24
"""Text behind the sound looks like a chunk of such a size at least; metadata is smaller."""

MAX_TAGS = 16
_ID3 = re.compile(rb"ID3[\x02-\x04]\x00.[\x00-\x7f]{4}", re.DOTALL)
"""Of version 2.2 to 2.4 (id3.org, "ID3v2 header")."""


def bytes_at(media: Media, start: int, n: int) -> bytes:
    """Return up to ``n`` bytes of a source."""
    media.seek(start)
    return media.read(n)


def next_head(media: Media, start: int, stop: int | None = None) -> int:
    """Return where the next file with a known first pattern begins from ``start`` on; or ``stop``.

    ``stop`` is the end of the source, if it is not given.
    """
    stop = media.size if stop is None else stop
    at, n_looked, n_left = start, HEAD_BYTES, _MAX_LOOKED_BYTES
    while at < stop and n_left > 0:
        n_looked = min(2 * n_looked, SCAN_BYTES, stop - at)  # most are near
        block = bytes_at(media, at, n_looked + HEAD_BYTES)
        if not is_filling(block):
            offset = _place(block, n_looked)
            if offset < n_looked:
                return at + offset
            n_left -= n_looked
        at += n_looked
    return stop


def is_filling(block: bytes) -> bool:
    """Return whether bytes are all zeros."""
    return block == bytes(len(block))


def is_text(media: Media, end: int, size: int) -> bool:
    """Return whether what looks like a chunk of a size, to an end, is text behind the sound."""
    return size >= _TEXT_FROM and end > media.size


def is_head(data: bytes) -> bool:
    """Return whether a file with a known first pattern begins among the first of these bytes."""
    return _place(data, _NEAR_BYTES) < _NEAR_BYTES


def _place(block: bytes, stop: int) -> int:
    """Return where in a block the first file begins, or ``stop``."""
    for pattern, back in _HEADS:
        match = pattern.search(block, back, stop + HEAD_BYTES)
        if match is not None:
            stop = min(stop, match.start() - back)
    return stop


def find(media: Media, start: int, magic: bytes, fits: Callable[[bytes], bool]) -> int:
    """Return where, from ``start`` on, ``magic`` is found with a head that fits; or the end.

    ``fits`` is asked about the `HEAD_BYTES` from there.
    """
    at = start
    while at < media.size:
        block = bytes_at(media, at, SCAN_BYTES + len(magic) - 1)
        place = block.find(magic)
        while place >= 0:
            if fits(bytes_at(media, at + place, HEAD_BYTES)):
                return at + place
            place = block.find(magic, place + 1)
        at += SCAN_BYTES
    return media.size


def tags_end(media: Media, start: int) -> int:
    """Return where the tags end that players write before and after the sound."""
    at = start
    for _ in range(MAX_TAGS):
        n = _tag_bytes(media, at)
        if not n:
            break
        at += n
    return at


def id3_bytes(head: bytes) -> int:
    """Return the size of the ID3 tag that begins with these bytes, 0 without one."""
    if not _ID3.match(head):
        return 0
    size = 0
    for byte in head[6:10]:  # seven bits each
        size = size << 7 | byte & 0x7F
    return size + (20 if head[5] & 0x10 else 10)


def _tag_bytes(media: Media, at: int) -> int:
    head = bytes_at(media, at, 32)
    if size := id3_bytes(head):
        return size
    if head.startswith(b"TAG"):
        return 227 if head.startswith(b"TAG+") else 128
    if head.startswith(b"APETAGEX"):  # its size is that of all but its header
        return 32 + (int.from_bytes(head[12:16], "little") if head[23:24] >= b"\xa0" else 0)
    if head.startswith(b"LYRICSBEGIN"):
        end = re.search(rb"LYRICS200|LYRICSEND", bytes_at(media, at, SCAN_BYTES))
        return end.end() if end is not None else 0
    return 0
