"""Where the recordings in one file begin and end, and whether their sizes can be believed.

Recorders, radio streams and `cat` put several files into one, and decoders stop after the first
without a word.  Containers that state their length are followed chunk by chunk; in the others the
bytes that begin a file are looked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from voiceid.audio.media import Media
from voiceid.audio.mpeg import id3_bytes

HEAD_BYTES = 64
"""What is enough to tell a container by."""

_MAX_PARTS = 1000
_MAX_CHUNKS = 100_000
"""Beyond these a file is made to keep readers busy; what follows is said to be unheard."""

_SCAN_BYTES = 1 << 20
_PLACEHOLDER_FROM = 0x7FFF_F000
"""A size from here on is what programs write that cannot go back to the header."""

_ROUND_FROM, _ROUND_STEP, _ROUND_WITHIN = 10**9, 10**6, 64
"""So is a round number of bytes, e.g. 2000000000, or that and a header: one real size in 8000."""


class Part(NamedTuple):
    """The bytes of one recording, and what is read in place of its first ones."""

    start: int
    end: int
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Layout:
    """The recordings in a file, one behind the other; `parts` has at least one.

    - `is_cut`: whether the last ends before its own structure does.
    - `has_placeholder`: whether a size in the file is not one, but says "not known".
    - `n_unheard`: bytes behind the last that are neither metadata nor a recording.
    """

    parts: tuple[Part, ...]
    is_cut: bool
    has_placeholder: bool
    n_unheard: int

    @property
    def is_plain(self) -> bool:
        """Whether the file is one recording that can be read as it is."""
        return len(self.parts) == 1 and not self.n_unheard and not self.parts[0].head


class _End(NamedTuple):
    at: int
    is_cut: bool = False
    has_placeholder: bool = False
    head: bytes = b""


_Walk = Callable[[Media, int], _End]


def layout_of(media: Media) -> Layout:
    """Return where the recordings in a file are."""
    parts: list[Part] = []
    start, end = 0, _End(media.size)
    has_placeholder = False
    while len(parts) < _MAX_PARTS:
        head = _bytes_at(media, start, HEAD_BYTES)
        walk = _mpeg if _MPEG.match(head) else _walk_of(head)
        if walk is None or (parts and _is_metadata(media, start)):
            break
        end = walk(media, start)
        stop = min(max(end.at, start + 1), media.size)
        parts.append(Part(start, stop, end.head))
        has_placeholder |= end.has_placeholder
        start = stop
        if start >= media.size:
            break
    if not parts:
        return Layout((Part(0, media.size),), is_cut=False, has_placeholder=False, n_unheard=0)
    n_unheard = 0 if _is_metadata(media, start) else media.size - start
    return Layout(tuple(parts), end.is_cut, has_placeholder, n_unheard)


def is_container(head: bytes) -> bool:
    """Return whether bytes begin like a file that names its own format."""
    return _walk_of(head) is not None or head.startswith(_OTHER_MAGIC)


def _is_placeholder(size: int) -> bool:
    off = min(size % _ROUND_STEP, -size % _ROUND_STEP)
    is_round = size >= _ROUND_FROM and off <= _ROUND_WITHIN
    return size == 0 or size >= _PLACEHOLDER_FROM or is_round


def _is_metadata(media: Media, start: int) -> bool:
    """Return whether what is left is padding or a tag that players write behind the sound."""
    left = _bytes_at(media, start, _SCAN_BYTES)
    n_left = media.size - start
    if left.startswith(b"ID3") and len(left) >= 10:  # noqa: PLR2004 - id3.org, "ID3v2 header"
        return 20 + id3_bytes(left) >= n_left
    if left.startswith((b"TAG", b"APETAGEX")):
        return n_left <= _SCAN_BYTES
    return not left.strip(b"\0")


def _bytes_at(media: Media, start: int, n: int) -> bytes:
    media.seek(start)
    return media.read(n)


# Containers of chunks

_SEE_DS64 = 0xFFFF_FFFF


def _iff(media: Media, start: int) -> _End:
    """Follow a WAV or AIFF chunk by chunk: ``id size data``, each on an even byte."""
    head = _bytes_at(media, start, 12)
    order = _order(head)
    long_size = None
    at, has_sound = start + 12, False
    for _ in range(_MAX_CHUNKS):
        chunk = _bytes_at(media, at, HEAD_BYTES)
        if len(chunk) < 8 or not _is_name(chunk[:4]):  # noqa: PLR2004 - id and size
            break
        if _walk_of(chunk) is not None:
            break
        size = int.from_bytes(chunk[4:8], order)
        if chunk[:4] == b"ds64":  # EBU Tech 3306: the sizes that 32 bits cannot hold
            long_size = int.from_bytes(chunk[16:24], order)
        if chunk[:4] in {b"data", b"SSND"}:
            has_sound = True
            if size == _SEE_DS64 and long_size is not None:
                size = long_size
            if _is_placeholder(size) and (size == 0 or at + 8 + size > media.size):
                # Without the sizes that RF64 promises, it is a WAV like any that was streamed.
                plain = b"RIFF" if head[2:4] == b"64" else b""
                return _End(_next_wav(media, at + 8), has_placeholder=True, head=plain)
            if at + 8 + size > media.size:
                riff = int.from_bytes(head[4:8], order)
                placeholder = long_size is None and riff != 0 and _is_placeholder(riff)
                return _End(media.size, is_cut=not placeholder, has_placeholder=placeholder)
        at = _even(media, at + 8 + size, size)
    return _End(at if has_sound else media.size)


def _order(head: bytes) -> Literal["little", "big"]:
    return "big" if head[:4] in {b"RIFX", b"FORM"} else "little"


def _is_name(name: bytes) -> bool:
    return name.isascii() and name.decode().isprintable()


def _even(media: Media, at: int, size: int) -> int:
    """Return where the next chunk begins: some writers leave the byte out that makes it even."""
    if size % 2 == 0:
        return at
    there = _bytes_at(media, at, 5)
    is_there = len(there) > 4 and _is_name(there[:4]) and not _is_name(there[1:5])  # noqa: PLR2004
    return at if is_there else at + 1


def _next_wav(media: Media, start: int) -> int:
    """Return where another WAV begins in the data of one that does not say its size."""
    return _find(media, start, b"WAVEfmt ", lambda head: head[:3] in {b"RIF", b"RF6"}, back=8)


def _au(media: Media, start: int) -> _End:
    head = _bytes_at(media, start, 12)
    n_header, size = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
    end = start + n_header + size
    if _is_placeholder(size) and (size == 0 or end > media.size):
        return _End(media.size, has_placeholder=True, head=head[:8] + b"\xff\xff\xff\xff")
    return _End(end, is_cut=end > media.size)


def _caf(media: Media, start: int) -> _End:
    at, has_sound = start + 8, False
    for _ in range(_MAX_CHUNKS):
        chunk = _bytes_at(media, at, 12)
        if len(chunk) < 12 or not _is_name(chunk[:4]) or chunk[:4] == b"caff":  # noqa: PLR2004
            break
        size = int.from_bytes(chunk[4:12], "big", signed=True)
        if size < 0:  # the last chunk may say -1: up to the end
            return _End(media.size, has_placeholder=True)
        at += 12 + size
        has_sound |= chunk[:4] == b"data"
        if at > media.size:
            return _End(media.size, is_cut=chunk[:4] == b"data")
    return _End(at if has_sound else media.size)


def _mp4(media: Media, start: int) -> _End:
    """Follow an MP4 box by box (ISO/IEC 14496-12, section 4.2); ``ftyp`` begins another file."""
    at, seen = start, set[bytes]()
    for _ in range(_MAX_CHUNKS):
        box = _bytes_at(media, at, 16)
        if len(box) < 8 or not _is_name(box[4:8]) or (at > start and box[4:8] == b"ftyp"):  # noqa: PLR2004
            break
        size = int.from_bytes(box[:4], "big")
        if size == 1:
            size = int.from_bytes(box[8:16], "big")
        if size < 8:  # noqa: PLR2004 - 0: up to the end; less cannot be
            return _End(media.size)
        at += size
        seen.add(box[4:8])
        if at >= media.size:
            return _End(media.size)
    return _End(at if {b"moov", b"mdat"} <= seen else media.size)


# Containers that do not say how long they are


def _find(
    media: Media, start: int, magic: bytes, fits: Callable[[bytes], bool], *, back: int = 0
) -> int:
    """Return where ``magic`` is found with a head that fits, ``back`` bytes before it; or the end.

    ``fits`` is asked about the `HEAD_BYTES` from there.
    """
    at = start
    while at < media.size:
        block = _bytes_at(media, at, _SCAN_BYTES + len(magic) - 1)
        if not block:
            break
        place = block.find(magic)
        while place >= 0:
            found = at + place - back
            if found > start and fits(_bytes_at(media, found, HEAD_BYTES)):
                return found
            place = block.find(magic, place + 1)
        at += _SCAN_BYTES
    return media.size


_UNKNOWN = 0
"""In place of an end that a file does not state."""


def _searched(
    magic: bytes,
    fits: Callable[[bytes], bool] = lambda _: True,
    stated: Callable[[Media, int], int] = lambda *_: _UNKNOWN,
) -> _Walk:
    """Return a walk to where the next file of this kind begins.

    ``stated`` returns where the file says that its sound ends: it is cut if that is not there.
    """

    def walk(media: Media, start: int) -> _End:
        return _End(_find(media, start, magic, fits), is_cut=stated(media, start) > media.size)

    return walk


def _w64_end(media: Media, start: int) -> int:
    """Follow Sony's Wave64 to its data: chunks of ``GUID size data``, each on eight bytes."""
    at = start + 40
    for _ in range(_MAX_CHUNKS):
        chunk = _bytes_at(media, at, 24)
        size = int.from_bytes(chunk[16:], "little")  # with these 24 bytes
        if not 24 <= size < 1 << 62:  # noqa: PLR2004 - programs that cannot go back write another
            break
        if chunk[:4] == b"data":
            return at + size
        at += -(-size // 8) * 8
    return _UNKNOWN


def _nist_end(media: Media, start: int) -> int:
    """Multiply the counts of a SPHERE header; what is compressed inside has no such size."""
    head = _bytes_at(media, start, 1024)
    n_header = re.match(rb"NIST_1A\n *(\d{1,9})\n", head)
    counts = dict(re.findall(rb"(?m)^(\w+_(?:count|n_bytes)) -i (\d{1,18})\s", head))
    wanted = (b"sample_count", b"sample_n_bytes", b"channel_count")
    if n_header is None or b"embedded" in head or not counts.keys() >= set(wanted):
        return _UNKNOWN
    return start + int(n_header[1]) + math.prod(int(counts[name]) for name in wanted)


def _voc_end(media: Media, start: int) -> int:
    """Follow a Creative Voice File block by block: ``type size data``, at the end a zero."""
    at = start + int.from_bytes(_bytes_at(media, start + 20, 2), "little")
    for _ in range(_MAX_CHUNKS):
        block = _bytes_at(media, at, 4)
        if len(block) < 4 or block[0] == 0:  # noqa: PLR2004 - type and size
            return at
        at += 4 + int.from_bytes(block[1:], "little")
    return _UNKNOWN


def _asf_end(media: Media, start: int) -> int:
    """Return what the file properties state (ASF 01.20.03, section 3.2), unless it is a stream."""
    head = _bytes_at(media, start, _SCAN_BYTES)
    facts = head[head.find(_ASF_FACTS) :][:92]
    if not facts.startswith(_ASF_FACTS) or facts[88:] == b"" or facts[88] & 1:
        return _UNKNOWN
    return start + int.from_bytes(facts[40:48], "little")


_PAGE, _FIRST_PAGE = b"OggS", b"OggS\x00\x02"
_PAGE_HEADER, _PAGE_MAX = 27, 65_307
"""RFC 3533, section 6: bytes of a page's header, and of the largest page."""


def _ogg(media: Media, start: int) -> _End:
    """Find the next link of a chain: streams side by side all begin in the pages at its start."""
    body = start
    while _bytes_at(media, body, len(_FIRST_PAGE)) == _FIRST_PAGE:
        body += _page_bytes(_bytes_at(media, body, _PAGE_HEADER + 255))
    end = _find(media, body - 1, _FIRST_PAGE, lambda _: True)
    if end < media.size:
        return _End(end)
    tail_at = max(body, media.size - _PAGE_MAX)
    tail = _bytes_at(media, tail_at, _PAGE_MAX)
    last = tail.rfind(_PAGE)
    if last < 0 or len(tail) - last <= _PAGE_HEADER:
        return _End(media.size, is_cut=True)
    end = tail_at + last + _page_bytes(tail[last:])
    return _End(end, is_cut=end > media.size)


def _is_id3(tag: bytes) -> bool:
    """Return whether a tag of version 2.2 to 2.4 begins here (id3.org, "ID3v2 header")."""
    return tag[3] in {2, 3, 4} and tag[4] == 0 and max(tag[6:10]) < 0x80  # noqa: PLR2004


def _page_bytes(page: bytes) -> int:
    """Return the length of a page, from its header and its table of segments."""
    if len(page) < _PAGE_HEADER:
        return _PAGE_HEADER
    sizes = page[_PAGE_HEADER : _PAGE_HEADER + page[_PAGE_HEADER - 1]]
    return _PAGE_HEADER + page[_PAGE_HEADER - 1] + sum(sizes)


def _is_first_wavpack(block: bytes) -> bool:
    """Return whether a block has sample 0, and is the first of its channels."""
    return block[16:20] == bytes(4) and bool(int.from_bytes(block[24:28], "little") & 0x800)


_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FACTS = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_MATROSKA = b"\x1aE\xdf\xa3"

_KINDS: tuple[tuple[re.Pattern[bytes], _Walk], ...] = tuple(
    (re.compile(pattern, re.DOTALL), walk)
    for pattern, walk in (
        (rb"(RIFF|RIFX|RF64|BW64)....WAVE|FORM....AIF[FC]", _iff),
        (rb"OggS", _ogg),
        (rb"....ftyp", _mp4),
        (
            rb"fLaC[\x00\x80]\x00\x00\x22",
            _searched(b"fLaC", lambda head: head[4] & 0x7F == 0 and head[5:8] == b"\0\0\x22"),
        ),
        (
            re.escape(_MATROSKA),
            _searched(_MATROSKA, lambda head: b"matroska" in head or b"webm" in head),
        ),
        (re.escape(_ASF), _searched(_ASF, stated=_asf_end)),
        (re.escape(_W64), _searched(_W64, stated=_w64_end)),
        (rb"caff\x00\x01", _caf),
        (rb"\.snd", _au),
        (rb"FLV\x01", _searched(b"FLV\x01")),
        (rb"#!AMR", _searched(b"#!AMR")),
        (rb"TTA1", _searched(b"TTA1")),
        (rb"wvpk", _searched(b"wvpk", _is_first_wavpack)),
        (rb"NIST_1A\n", _searched(b"NIST_1A\n", stated=_nist_end)),
        (rb"Creative Voice File\x1a", _searched(b"Creative Voice File\x1a", stated=_voc_end)),
    )
)

_MPEG = re.compile(rb"ID3[\x02-\x04]\x00|\xff[\xe0-\xff]", re.DOTALL)
_mpeg = _searched(b"ID3", _is_id3)
"""MPEG audio, in which a tag begins another file; two letters are too few to know it by."""

_OTHER_MAGIC = (
    *(b"ID3", b"RIFF", b"FORM", b"MAC ", b"DSD ", b"tBaK", b"MPCK", b"MP+", b".RMF", b"#!iLBC"),
)
"""Formats that are not looked into, but name themselves."""


def _walk_of(head: bytes) -> _Walk | None:
    return next((walk for pattern, walk in _KINDS if pattern.match(head)), None)
