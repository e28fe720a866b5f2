"""One answer that is spoken into a live source, until the speaker is silent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid.audio import Arrivals, LiveSource
from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid
from voiceid.listening.endpointing import CODE_SILENCE_S, Endpointer
from voiceid.speech.quality import FRAME_S, FRAME_SAMPLES
from voiceid.speech.vad import SpeechDetector

_LEAST_FRAMES = 5


class SpokenAnswer:
    """The sound of a source until a person has spoken and is silent, or for a limited time.

    ``opened`` is called once there is sound, so that a person is asked to speak only then.

    - `samples`, `rate_hz`: as they came.
    - `heard`: (n,) float32 at 16 kHz.

    Raises `AudioError`: the source cannot be opened, breaks off, or gives nothing; `ModelError`.
    """

    def __init__(
        self,
        source: LiveSource,
        detector: SpeechDetector,
        channel: str | int,
        longest_s: float,
        opened: Callable[[], None] | None,
    ) -> None:
        self._opened = opened
        self._kept: list[npt.NDArray[Any]] = []
        self._arrivals, self._blocks = Arrivals(channel, source.where), list[Float32Array]()
        endpoints, n_frames = Endpointer(round(CODE_SILENCE_S / FRAME_S)), 0
        with contextlib.closing(self._speech(source, detector)) as frames:
            for is_speech in frames:
                was_speaking, n_frames = endpoints.is_speaking, n_frames + 1
                endpoints.push(is_speech)
                if was_speaking > endpoints.is_speaking or n_frames * FRAME_S >= longest_s:
                    break
        if n_frames < _LEAST_FRAMES:
            raise AudioInvalid(f"{source.where} gave no sound", hint="Check that it is connected.")
        self.samples, self.rate_hz = np.concatenate(self._kept), self._arrivals.sample_rate_hz
        self.heard: Float32Array = np.concatenate(self._blocks)

    def _speech(self, source: LiveSource, detector: SpeechDetector) -> Generator[bool]:
        """Yield for each frame whether it is speech."""
        frames, waiting = detector.frames(), np.empty(0, np.float32)
        with contextlib.closing(source.pieces()) as pieces:
            for samples, rate_hz in pieces:
                if not self._kept and self._opened is not None:
                    self._opened()
                blocks = [block for block, _ in self._arrivals.take(samples, rate_hz)]
                self._kept.append(samples)
                self._blocks += blocks
                waiting = np.concatenate([waiting, *blocks])
                n = len(waiting) - len(waiting) % FRAME_SAMPLES
                if n:
                    is_speech = frames.probabilities(waiting[:n]) >= detector.options.threshold
                    yield from is_speech.tolist()
                waiting = waiting[n:]
