"""The choice of a decoder for a source, and the libraries behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from voiceid.audio.chain import Chain
from voiceid.audio.decoder import Decoder, require_track
from voiceid.audio.headerless import Headerless, headerless
from voiceid.audio.heads import find
from voiceid.audio.media import AudioOptions, Media
from voiceid.audio.parts import Part, layout_of
from voiceid.errors import AudioError, AudioUnreadable

BLOCK_VALUES = 1 << 18
"""Values (frames x channels) of one block: 16 s of 16 kHz mono, 1 MiB of float32."""


def open_decoder(media: Media, options: AudioOptions, block_values: int = BLOCK_VALUES) -> Decoder:
    """Return a decoder, chosen by content, of all the recordings that a source holds.

    The options or the file's name give the format of a recording without a header.
    """
    raw = headerless(media, options)
    if raw is not None:
        return _required(_open_headerless(media, raw, options, block_values), media)
    layout = layout_of(media)
    if layout.parts != (Part(0, media.size),):
        parts = [media.part(*part) for part in layout.parts]
        first = _open_part(parts[0], options, block_values)
        if first is not None:
            later = [partial(_open_part, part, options, block_values) for part in parts[1:]]
            return Chain(first, later, layout)
    decoder = _required(_open_part(media, options, block_values), media)
    decoder.truncated |= layout.is_cut
    if layout.has_placeholder:
        decoder.duration_hint_s = None
    return decoder


def codec_versions() -> str:
    """Return names and versions of the libraries that decode and resample."""
    with _loading():
        import av  # noqa: PLC0415 - as in the modules that use them
        import soundfile  # noqa: PLC0415
        import soxr  # noqa: PLC0415
    ffmpeg = ".".join(map(str, av.library_versions["libavcodec"]))
    return (
        f"libsndfile {soundfile.__libsndfile_version__}, FFmpeg's libavcodec {ffmpeg}"
        f" (PyAV {av.__version__}), soxr {soxr.__version__}"
    )


@contextmanager
def _loading() -> Iterator[None]:
    """Raise the error of a library that cannot be loaded: damaged, or too little memory."""
    try:
        yield
    except (ImportError, OSError) as error:
        raise AudioError(
            f"a codec library cannot be loaded: {error}",
            hint="Give the process more memory, or install voiceid again.",
        ) from error


def _open_part(media: Media, options: AudioOptions, block_values: int) -> Decoder | None:
    """Return a decoder of one recording: libsndfile where it can, else FFmpeg.

    MPEG audio goes to FFmpeg at once: libsndfile drops half of a file of variable bit rate
    without a header, and libmpg123 in it writes to standard error.
    """
    # Loaded when needed: 50 ms for libsndfile, 110 ms for FFmpeg.
    if not _is_mpeg(media.head(3)):
        with _loading():
            from voiceid.audio.libsndfile import SoundFileDecoder  # noqa: PLC0415

        decoder = SoundFileDecoder.open(media, block_values)
        if decoder is not None:
            require_track(options.track, 1, media.where)
            return decoder
    with _loading():
        from voiceid.audio.ffmpeg import FFmpegDecoder  # noqa: PLC0415

    return FFmpegDecoder.open(media, options, block_values)


def _open_headerless(
    media: Media, raw: Headerless, options: AudioOptions, block_values: int
) -> Decoder | None:
    require_track(options.track, 1, media.where)
    if raw.demuxer:
        with _loading():
            from voiceid.audio.ffmpeg import FFmpegDecoder  # noqa: PLC0415
        return FFmpegDecoder.open(media, options, block_values, raw)
    with _loading():
        from voiceid.audio.libsndfile import SoundFileDecoder  # noqa: PLC0415
    return SoundFileDecoder.open(media, block_values, raw)


def _required(decoder: Decoder | None, media: Media) -> Decoder:
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
    kind = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if kind is None and _is_text(head):
        kind = "text"
    if kind is not None:
        return AudioUnreadable(
            f"{media.where} is not audio: it looks like {kind}",
            hint="Pass a recording (wav, flac, mp3, ogg, opus, m4a, webm, ...).",
        )
    if head[4:8] == b"ftyp" and find(media, 0, b"moov", lambda _: True) == media.size:
        return AudioUnreadable(
            f"{media.where} is cut short: the index at the end of the MP4 is missing",
            hint="Copy it again; if the recorder stopped too early, repair it with a tool for MP4.",
        )
    return AudioUnreadable(
        f"{media.where} cannot be decoded: it is not audio, in an unsupported format,"
        " corrupt, or cut short before any sound",
        hint="Play it to check; copy it again, or export it as wav or flac. For a telephone"
        " recording without a header, give its format with --format.",
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
