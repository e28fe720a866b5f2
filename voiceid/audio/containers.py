"""Where a file of each kind ends: by sizes that it states, by its frames, or by the next file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from voiceid.audio import heads
from voiceid.audio.flac import crc, flac_end
from voiceid.audio.frames import (
    AMR,
    AMR_WB,
    FLV,
    MP3,
    MXF,
    PS,
    TS_HEAD,
    Frames,
    frames_end,
    nameless,
)
from voiceid.audio.heads import HEAD_BYTES, MAX_GAPS, SCAN_BYTES, bytes_at, next_head, tags_end
from voiceid.audio.matroska import matroska_end
from voiceid.audio.media import Media
from voiceid.audio.mpeg import claimed_duration_s

_MAX_CHUNKS = 100_000
"""A file with more is made to keep readers busy; the report says that the rest is unheard."""

_PLACEHOLDER_FROM = 0x7FFF_F000
"""Programs that cannot go back to the header write a size from here on."""

_ROUND_FROM, _ROUND_STEP, _ROUND_WITHIN = 10**9, 10**6, 64
"""Or a round size, e.g. 2000000000, with or without a header: so is one real size in 8000."""


class End(NamedTuple):
    """Where a file ends.

    - `at`: the byte after the file; beyond the source where it is cut.
    - `is_cut`: whether it ends before its own structure does.
    - `has_placeholder`: whether its stated size only means "not known".
    - `head`: the bytes to read in place of its first bytes.
    """

    at: int
    is_cut: bool = False
    has_placeholder: bool = False
    head: bytes = b""


Walk = Callable[[Media, int], End]


def walk_of(head: bytes) -> Walk | None:
    """Return the function that finds the end of a file that begins so; None if there is none."""
    return next((walk for pattern, walk in _KINDS if pattern.match(head)), None)


def is_container(head: bytes) -> bool:
    """Return whether bytes begin like a file that names its own format."""
    return walk_of(head) not in {None, _nameless} or head.startswith(_OTHER_MAGIC)


def to_the_end(media: Media, _: int) -> End:
    """Return the end of the source, for a format whose structure is not followed."""
    return End(media.size)


def _is_placeholder(size: int) -> bool:
    off = min(size % _ROUND_STEP, -size % _ROUND_STEP)
    is_round = size >= _ROUND_FROM and off <= _ROUND_WITHIN
    return size == 0 or size >= _PLACEHOLDER_FROM or is_round


# Containers of chunks

_SEE_DS64 = 0xFFFF_FFFF


def _iff(media: Media, start: int) -> End:
    """Follow a WAV, AVI or IFF chunk by chunk: ``id size data``, each on an even byte."""
    head = bytes_at(media, start, 12)
    order: Literal["little", "big"] = "big" if head[:4] in {b"RIFX", b"FORM"} else "little"
    long_size = None
    at, has_sound = start + 12, False
    for _ in range(_MAX_CHUNKS):
        chunk = bytes_at(media, at, HEAD_BYTES)
        if not _is_chunk(media, at, chunk, 8):
            break
        size = int.from_bytes(chunk[4:8], order)
        if chunk[:4] == b"ds64":  # EBU Tech 3306: the sizes that 32 bits cannot hold
            long_size = int.from_bytes(chunk[16:24], order)
        if chunk[:4] in {b"data", b"SSND", b"BODY", b"MDAT"} or chunk[8:12] == b"movi":
            if has_sound:  # decoders hear one of the two
                break
            has_sound = True
            if size == _SEE_DS64 and long_size is not None:
                size = long_size
            if _is_placeholder(size) and (size == 0 or at + 8 + size > media.size):
                # Without the sizes that RF64 promises, it is a WAV like any that was streamed.
                plain = b"RIFF" if head[2:4] == b"64" else b""
                return End(next_head(media, at + 8), has_placeholder=True, head=plain)
            if at + 8 + size > media.size:
                riff = int.from_bytes(head[4:8], order)
                placeholder = long_size is None and riff != 0 and _is_placeholder(riff)
                return End(media.size, is_cut=not placeholder, has_placeholder=placeholder)
        if has_sound and heads.is_text(media, at + 8 + size, size):
            break
        at = _even(media, at + 8 + size, size)
    return End(at if has_sound else media.size)


def _is_chunk(media: Media, at: int, chunk: bytes, n_head: int) -> bool:
    """Return whether a chunk begins there, with so many bytes of name and size, and not a file."""
    is_named = len(chunk) >= n_head and _is_name(chunk[:4])
    return is_named and walk_of(chunk) is None and tags_end(media, at) == at


def _is_name(name: bytes) -> bool:
    return name.isascii() and name.decode().isprintable()


def _even(media: Media, at: int, size: int) -> int:
    """Return where the next chunk begins: some writers leave out the padding byte."""
    if size % 2 == 0:
        return at
    there = bytes_at(media, at, 5)
    is_there = len(there) > 4 and _is_name(there[:4]) and not _is_name(there[1:5])  # noqa: PLR2004
    return at if is_there else at + 1


def _au(media: Media, start: int) -> End:
    head = bytes_at(media, start, 12)
    n_header, size = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
    end = start + n_header + size
    if _is_placeholder(size) and (size == 0 or end > media.size):
        end = next_head(media, start + n_header)
        return End(end, has_placeholder=True, head=head[:8] + b"\xff\xff\xff\xff")
    return End(end, is_cut=end > media.size)


def _caf(media: Media, start: int) -> End:
    at, has_sound = start + 8, False
    for _ in range(_MAX_CHUNKS):
        chunk = bytes_at(media, at, HEAD_BYTES)
        if not _is_chunk(media, at, chunk, 12):
            break
        size = int.from_bytes(chunk[4:12], "big", signed=True)
        if size < 0:  # the last chunk may say -1: up to the end
            return End(next_head(media, at + 12), has_placeholder=True)
        if has_sound and heads.is_text(media, at + 12 + size, size):
            break
        if at + 12 + size > media.size:
            return End(media.size, is_cut=chunk[:4] == b"data")
        at += 12 + size
        has_sound |= chunk[:4] == b"data"
    return End(at if has_sound else media.size)


def _mp4(media: Media, start: int) -> End:
    """Follow an MP4 box by box (ISO/IEC 14496-12, section 4.2); ``ftyp`` begins another file."""
    at, seen = start, set[bytes]()
    for _ in range(_MAX_CHUNKS):
        box = bytes_at(media, at, HEAD_BYTES)
        if len(box) < 8 or not _is_name(box[4:8]):  # noqa: PLR2004
            break
        if at > start and (walk_of(box) not in {None, _nameless} or tags_end(media, at) > at):
            break
        size = int.from_bytes(box[:4], "big")
        if size == 1:
            size = int.from_bytes(box[8:16], "big")
        if size < 8:  # noqa: PLR2004 - 0: up to the end; less cannot be
            return End(media.size)
        is_sound = box[4:8] in {b"moov", b"moof", b"mdat"}
        if not is_sound and heads.is_text(media, at + size, size):
            break
        at += size
        seen.add(box[4:8])
        if at >= media.size:
            return End(media.size, is_cut=is_sound and at > media.size)
    return End(at if {b"moov", b"mdat"} <= seen else media.size)


# Pages and blocks that each name themselves

_PAGE, _FIRST_PAGE = b"OggS", b"OggS\x00\x02"
_PAGE_HEADER, _MAX_PAGE_BYTES = 27, 65_307
"""RFC 3533, section 6: bytes of a page's header, and of a page."""


