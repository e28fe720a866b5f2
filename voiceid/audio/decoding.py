"""What a decoder is, and which one a file gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from voiceid.audio.media import Media
from voiceid.domain import Float32Array
from voiceid.errors import AudioUnreadable

BLOCK_VALUES = 1 << 18
"""Values (frames x channels) of one block: 16 s of 16 kHz mono, 1 MiB of float32."""


class Decoder(Protocol):
    """Decoded audio, block by block.

    ``duration_hint_s`` is what the header claims, None when it does not or cannot be
    trusted; ``truncated`` is settled once the blocks are exhausted.
    """

    sample_rate_hz: int
    channels: int
    duration_hint_s: float | None
    truncated: bool

    def blocks(self) -> Iterator[Float32Array]:
        """Yield blocks of shape (n, channels) float32, full scale being -1 to 1."""

    def close(self) -> None:
        """Release the decoder, not the media."""


def open_decoder(media: Media, block_values: int = BLOCK_VALUES) -> Decoder:
    """Return a decoder chosen by content: libsndfile where it can, else FFmpeg.

    MPEG audio goes to FFmpeg at once: libsndfile drops half of a file of variable bit rate
    without a header, and libmpg123 in it writes to standard error.

    Raises
    ------
    AudioUnreadable
        Neither can make sense of the bytes.
    """
    decoder: Decoder | None = None
    # Loaded when needed: 50 ms for libsndfile, 110 ms for FFmpeg.
    if not _is_mpeg(media.head(3)):
        from voiceid.audio.libsndfile import SoundFileDecoder  # noqa: PLC0415

        decoder = SoundFileDecoder.open(media, block_values)
    if decoder is None:
        from voiceid.audio.ffmpeg import FFmpegDecoder  # noqa: PLC0415

        decoder = FFmpegDecoder.open(media, block_values)
    if decoder is None:
        raise unreadable(media)
    return decoder


def _is_mpeg(head: bytes) -> bool:
    """Return whether a file starts with an ID3 tag or the 11 bits that start an MPEG frame."""
    return head == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")


def unreadable(media: Media) -> AudioUnreadable:
    """Return the error for bytes that no decoder takes, saying what they look like."""
    if media.failure is not None:
        return AudioUnreadable(
            f"{media.where} could not be read: {media.failure}",
            hint="Check where the audio comes from.",
        )
    head = media.head(512)
    kind = next((what for magic, what in _MAGIC if head.startswith(magic)), None)
    if kind is None and _is_text(head):
        kind = "text"
    if kind is not None:
        return AudioUnreadable(
            f"{media.where} is not audio: it looks like {kind}",
            hint="Pass a recording (wav, flac, mp3, ogg, opus, m4a, webm, ...).",
        )
    return AudioUnreadable(
        f"{media.where} cannot be decoded: not audio, corrupt, or cut short before any sound",
        hint="Play it to check; copy or export it again, for example as wav.",
    )


_MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "a database"),
    (b"#EXTM3U", "a playlist; playlists are not followed"),
    (b"ffconcat", "a playlist; playlists are not followed"),
    (b"v=0", "a session description; network streams are not followed"),
    (b"<?xml", "an XML document"),
)


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(ch.isprintable() or ch in "\r\n\t" for ch in text)
