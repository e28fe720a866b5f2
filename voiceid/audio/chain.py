"""Several recordings, one after the other in one file, decoded as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from voiceid.audio.decoder import Decoder
from voiceid.audio.parts import Layout
from voiceid.domain import Float32Array
from voiceid.errors import AudioUnreadable


class Chain:
    """Blocks of all parts of a file, at the rate and with the channels of the first.

    - `first`: the decoder of the first part.
    - `later`: open a decoder of each other part, or return None where that cannot be decoded.
    """

    def __init__(
        self, first: Decoder, later: Sequence[Callable[[], Decoder | None]], layout: Layout
    ) -> None:
        self.sample_rate_hz, self.channels = first.sample_rate_hz, first.channels
        self.duration_hint_s: float | None = None
        self.truncated = False
        self.unheard: dict[str, str] = {}
        self._current = first
        self._later = later
        self._layout = layout

    def blocks(self) -> Iterator[Float32Array]:
        """Yield blocks of shape (n, channels) float32."""
        yield from self._current.blocks()
        self._settle()
        n_unheard = self._layout.n_unheard
        for opened, part in zip(self._later, self._layout.parts[1:], strict=True):
            try:
                decoder = opened()
            except AudioUnreadable:
                decoder = None
            if decoder is None:
                n_unheard += part.end - part.start
                continue
            self._current.close()
            self._current = decoder
            yield from self._converted(decoder)
            self._settle()
        self.truncated |= self._layout.is_cut
        if n_unheard:
            self.unheard["unheard_data"] = f"{n_unheard} bytes behind the sound"

    def close(self) -> None:
        """Close the decoder in use."""
        self._current.close()

    def _settle(self) -> None:
        self.truncated |= self._current.truncated
        self.unheard |= self._current.unheard

    def _converted(self, decoder: Decoder) -> Iterator[Float32Array]:
        """Yield the blocks of a later part at the rate and with the channels of the first."""
        if decoder.sample_rate_hz == self.sample_rate_hz:
            for block in decoder.blocks():
                yield self._widened(block)
            return
        import soxr  # noqa: PLC0415 - 40 ms

        resampler = soxr.ResampleStream(
            decoder.sample_rate_hz, self.sample_rate_hz, self.channels, dtype="float32"
        )
        for block in decoder.blocks():
            yield resampler.resample_chunk(self._widened(block))
        nothing = np.empty((0, self.channels), np.float32)
        yield resampler.resample_chunk(nothing, last=True)

    def _widened(self, block: Float32Array) -> Float32Array:
        """Return (n, any) as (n, channels): as it is, or the mean of all in every channel."""
        if block.shape[1] == self.channels:
            return block
        mean = block.mean(axis=1, keepdims=True, dtype=np.float32)
        return np.ascontiguousarray(np.broadcast_to(mean, (len(block), self.channels)))