def _ogg(media: Media, start: int) -> End:
    """Follow the pages; streams side by side all begin in the pages at its start."""
    body = start
    for _ in range(MAX_GAPS):
        if bytes_at(media, body, len(_FIRST_PAGE)) != _FIRST_PAGE:
            break
        body += _page_bytes(bytes_at(media, body, _PAGE_HEADER + 255))
    end, _ = frames_end(media, body, _PAGES)
    tail = bytes_at(media, max(start, end - _MAX_PAGE_BYTES), min(end, _MAX_PAGE_BYTES))
    page = tail[max(0, tail.rfind(_PAGE)) :]  # a cut file that is filled up with zeros ends in them
    sums = crc(page[:22] + bytes(4) + page[26:], 32, 0x04C11DB7)
    return End(end, is_cut=sums[-1] != int.from_bytes(page[22:26], "little"))


def _page_bytes(page: bytes) -> int:
    """Return the length of a page, from its header and its table of segments."""
    if len(page) < _PAGE_HEADER:
        return _PAGE_HEADER
    sizes = page[_PAGE_HEADER : _PAGE_HEADER + page[_PAGE_HEADER - 1]]
    return _PAGE_HEADER + page[_PAGE_HEADER - 1] + sum(sizes)


def _later_page_bytes(head: bytes) -> int:
    is_page = head[:4] == _PAGE and head[5:6] != b"" and not head[5] & 2
    return _page_bytes(head) if is_page else 0


