"""Where another voice begins in a turn: windows of the speech, compared as they come."""

from __future__ import annotations

import numpy as np

from voiceid.domain import Embedding, Float32Array
from voiceid.speech.encoder import Encoder
from voiceid.speech.turns import alternating, clearest_change

_WINDOW = 32_000
"""Samples at 16 kHz: windows of 2 s of speech, one after the other."""
_FMR = 0.01
"""False match rate at which a window must agree with the voice before it."""
_MOST = 6
"""Windows that represent the voice before."""
_BORDER = 28_000
"""If the encoder makes no frames, the change is assumed this long before the end of the first
window that does not agree."""


class VoiceChange:
    """Compares the newest speech of one turn with the speech before; for one thread."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._voice: list[Embedding] = []
        self._encoded: list[Float32Array] = []
        self._end = 0

    def is_due(self, n_samples: int) -> bool:
        """Whether this much speech has another window."""
        return n_samples >= self._end + _WINDOW

    def at(self, samples: Float32Array) -> int | None:
        """Return the sample where another voice begins, or None.

        - `samples` (n,): the speech of the turn so far.
        """
        while self.is_due(len(samples)):
            window = samples[self._end : self._end + _WINDOW]
            self._end += _WINDOW
            newest, encoded = self._encoder.encode(window)
            if not self._encoder.parts_agree(self._voice, [newest], _WINDOW / 16_000, _FMR):
                return self._border(samples)
            self._voice = [*self._voice, newest][-_MOST:]
            if encoded is not None:
                self._encoded.append(encoded)
        return None

    def _border(self, samples: Float32Array) -> int:
        """Return the clearest change in the newest window, or the one before it."""
        start = self._end - 2 * _WINDOW
        encoded = self._encoder.encode(samples[start : self._end])[1]
        if (
            encoded is None
            or (change := clearest_change(self._encoder, encoded, 2 * _WINDOW)) is None
        ):
            return self._end - _BORDER
        return start + change[0]

    @property
    def may_alternate(self) -> bool:
        """Whether two people may alternate quickly in the windows so far, none of which differs.

        With less than two windows this is not known: the turn is checked as a clip is.
        """
        if len(self._encoded) < 2:  # noqa: PLR2004 - nothing was compared
            return self._encoder.makes_frames
        encoded = np.concatenate(self._encoded, axis=1)
        n_samples = len(self._encoded) * _WINDOW
        return alternating(self._encoder, encoded, n_samples) is not None
