"""Where a turn begins and ends: frames that are speech or not, one after the other."""

from __future__ import annotations

from collections import deque

CODE_SILENCE_S = 1.5
"""The silence that ends a spoken code: its words may be a second apart."""
_STARTING, OF_LAST = 3, 5
"""Frames of 32 ms: a turn begins when three of the last five are speech; a click is one or two."""


class Endpointer:
    """Detects the turns of a source; for one source and one thread.

    - `silence_frames`: frames without speech that end a turn.
    """

    def __init__(self, silence_frames: int) -> None:
        self._silence_frames = silence_frames
        self._last: deque[bool] = deque(maxlen=OF_LAST)
        self._silent = 0
        self.is_speaking = False

    def push(self, is_speech: bool) -> None:
        """Take the next frame; `is_speaking` is then whether a turn goes on."""
        if self.is_speaking:
            self._silent = 0 if is_speech else self._silent + 1
            self.is_speaking = self._silent < self._silence_frames
            return
        self._last.append(is_speech)
        if sum(self._last) >= _STARTING:
            self.reset()
            self.is_speaking = True

    def reset(self) -> None:
        """Forget the frames so far: for silence, or the start of a turn."""
        self._last.clear()
        self._silent = 0
        self.is_speaking = False
