"""Walks the frames of an MP3 to tell whether libmpg123 will decode it without a word.

Header layout: ISO/IEC 11172-3 section 2.4.1.3 (MPEG-1) and ISO/IEC 13818-3 (MPEG-2);
ID3v2 tag: id3.org, "ID3 tag version 2.4.0", section 3.1; the Xing and Info header of
encoders is a convention without a standard.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from voiceid.audio.sources import Media


class Mpeg(enum.Enum):
    """What the bytes are, as far as MPEG audio goes."""

    NOT = "not MPEG audio"
    INTACT = "an unbroken chain of Layer III frames from start to end"
    DAMAGED = "Layer III frames, cut short"
    UNSURE = "starts like MPEG audio, but is tagged, broken, or of another layer"


_BITRATES_KBPS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Layer III bit rates by index, for MPEG-1 and for MPEG-2 (and 2.5)."""

_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Sample rates by version bits (3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5) and index."""

_MONO = 3
_TAG_V1_BYTES = 128
_SIZE_TOLERANCE = 0.01
"""Beyond this mismatch of the Xing size libmpg123 warns."""


class _Frame(NamedTuple):
    """One header: the frame's length, what may not change, and where a Xing header sits."""

    n_bytes: int
    kind: tuple[int, int, bool]
    xing_offset: int


def scan(media: Media) -> tuple[Mpeg, int]:
    """Classify the bytes; return the verdict and the byte behind an ID3v2 tag.

    libmpg123 comments on tags that it dislikes, so it is not shown any.
    """
    head = media.head(10)
    start = _tag_bytes(head)
    if start:
        media.seek(start)
        head = media.read(4)
    try:
        if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:  # noqa: PLR2004
            return (Mpeg.UNSURE if start else Mpeg.NOT), start
        return _walk(media, start), start
    finally:
        media.seek(0)


def _tag_bytes(head: bytes) -> int:
    if not head.startswith(b"ID3") or len(head) < 10:  # noqa: PLR2004
        return 0
    size = 0
    for byte in head[6:10]:  # seven bits each
        size = size << 7 | byte & 0x7F
    footer = 10 if head[5] & 0x10 else 0
    return 10 + size + footer


def _walk(media: Media, start: int) -> Mpeg:
    first = _frame(_at(media, start, 4))
    if first is None:
        return Mpeg.UNSURE
    promised = _promised(_at(media, start + first.xing_offset, 16))
    position, n_frames = start, 0
    while (frame := _frame(_at(media, position, 4))) is not None and frame.kind == first.kind:
        position += frame.n_bytes
        n_frames += 1
    if position > media.size or n_frames < promised.n_frames:
        return Mpeg.DAMAGED if position >= media.size else Mpeg.UNSURE
    size = position - start
    tail = media.size - position
    tagged = tail == _TAG_V1_BYTES and _at(media, position, 3) == b"TAG"
    size_fits = promised.n_bytes == 0 or (abs(promised.n_bytes - size) <= _SIZE_TOLERANCE * size)
    whole = (tail == 0 or tagged) and n_frames > 1
    return Mpeg.INTACT if whole and size_fits else Mpeg.UNSURE


class _Promise(NamedTuple):
    """Frames and bytes that a Xing or Info header announces; 0 when it does not."""

    n_frames: int
    n_bytes: int


def _promised(xing: bytes) -> _Promise:
    if xing[:4] not in {b"Xing", b"Info"} or len(xing) < 16:  # noqa: PLR2004
        return _Promise(0, 0)
    flags = int.from_bytes(xing[4:8], "big")
    values = [int.from_bytes(xing[i : i + 4], "big") for i in (8, 12)]
    n_frames = values.pop(0) if flags & 1 else 0
    n_bytes = values.pop(0) if flags & 2 else 0
    return _Promise(n_frames, n_bytes)


def _at(media: Media, position: int, n: int) -> bytes:
    media.seek(position)
    return media.read(n)


def _frame(header: bytes) -> _Frame | None:
    """Parse a Layer III header; None for anything else."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # noqa: PLR2004
        return None
    version = header[1] >> 3 & 3
    bitrate_index, rate_index = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate_index in (0, 15) or rate_index == 3:  # noqa: PLR2004
        return None
    mpeg1 = version == 3  # noqa: PLR2004
    mono = header[3] >> 6 == _MONO
    rate_hz = _RATES_HZ[version][rate_index]
    bits = _BITRATES_KBPS[mpeg1][bitrate_index] * 1000 * (1152 if mpeg1 else 576)
    side_info = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    return _Frame(
        n_bytes=bits // 8 // rate_hz + (header[2] >> 1 & 1),
        kind=(version, rate_hz, mono),
        xing_offset=4 + side_info[mpeg1, mono],
    )