def _wavpack(media: Media, start: int) -> End:
    body = start + _block_bytes(bytes_at(media, start, 8))
    return End(*frames_end(media, body, _BLOCKS))


def _block_bytes(block: bytes) -> int:
    return 8 + max(24, int.from_bytes(block[4:8], "little"))


def _later_block_bytes(head: bytes) -> int:
    """Return the length of a block unless it has sample 0, and is the first of its channels."""
    is_first = head[16:20] == bytes(4) and int.from_bytes(head[24:28], "little") & 0x800
    return _block_bytes(head) if head[:4] == b"wvpk" and not is_first else 0


_PAGES = Frames(re.compile(_PAGE), _later_page_bytes, 1, _PAGE_HEADER + 255)
_BLOCKS = Frames(re.compile(b"wvpk"), _later_block_bytes, 1, 28)


# Kinds that state an end, and those that are looked through for the next file

_UNKNOWN = 0
"""In place of an end that a file does not state."""


def _stated(end_of: Callable[[Media, int], int] = lambda *_: _UNKNOWN) -> Walk:
    """Return a walk to where a file says that it ends, else to where the next one begins."""

    def walk(media: Media, start: int) -> End:
        end = end_of(media, start)
        if end == _UNKNOWN:
            return End(next_head(media, start + 1))
        return End(end, is_cut=end > media.size)

    return walk


