"""Frames of MP3 and MP2: their headers, their lengths, and the total that a first frame counts."""

from __future__ import annotations

from typing import NamedTuple

from voiceid.audio.heads import tags_end
from voiceid.audio.media import Media

_FRAMES = 3
"""This many frames in a row, each where the one before it ends, cannot be chance."""

MAX_FRAME_BYTES = 1729  # layer II: 384 kbit/s at 32 kHz
MP3_HEAD_BYTES = _FRAMES * MAX_FRAME_BYTES
"""Enough bytes to recognise an MP3."""

_KBPS_LAYER_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8000)}
"""ISO/IEC 11172-3, section 2.4.2.3, and 13818-3, by the version bits."""


class _Frame(NamedTuple):
    n_bytes: int
    duration_s: float


def is_mp3(data: bytes) -> bool:
    """Return whether frames of MP3 or MP2 follow each other from the start.

    The bits that begin a frame are common in mu-law, so one is not enough.
    """
    at = 0
    for _ in range(_FRAMES):
        frame = _frame(data[at : at + 4])
        if frame is None:
            return False
        at += frame.n_bytes
    return True


def claimed_duration_s(media: Media, start: int = 0) -> float | None:
    """Return the length that the first frame of an MP3 counts; None if it counts nothing.

    FFmpeg does not say whether its duration was counted or guessed from a bit rate.  The count is
    that of Xing and LAME (``Xing``, ``Info``) or Fraunhofer (``VBRI``); `lame` leaves it out when
    it writes into a pipe.
    """
    media.seek(tags_end(media, start))
    data = media.read(MAX_FRAME_BYTES)
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


def frame_bytes(head: bytes) -> int:
    """Return the length of the frame of layer II or III with this head; 0: it is not a frame."""
    frame = _frame(head[:4])
    return 0 if frame is None else frame.n_bytes


def _frame(head: bytes) -> _Frame | None:
    """Return the frame of layer II or III that begins with 4 bytes; None: it is not a frame."""
    bits = int.from_bytes(head, "big")
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    rate_index, rate = bits >> 12 & 15, bits >> 10 & 3
    is_frame = len(head) == 4 and bits >> 21 == 0x7FF and version != 1 and layer in {1, 2}  # noqa: PLR2004
    if not is_frame or not 0 < rate_index < 15 or rate == 3:  # noqa: PLR2004
        return None
    if version == 3:  # noqa: PLR2004
        n_samples, kbps = 1152, _KBPS_1 if layer == 1 else _KBPS_LAYER_2
    else:
        n_samples, kbps = 576 * layer, _KBPS_2
    rate_hz = _RATES_HZ[version][rate]
    n_bytes = n_samples * 125 * kbps[rate_index] // rate_hz + (bits >> 9 & 1)
    return _Frame(n_bytes, n_samples / rate_hz)
