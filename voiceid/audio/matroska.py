"""Where a Matroska or WebM file ends: elements of ``id size data`` (RFC 8794)."""

from __future__ import annotations

from typing import NamedTuple

from voiceid.audio.heads import MAX_GAPS, MAX_STEPS, ZEROS, bytes_at, find, is_filling, next_head
from voiceid.audio.media import Media

_EBML = b"\x1aE\xdf\xa3"
_SEGMENT, _CLUSTER = b"\x18S\x80g", b"\x1fC\xb6u"
_VOID = frozenset({b"\xec", b"\xbf"})
_INNER = (
    _VOID
    | {_EBML, _SEGMENT, _CLUSTER, b"\x11M\x9bt", b"\x15I\xa9f", b"\x16T\xaek", b"\x1cS\xbbk"}
    | {b"\x19A\xa4i", b"\x10C\xa7p", b"\x12T\xc3g", b"\xe7", b"XT", b"\xa7", b"\xab"}
    | {b"\xa3", b"\xa0", b"\xaf"}
)
"""The elements of a Segment and of a Cluster (RFC 9559, section 5.1)."""


class _Element(NamedTuple):
    id: bytes
    n_header: int
    size: int | None  # None: open


def _element_at(media: Media, at: int) -> _Element:
    """Return the id, the bytes of the header and the size of the element that begins there."""
    head = bytes_at(media, at, 12).ljust(12, b"\0")
    n_id = 9 - head[0].bit_length()
    if n_id > 4:  # noqa: PLR2004
        return _Element(b"", 0, None)
    n_size = 9 - head[n_id].bit_length()
    if n_size > 8:  # noqa: PLR2004
        return _Element(b"", 0, None)
    size = int.from_bytes(head[n_id : n_id + n_size], "big") & (1 << 7 * n_size) - 1
    is_open = size == (1 << 7 * n_size) - 1
    return _Element(head[:n_id], n_id + n_size, None if is_open else size)


def matroska_end(media: Media, start: int) -> int:
    """Return the byte after a file; it is beyond the source if the file is cut.

    The Segment states its size.  A streamed one does not: then its elements are followed, and after
    damage, from the next Cluster on.  It is cut if zeros in its last element go on behind it.
    """
    at, seen, known, n_gaps = start, set[bytes](), _INNER, 0
    for _ in range(MAX_STEPS):
        if at >= media.size:
            break
        element = _element_at(media, at)
        if element.id in seen:
            break  # another file, or another Segment, which no decoder hears
        if element.id in known:
            at += element.n_header + (element.size or 0)
            if element.id == _SEGMENT and element.size is not None:
                known = _VOID
            seen |= {element.id} & {_EBML, _SEGMENT}
            continue
        n_gaps += 1
        if known is _VOID or n_gaps > MAX_GAPS:
            break
        cluster = find(media, at, _CLUSTER, lambda head: head[4] > 0)
        if cluster == media.size or next_head(media, at, cluster) < cluster:
            break
        at = cluster
    is_filled = known is not _VOID and media.size - at >= ZEROS
    is_cut = is_filled and is_filling(bytes_at(media, at - ZEROS, 2 * ZEROS))
    return media.size + 1 if is_cut else at
