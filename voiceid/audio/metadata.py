"""How many texts the metadata of a recording holds: FFmpeg compares each with all others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voiceid.audio.flac import frames_start
from voiceid.audio.heads import MAX_GAPS, SCAN_BYTES, bytes_at, find, tags_end
from voiceid.audio.matroska import EBML, TAGS, element_at
from voiceid.audio.media import Media
from voiceid.errors import AudioUnreadable

_MAX_TEXTS = 30_000
"""A gigabyte of any bytes holds some 24,000 comments by chance."""

_TAG_NAME, _COMMENT = re.compile(rb"\x45\xa3"), re.compile(rb"\0\0[^\0=]*=")
"""What begins the name of a tag of Matroska (RFC 9559), and a comment of Ogg and FLAC."""


def require_few_texts(media: Media) -> None:
    """Raise `AudioUnreadable` if FFmpeg would compare texts for long without asking for bytes."""
    start = tags_end(media, 0)
    head = bytes_at(media, start, 4)
    if head == EBML:
        text, places = _TAG_NAME, _tags(media)
    elif head in {b"fLaC", b"OggS"}:
        stop = frames_start(media, start) if head == b"fLaC" else None
        text, places = _COMMENT, iter([(start, stop or media.size)])
    else:
        return
    n_texts = 0
    for first, end in places:
        for at in range(first, end, SCAN_BYTES):
            n_texts += len(text.findall(bytes_at(media, at, min(SCAN_BYTES, end - at))))
            if n_texts > _MAX_TEXTS:
                raise AudioUnreadable(
                    f"{media.where} has more than {_MAX_TEXTS:,} texts in its metadata",
                    hint="Export the recording again, without its tags.",
                )


def _tags(media: Media) -> Iterator[tuple[int, int]]:
    """Yield from where to where there are tags of Matroska: sound may look like their names."""
    at = 0
    for _ in range(MAX_GAPS):
        at = find(media, at, TAGS, lambda _: True)
        element = element_at(media, at)
        size = media.size if element.size is None else element.n_header + element.size
        yield at, min(at + size, media.size)
        at += size
    yield at, media.size
