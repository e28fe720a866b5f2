"""Where in a turn another voice goes on: windows of the speech, compared as they come."""

from __future__ import annotations

from voiceid.domain import Embedding, Float32Array
from voiceid.speech.encoder import Encoder

_WINDOW, _STEP = 32_000, 16_000
"""Samples at 16 kHz: a window of 2 s every second of speech."""
_FMR = 0.001
"""False match rate at which a window must agree with the voice before it."""
_MOST = 6
"""Windows that the voice before is known by."""
_BORDER = 24_000
"""The change is taken to be so long before the end of the first window that does not agree."""


class VoiceChange:
    """Compares the newest speech of one turn with what was before; for one thread."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._voice: list[Embedding] = []
        self._doubted: Embedding | None = None
        self._end = _WINDOW - _STEP

    def is_due(self, n_samples: int) -> bool:
        """Whether so much speech has another window."""
        return n_samples >= self._end + _STEP

    def at(self, samples: Float32Array) -> int | None:
        """Return the sample at which another voice goes on, or None.

        - `samples` (n,): the speech of the turn so far.

        Two windows, one after the other, must differ from the voice before them.
        """
        while self.is_due(len(samples)):
            self._end += _STEP
            newest = self._encoder.embed(samples[self._end - _WINDOW : self._end])
            before = self._voice[:-1]  # the last one has half of its speech in common
            if self._doubted is not None:
                before = self._voice[:-2]
            net_speech_s = _WINDOW / 16_000
            agrees = self._encoder.parts_agree(before, [newest], net_speech_s, _FMR)
            if not agrees and self._doubted is not None:
                return self._end - _STEP - _BORDER
            self._doubted = None if agrees else newest
            self._voice = [*self._voice, newest][-_MOST:]
        return None
