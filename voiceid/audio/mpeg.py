"""What the frames of an MP3 say: that it is one, and how long its header claims it to be."""

from __future__ import annotations

from typing import NamedTuple

from voiceid.audio.media import Media

_FRAMES = 3
"""So many frames in a row, each where the one before it ends, are no chance."""

_BLOCK_BYTES = 1 << 18
_MAX_FRAME_BYTES = 1441  # 320 kbit/s at 32 kHz
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8000)}
"""ISO/IEC 11172-3, section 2.4.2.3, and 13818-3: of layer III, by the version bits."""


class _Frame(NamedTuple):
    n_bytes: int
    duration_s: float


def is_mp3(media: Media) -> bool:
    """Return whether frames of layer III follow each other from the start.

    The bits that begin a frame are common in mu-law, so one is not enough.
    """
    data, at = media.head(_FRAMES * _MAX_FRAME_BYTES), 0
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
    start = _behind_id3(media)
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
    at = block_at = _behind_id3(media)
    block = b""
    while at < media.size:
        if at + 4 > block_at + len(block):
            media.seek(at)
            block_at, block = at, media.read(_BLOCK_BYTES)
        frame = _frame(block[at - block_at : at - block_at + 4])
        if frame is None:
            return False
        at += frame.n_bytes
    return at > media.size


def _behind_id3(media: Media) -> int:
    """Return where the sound begins (id3.org, "ID3v2 header")."""
    head = media.head(10)
    if not head.startswith(b"ID3") or len(head) < 10:  # noqa: PLR2004
        return 0
    return 10 + id3_bytes(head)


def id3_bytes(head: bytes) -> int:
    """Return the length of an ID3v2 tag behind its header of 10 bytes."""
    size = 0
    for byte in head[6:10]:  # seven bits each
        size = size << 7 | byte & 0x7F
    return size


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
