"""Sound that no microphone gives: samples of another format than they are taken for."""

from __future__ import annotations

import numpy as np

from voiceid.domain import Float32Array
from voiceid.speech.quality import FRAME_S

_STEP_FRAMES = 31
"""1 s."""
_TOO_LOUD_DBFS, _LONG_S = -12.0, 8
"""So loud in each second, for so many: speech in full scale is for 4 s at most (test-other, not
clipped); mu-law, A-law, bytes, floats, doubles and swapped bytes that are read as 16 bits for 9."""


class Loudness:
    """Notices sound that is nearly full scale throughout; for one source."""

    def __init__(self) -> None:
        self._power: list[float] = []
        self._long_s = 0

    def push(self, frame: Float32Array) -> str:
        """Take the next frame; return what is to be said, once while it lasts, else nothing."""
        self._power.append(float(frame.var()))  # an offset of a sound card is no sound
        if len(self._power) < _STEP_FRAMES:
            return ""
        level_dbfs = 10 * np.log10(np.mean(self._power) + 1e-12)
        self._power.clear()
        self._long_s = self._long_s + 1 if level_dbfs > _TOO_LOUD_DBFS else 0
        if self._long_s != _LONG_S:
            return ""
        return (
            f"{_LONG_S * _STEP_FRAMES * FRAME_S:.0f} s of sound are nearly full scale throughout"
            f" ({level_dbfs:.0f} dBFS): they are of another format than they are taken for, or far"
            " too loud"
        )