def _w64_end(media: Media, start: int) -> int:
    """Follow Sony's Wave64 to its data: chunks of ``GUID size data``, each on eight bytes.

    The file's own size, where it is valid, includes the chunks after the data.
    """
    at = start + 40
    whole = start + int.from_bytes(bytes_at(media, start + 16, 8), "little")
    for _ in range(_MAX_CHUNKS):
        chunk = bytes_at(media, at, 24)
        size = int.from_bytes(chunk[16:], "little")  # with these 24 bytes
        if not 24 <= size < 1 << 62:  # noqa: PLR2004 - programs that cannot go back write another
            break
        if chunk[:4] == b"data":
            return max(at + size, whole if whole <= media.size else 0)
        at += -(-size // 8) * 8
    return _UNKNOWN


def _nist_end(media: Media, start: int) -> int:
    """Multiply the counts of a SPHERE header; compressed data has another size: not known."""
    head = bytes_at(media, start, 1024)
    n_header = re.match(rb"NIST_1A\n *(\d{1,9})\n", head)
    counts = dict(re.findall(rb"(?m)^(\w+_(?:count|n_bytes)) -i (\d{1,18})\s", head))
    fields = (b"sample_count", b"sample_n_bytes", b"channel_count")
    if n_header is None or b"embedded" in head or not counts.keys() >= set(fields):
        return _UNKNOWN
    return start + int(n_header[1]) + math.prod(int(counts[name]) for name in fields)


def _voc_end(media: Media, start: int) -> int:
    """Follow a Creative Voice File block by block: ``type size data``, at the end a zero."""
    at = start + int.from_bytes(bytes_at(media, start + 20, 2), "little")
    for _ in range(_MAX_CHUNKS):
        block = bytes_at(media, at, 4)
        if len(block) < 4 or block[0] == 0:  # noqa: PLR2004 - type and size
            return at + (block[:1] == b"\0")
        at += 4 + int.from_bytes(block[1:], "little")
    return _UNKNOWN


def _tta_end(media: Media, start: int) -> int:
    """Add up the table of frames, whose sizes are 32 bits each (TTA1: 22 bytes before it)."""
    head = bytes_at(media, start, 18)
    rate_hz, n_samples = (int.from_bytes(head[at : at + 4], "little") for at in (10, 14))
    n_table = 4 * -(-n_samples // max(1, 256 * rate_hz // 245))
    if n_table > SCAN_BYTES:
        return _UNKNOWN
    table = bytes_at(media, start + 22, n_table)
    sizes = (int.from_bytes(table[at : at + 4], "little") for at in range(0, n_table, 4))
    return start + 22 + n_table + 4 + sum(sizes)


def _sox_end(media: Media, start: int) -> int:
    """Return the end by the counts: samples of four bytes after a header of a stated length."""
    head = bytes_at(media, start, 16)
    order: Literal["little", "big"] = "little" if head[:1] == b"." else "big"
    n_header, n_samples = (int.from_bytes(head[at:to], order) for at, to in ((4, 8), (8, 16)))
    return start + 4 + n_header + 4 * n_samples if n_samples else _UNKNOWN


def _asf_end(media: Media, start: int) -> int:
    """Return what the file properties state (ASF 01.20.03, section 3.2), unless it is a stream."""
    head = bytes_at(media, start, SCAN_BYTES)
    facts = head[head.find(_ASF_FACTS) :][:92]
    if not facts.startswith(_ASF_FACTS) or facts[88:] == b"" or facts[88] & 1:
        return _UNKNOWN
    return start + int.from_bytes(facts[40:48], "little")


_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FACTS = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


def _flac(media: Media, start: int) -> End:
    return End(flac_end(media, start) or next_head(media, start + 4))


def _matroska(media: Media, start: int) -> End:
    at = matroska_end(media, start)
    return End(at, is_cut=at > media.size and not _is_placeholder(at - start))


def _framed(kind: Frames, n_header: int) -> Walk:
    """Return a walk along frames behind a header."""

    def walk(media: Media, start: int) -> End:
        end, is_cut = frames_end(media, start + n_header, kind)
        if end == start + n_header:  # of a variant that is not known
            return End(next_head(media, start + 1))
        return End(end, is_cut=is_cut)

    return walk


def _nameless(media: Media, start: int) -> End:
    """Follow frames from the first byte, or after a tag, which such a file may begin with."""
    at = tags_end(media, start)
    walk = walk_of(bytes_at(media, at, HEAD_BYTES))
    if walk is not None and walk is not _nameless:
        return walk(media, at)
    kind = nameless(media, at)
    if kind is None:
        return End(next_head(media, at + 1))
    end, is_cut = frames_end(media, at, kind)
    is_counted = kind is MP3 and claimed_duration_s(media, at) is not None
    return End(end, is_cut=is_cut and not is_counted)


_KINDS: tuple[tuple[re.Pattern[bytes], Walk], ...] = tuple(
    (re.compile(pattern, re.DOTALL), walk)
    for pattern, walk in (
        (rb"(RIFF|RIFX|RF64|BW64)....(WAVE|AVI |XWMA)|FORM....(?:AIF[FC]|8SVX|16SV|MAUD)", _iff),
        (rb"OggS", _ogg),
        (rb"....ftyp", _mp4),
        (rb"fLaC[\x00\x80]\x00\x00\x22", _flac),
        (rb"\x1aE\xdf\xa3", _matroska),
        (re.escape(_ASF), _stated(_asf_end)),
        (re.escape(_W64), _stated(_w64_end)),
        (rb"caff\x00\x01", _caf),
        (rb"\.snd", _au),
        (rb"wvpk", _wavpack),
        (rb"FLV\x01", _framed(FLV, 13)),
        (rb"#!AMR\n", _framed(AMR, 6)),
        (rb"#!AMR-WB\n", _framed(AMR_WB, 9)),
        (rb"#!AMR", _stated()),
        (rb"\x00\x00\x01\xba", _framed(PS, 0)),
        (rb"\x06\x0e\x2b\x34\x02\x05\x01\x01", _framed(MXF, 0)),
        (rb"\.SoX|XoS\.", _stated(_sox_end)),
        (rb"\.RMF|\.ra\xfd|nut/multimedia container\0|\xb7\xd8\x00\x207I\xda\x11", _stated()),
        (rb"d\xa3[\x01-\x04]\x00|\x00[\x01-\x04]\xa3d|r\xf8\x1fN|\xf8rN\x1f", _stated()),
        (rb"....\xf8\x72\x6f[\xba\xbb]", _stated()),
        (rb"TTA1", _stated(_tta_end)),
        (rb"NIST_1A\n", _stated(_nist_end)),
        (rb"Creative Voice File\x1a", _stated(_voc_end)),
        (rb"ID3[\x02-\x04]\x00|\xff[\xe0-\xff]|\x0b\x77|\x56[\xe0-\xff]", _nameless),
        (TS_HEAD + rb"|\x7f\xfe\x80\x01", _nameless),
    )
)

_OTHER_MAGIC = (*(b"ID3", b"RIFF", b"FORM", b"MAC ", b"DSD ", b"tBaK", b"MPCK", b"MP+", b"#!iLBC"),)
"""Formats that begin with their name, and whose structure is not followed."""
