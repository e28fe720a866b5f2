"""The door to libsndfile: wav, flac, ogg, opus, aiff, au, caf, w64, rf64, nist, voc."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import soundfile

from voiceid.audio.media import Media
from voiceid.domain import Float32Array

_FORMATS = frozenset(
    {"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "AIFF", "AU", "CAF", "NIST", "VOC"}
)
"""libsndfile also knows formats with almost no magic, which other bytes are taken for."""

_STREAMED = 0x7FFF_F000
"""A data size from here on (or 0) is what programs write that cannot go back to the header."""


_BYTE_ORDER: dict[bytes, Literal["little", "big"]] = {b"RIFF": "little", b"FORM": "big"}


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A sound file that is read from start to end.

    SoundFile.read() seeks to where it is after every read of a seekable file, for nothing.
    """

    def seekable(self) -> bool:
        return False


class SoundFileDecoder:
    """Blocks of a file that libsndfile can read; see :class:`voiceid.audio.decoding.Decoder`."""

    def __init__(self, file: _Sequential, media: Media, block_values: int) -> None:
        self.sample_rate_hz = int(file.samplerate)
        self.channels = int(file.channels)
        self.duration_hint_s: float | None = None
        if 0 < file.frames < 1 << 62:  # unknown lengths are written as the largest integer
            self.duration_hint_s = file.frames / max(1, self.sample_rate_hz)
        self.truncated = False
        self._file = file
        self._media = media
        self._step = max(1, block_values // self.channels)
        self._first = self._read()
        if len(self._first) == 0:
            raise ValueError("no samples")

    @classmethod
    def open(cls, media: Media, block_values: int) -> SoundFileDecoder | None:
        """Return a decoder, or None when libsndfile gets no sample out of the bytes."""
        cut_short = _is_cut_short(media)
        media.seek(0)
        try:
            descriptor = media.descriptor()
            file = _Sequential(media if descriptor is None else descriptor, closefd=False)
        except (soundfile.SoundFileError, RuntimeError, ValueError, OSError):
            return None
        try:
            if file.format in _FORMATS:
                decoder = cls(file, media, block_values)
                decoder.truncated = cut_short
                return decoder
        except (soundfile.SoundFileError, RuntimeError, ValueError, OSError):
            pass
        file.close()
        return None

    def blocks(self) -> Iterator[Float32Array]:
        """Yield blocks of shape (n, channels) float32."""
        n_frames, block = 0, self._first
        while len(block):
            n_frames += len(block)
            yield block
            try:
                block = self._read()
            except (soundfile.SoundFileError, RuntimeError):
                self.truncated = True
                return
        if self.duration_hint_s is not None:
            self.truncated |= n_frames < round(self.duration_hint_s * self.sample_rate_hz)
        self.truncated |= self._media.failure is not None

    def close(self) -> None:
        """Close libsndfile's handle."""
        self._file.close()

    def _read(self) -> Float32Array:
        block = np.empty((self._step, self.channels), dtype=np.float32)
        return np.asarray(self._file.read(out=block))


def _is_cut_short(media: Media) -> bool:
    """Tell whether a wav, aiff or ogg file ends before its own structure does.

    libsndfile mends the length in silence, and then nobody knows that the end is missing.
    """
    head = media.head(12)
    if head.startswith(_PAGE):
        return _last_page_is_cut(media)
    order = _BYTE_ORDER.get(head[:4])
    if order is None or head[8:12] not in {b"WAVE", b"AIFF", b"AIFC"}:
        return False
    position = 12
    while position + 8 <= media.size:
        media.seek(position)
        chunk = media.read(8)
        size = int.from_bytes(chunk[4:8], order)
        if chunk[:4] in {b"data", b"SSND"}:
            return size < _STREAMED and position + 8 + size > media.size
        position += 8 + size + size % 2
    return False


_PAGE = b"OggS"
_PAGE_HEADER, _PAGE_MAX = 27, 65_307
"""RFC 3533, section 6: bytes of a page's header, and of the largest page."""


def _last_page_is_cut(media: Media) -> bool:
    media.seek(max(0, media.size - _PAGE_MAX))
    tail = media.read(_PAGE_MAX)
    page = tail[tail.rfind(_PAGE) :]
    if not page.startswith(_PAGE) or len(page) <= _PAGE_HEADER:
        return True
    sizes = page[_PAGE_HEADER : _PAGE_HEADER + page[_PAGE_HEADER - 1]]
    return len(page) < _PAGE_HEADER + len(sizes) + sum(sizes)
