"""The sound of one turn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from voiceid.audio.mixing import ClippingCount
from voiceid.domain import Decision, Float32Array, Utterance
from voiceid.errors import VoiceIDError
from voiceid.speech.quality import FRAME_S
from voiceid.speech.vad import BoolArray


@dataclass(slots=True)
class LiveTurn:
    """A turn and a little before it; for one thread.

    - `number`: of the turn, counted from 1.
    - `first_frame`: where it begins, counted since listening began.
    - `lead`: frames before that are kept with it: the background, and the start of a first sound.
    - `clipping`: of the source when it began.
    - `looked_s`: net speech at the last check.
    - `is_decided`: no more checks are made.
    - `decision`, `error`: the result of the last check.
    - `heard`: the utterance at the last check, until it is decided.
    """

    number: int
    first_frame: int
    lead: int
    clipping: ClippingCount
    looked_s: float = 0.0
    looks: int = 0
    is_decided: bool = False
    decision: Decision | None = None
    error: VoiceIDError | None = None
    heard: Utterance | None = None
    _frames: list[Float32Array] = field(default_factory=list)
    _is_speech: list[bool] = field(default_factory=list)
    _n_speech: int = 0

    def add(self, frame: Float32Array, is_speech: bool) -> None:
        """Take the next frame (512,) and whether it is speech."""
        self._frames.append(frame)
        self._is_speech.append(is_speech)
        self._n_speech += is_speech

    @property
    def start_s(self) -> float:
        """Where it begins, in seconds since listening began."""
        return self.first_frame * FRAME_S

    @property
    def net_speech_s(self) -> float:
        """Speech so far, in seconds, without padding."""
        return self._n_speech * FRAME_S

    @property
    def n_frames(self) -> int:
        """How many frames it has."""
        return len(self._frames)

    @property
    def duration_s(self) -> float:
        """Since it began, in seconds."""
        return (len(self._frames) - self.lead) * FRAME_S

    @property
    def end_s(self) -> float:
        """Where its last speech ends, or the sound of it so far, in the same seconds."""
        return self.start_s + self.duration_s - self._n_silent * FRAME_S

    @property
    def frames(self) -> Float32Array:
        """The frames (k, 512), those before it too."""
        return np.stack(self._frames)

    @property
    def is_speech(self) -> BoolArray:
        """Which of them are speech (k,)."""
        return np.array(self._is_speech, np.bool_)

    def background(self) -> list[Float32Array]:
        """Return the frames after its last speech."""
        return self._frames[len(self._frames) - self._n_silent :]

    @property
    def _n_silent(self) -> int:
        return next(
            (n for n, is_speech in enumerate(reversed(self._is_speech)) if is_speech),
            len(self._is_speech),
        )

    def split(self, at_frame: int, lead: int) -> LiveTurn:
        """Return the next turn, which takes the frames from ``at_frame`` of this one on.

        It keeps up to ``lead`` frames of the background before this one.
        """
        background = min(lead, self.lead)
        first = self.first_frame + at_frame - self.lead
        following = LiveTurn(self.number + 1, first, background, self.clipping)
        both = list(zip(self._frames, self._is_speech, strict=True))
        for frame, is_speech in both[:background] + both[at_frame:]:
            following.add(frame, is_speech)
        del self._frames[at_frame:], self._is_speech[at_frame:]
        self._n_speech = sum(self._is_speech)
        return following
