"""What frames of MPEG audio say: what they are, where they end, how long a header claims it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from voiceid.audio.heads import MAX_GAPS, MAX_STEPS, SCAN_BYTES, bytes_at, next_head, tags_end
from voiceid.audio.media import Media

_FRAMES = 3
"""So many frames in a row, each where the one before it ends, are no chance."""

_BLOCK_BYTES = 1 << 18
_MAX_FRAME_BYTES = 1441  # 320 kbit/s at 32 kHz
MP3_HEAD_BYTES = _FRAMES * _MAX_FRAME_BYTES
"""What is enough to tell an MP3 by."""

_MAX_TRIED = 1_000_000
"""Bytes like those that begin a frame, behind one place that is damaged."""

_SYNC = re.compile(rb"\xff[\xe2\xe3\xf0-\xfb]")
_TAG = re.compile(rb"TAG|APETAGEX|LYRICSBEGIN|ID3[\x02-\x04]\x00")
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8000)}
"""ISO/IEC 11172-3, section 2.4.2.3, and 13818-3: of layer III, by the version bits."""


class _Frame(NamedTuple):
    n_bytes: int
    duration_s: float


def is_mp3(data: bytes) -> bool:
    """Return whether frames of layer III follow each other from the start.

    The bits that begin a frame are common in mu-law, so one is not enough.
    """
    at = 0
    for _ in range(_FRAMES):
        frame = _frame(data[at : at + 4])
        if frame is None:
            return False
        at += frame.n_bytes
    return True


def claimed_duration_s(media: Media) -> float | None:
    """Return the length that the header frame of an MP3 counts, None where nothing is counted.

    FFmpeg does not say whether its duration was counted or guessed from a bit rate.  The count is
    that of Xing and LAME (``Xing``, ``Info``) or Fraunhofer (``VBRI``); `lame` leaves it out when
    it writes into a pipe.
    """
    start = tags_end(media, 0)
    media.seek(start)
    data = media.read(_MAX_FRAME_BYTES)
    frame = _frame(data[:4])
    if frame is None:
        return None
    data = data[: frame.n_bytes].ljust(frame.n_bytes, b"\0")
    if (at := data.find(b"VBRI")) >= 0:
        at += 14
    elif (at := max(data.find(b"Xing"), data.find(b"Info"))) >= 0 and data[at + 7] & 1:
        at += 8
    else:
        return None
    return int.from_bytes(data[at : at + 4], "big") * frame.duration_s or None


def ends_within_frame(media: Media) -> bool:
    """Return whether the last frame of an MP3 is cut; False where its frames cannot be followed."""
    return _followed(media, tags_end(media, 0), _mp3_bytes)[1] > media.size


def frames_end(media: Media, start: int) -> int | None:
    """Return where the frames of MP3 or AAC (ADTS) end that begin at ``start``; None: none do.

    Damaged bytes between them are skipped, as decoders do.
    """
    length = next(
        (each for each in (_mp3_bytes, _adts_bytes) if each(bytes_at(media, start, 7))), None
    )
    if length is None:
        return None
    at = start
    for _ in range(MAX_GAPS):
        last, end = _followed(media, at, length)
        if end >= media.size or length(bytes_at(media, end, 7)):  # more than `MAX_STEPS`
            break
        # Also a last frame that its encoder did not write to its end may have tags behind it.
        tag = _TAG.search(bytes_at(media, last, end - last + 16))
        if tag is not None:
            return last + tag.start()
        at = _next_frame(media, end, length)
        if next_head(media, end, at) < at:
            return end
        if at == media.size:
            return at if at - end < _MAX_FRAME_BYTES else end
    return min(end, media.size)


def _followed(media: Media, start: int, length: Callable[[bytes], int]) -> tuple[int, int]:
    """Return where the last of the frames that follow each other begins, and where it ends."""
    last = at = block_at = start
    block = b""
    for _ in range(MAX_STEPS):
        if at >= media.size:
            break
        if at + 7 > block_at + len(block):
            block_at, block = at, bytes_at(media, at, _BLOCK_BYTES)
        n_bytes = length(block[at - block_at : at - block_at + 7])
        if not n_bytes:
            break
        last, at = at, at + n_bytes
    return last, at


def _next_frame(media: Media, start: int, length: Callable[[bytes], int]) -> int:
    """Return where some frames in a row begin; or the end."""
    n_tried = 0
    for at in range(start, media.size, SCAN_BYTES):
        for match in _SYNC.finditer(bytes_at(media, at, SCAN_BYTES + 1)):
            place = at + match.start()
            n_tried += 1
            if n_tried > _MAX_TRIED:
                return media.size
            for _ in range(_FRAMES):
                n_bytes = length(bytes_at(media, place, 7))
                place += n_bytes
                if not n_bytes:
                    break
            else:
                return at + match.start()
    return media.size


def _mp3_bytes(head: bytes) -> int:
    frame = _frame(head[:4])
    return 0 if frame is None else frame.n_bytes


def _adts_bytes(head: bytes) -> int:
    """Return the length of a frame of AAC (ISO/IEC 13818-7, section 6.2), 0 where none begins."""
    bits = int.from_bytes(head.ljust(7, b"\0"), "big")
    size = bits >> 13 & 0x1FFF
    is_frame = bits >> 40 & 0xFFF6 == 0xFFF0 and bits >> 34 & 15 < 13  # noqa: PLR2004
    return size if is_frame and size >= 7 else 0  # noqa: PLR2004


def _frame(head: bytes) -> _Frame | None:
    """Return the frame of layer III that begins with 4 bytes, None when they begin none."""
    bits = int.from_bytes(head, "big")
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    rate_index, rate = bits >> 12 & 15, bits >> 10 & 3
    is_frame = len(head) == 4 and bits >> 21 == 0x7FF and version != 1 and layer == 1  # noqa: PLR2004
    if not is_frame or not 0 < rate_index < 15 or rate == 3:  # noqa: PLR2004
        return None
    n_samples, kbps = (1152, _KBPS_1) if version == 3 else (576, _KBPS_2)  # noqa: PLR2004
    rate_hz = _RATES_HZ[version][rate]
    n_bytes = n_samples * 125 * kbps[rate_index] // rate_hz + (bits >> 9 & 1)
    return _Frame(n_bytes, n_samples / rate_hz)
