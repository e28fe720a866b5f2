"""The door to libsndfile: wav, flac, ogg, opus, aiff, au, caf, w64, rf64, nist, voc."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soundfile

from voiceid.audio.headerless import Headerless
from voiceid.audio.media import Media
from voiceid.domain import Float32Array

_FORMATS = frozenset(
    {"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "AIFF", "AU", "CAF", "NIST", "VOC"}
)
"""libsndfile also takes other bytes for formats that have almost no magic number."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A sound file that is read from start to end.

    SoundFile.read() seeks to its own position after every read of a seekable file, needlessly.
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
        self.unheard: dict[str, str] = {}
        self._file = file
        self._media = media
        self._n_frames = file.frames
        self._step = max(1, block_values // self.channels)
        self._first = file.read(out=self._buffer(0))
        if len(self._first) == 0:
            raise ValueError("no samples")

    @classmethod
    def open(
        cls, media: Media, block_values: int, raw: Headerless | None = None
    ) -> SoundFileDecoder | None:
        """Return a decoder, or None when libsndfile gets no sample out of the bytes."""
        media.seek(0)
        try:
            descriptor = media.descriptor()
            source = media if descriptor is None else descriptor
            if raw is None:
                file = _Sequential(source, closefd=False)
            else:
                file = _Sequential(
                    source,
                    samplerate=raw.rate_hz,
                    channels=1,
                    format="RAW",
                    subtype="VOX_ADPCM",
                    closefd=False,
                )
        except (soundfile.SoundFileError, RuntimeError, ValueError, OSError):
            return None
        try:
            # The length that it gives for MPEG audio within a WAV is a guess.
            is_known = file.format in _FORMATS and not file.subtype.startswith("MPEG")
            if raw is not None or is_known:
                return cls(file, media, block_values)
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
            buffer = self._buffer(n_frames)
            try:
                block = self._file.read(out=buffer)
            except (soundfile.SoundFileError, RuntimeError):
                self.truncated = True
                yield buffer[np.logical_and.accumulate(~np.isnan(buffer[:, 0]))]
                return
        if self.duration_hint_s is not None:
            self.truncated |= n_frames < round(self.duration_hint_s * self.sample_rate_hz)
        self.truncated |= self._media.failure is not None

    def close(self) -> None:
        """Close libsndfile's handle."""
        self._file.close()

    def _buffer(self, n_read: int) -> Float32Array:
        """Return an array for the next block, of NaN: where one stays, nothing was decoded.

        To ask for more frames than there are would be an error where zeros follow a FLAC.
        """
        n = min(self._step, max(0, self._n_frames - n_read))
        return np.full((n, self.channels), np.nan, dtype=np.float32)
