"""Sound that no microphone gives: samples that are read in the wrong format."""

from __future__ import annotations

import numpy as np

from voiceid.domain import Float32Array
from voiceid.speech.quality import FRAME_S

_STEP_FRAMES = 31
"""1 s."""
_TOO_LOUD_DBFS, _LONG_S = -12.0, 8
"""The level in each second, and the seconds: full-scale speech has it for 4 s at most (test-other,
not clipped); mu-law, A-law, bytes, floats, doubles and swapped bytes read as 16 bits for 9."""


class Loudness:
    """Notices sound that is nearly full scale throughout; for one source."""

    def __init__(self) -> None:
        self._power: list[float] = []
        self._long_s = 0

    def push(self, frame: Float32Array) -> str:
        """Take the next frame; return the warning, once while it lasts, else an empty text."""
        self._power.append(float(frame.var()))  # an offset of a sound card is not sound
        if len(self._power) < _STEP_FRAMES:
            return ""
        level_dbfs = 10 * np.log10(np.mean(self._power) + 1e-12)
        self._power.clear()
        self._long_s = self._long_s + 1 if level_dbfs > _TOO_LOUD_DBFS else 0
        if self._long_s != _LONG_S:
            return ""
        return (
            f"{_LONG_S * _STEP_FRAMES * FRAME_S:.0f} s of sound are nearly full scale throughout"
            f" ({level_dbfs:.0f} dBFS): they are read in the wrong format, or are far"
            " too loud"
        )
