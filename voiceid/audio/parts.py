"""Where the recordings in one file begin and end, and whether their sizes can be believed.

Recorders, radio streams and `cat` put several files into one, and decoders silently stop after the
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from voiceid.audio.containers import Walk, is_container, to_the_end, walk_of
from voiceid.audio.heads import HEAD_BYTES, SCAN_BYTES, bytes_at, is_filling, next_head, tags_end
from voiceid.audio.media import Media

_MAX_PARTS = 1000
"""A file with more is made to keep readers busy; the report says that the rest is unheard."""


class Part(NamedTuple):
    """The bytes of one recording, and the bytes to read in place of its first ones."""

    start: int
    end: int
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Layout:
    """The recordings in a file, one after the other; `parts` has at least one.

    - `is_cut`: whether one ends before its own structure does.
    - `has_placeholder`: whether a stated size in the file only means "not known".
    - `n_unheard`: bytes between and after them that are neither metadata nor a recording.
    """

    parts: tuple[Part, ...]
    is_cut: bool
    has_placeholder: bool
    n_unheard: int


def layout_of(media: Media) -> Layout:
    """Return where the recordings in a file are."""
    start = tags_end(media, 0)  # some programs write one before a file that has none
    if not is_container(bytes_at(media, start, HEAD_BYTES)):
        start = 0
    walk = walk_of(bytes_at(media, start, HEAD_BYTES))
    parts: list[Part] = []
    n_unheard = 0
    is_cut = has_placeholder = False
    while walk is not None and len(parts) < _MAX_PARTS:
        end = walk(media, start)
        stop = min(max(end.at, start + 1), media.size)
        parts.append(Part(start, stop, end.head))
        is_cut |= end.is_cut
        has_placeholder |= end.has_placeholder
        behind = min(tags_end(media, stop), media.size)
        start, walk = _next_file(media, behind)
        if _padding_end(media, behind) < start:
            n_unheard += start - behind
        if start == media.size:
            break
    else:
        n_unheard += media.size - start if parts else 0
    return Layout(tuple(parts) or (Part(0, media.size),), is_cut, has_placeholder, n_unheard)


def _next_file(media: Media, start: int) -> tuple[int, Walk]:
    """Return where the next file begins, or the end, and the function that finds its end."""
    filled = _padding_end(media, start)
    # Sizes begin with zeros as well.
    for at in (start, *range(max(start, filled - 3), filled + 1)):
        walk = walk_of(bytes_at(media, at, HEAD_BYTES))
        if walk is not None:
            return at, walk
    at = next_head(media, filled)
    return at, walk_of(bytes_at(media, at, HEAD_BYTES)) or to_the_end


def _padding_end(media: Media, start: int) -> int:
    """Return the place of the first byte that is not zero: zeros fill up a file."""
    for at in range(start, media.size, SCAN_BYTES):
        block = bytes_at(media, at, SCAN_BYTES)
        if not is_filling(block):
            return at + len(block) - len(block.lstrip(b"\0"))
    return media.size
