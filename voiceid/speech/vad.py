"""Where there is speech: Silero's sequence model over a stream of 16 kHz blocks.

The model takes frames of 512 new samples with the 64 before them, and carries the state of
its LSTM from call to call.  Frames go in batches of a fixed size, whatever the size of the
blocks, so that the result cannot depend on how the audio was cut.

After each 2 s without speech the state is reset, because it drifts: without a reset, most of 14 of
24 short pieces of speech in low noise was missed; with it, none.

Frames wait until there is enough speech for an embedding.  If a recording ends before that, a
second opinion may find speech in the waiting frames; a soft recording is amplified and heard again
first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array
from voiceid.errors import ModelRuntimeError
from voiceid.models.providers import EngineOptions
from voiceid.speech.quality import FRAME_S, FRAME_SAMPLES

if TYPE_CHECKING:  # the options are needed without the engine
    from voiceid.models.runtime import Session
    from voiceid.models.status import InstalledModel
    from voiceid.speech.second_opinion import SecondOpinion

BoolArray = npt.NDArray[np.bool_]
_State: TypeAlias = tuple[Float32Array, Float32Array]

_CONTEXT_SAMPLES = 64
_STATE_SHAPE = (1, 1, 128)
_BATCH_FRAMES = 256
"""8 s a call: the fastest of 16 to 4096 (1125x real time on one thread; whole files 520x)."""

_SAMPLES_PER_S = 16_000

_PAUSE_FRAMES = 62
"""2 s; with 1 to 4 s as much speech is found, with 1 s a little less in AMI."""

_MIN_POWER = 1e-5
"""-50 dBFS, after a soft recording was amplified."""
_USUAL_POWER, _MOST_GAIN = 1e-3, 100.0
"""A recording whose loudest frames are below -30 dBFS is amplified to that, by 40 dB at most:
Silero misses soft speech.  So the last step of 16 bits stays under `_MIN_POWER`."""
_MAX_WAITING_FRAMES = 3750
"""120 s, 8 MB: only the end of a longer recording gets a second opinion."""


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """What counts as speech, and how much of it goes to the encoder.

    - `threshold`: probability from which a frame of 32 ms is speech.
    - `pad_ms`: padding on each side of speech, rounded up to whole frames.  With 192 ms LibriSpeech
      test-other stayed at an EER of 0.00 %; with 64 ms it went to 0.21 %.
    - `max_speech_s`: speech and padding beyond this are measured, but not embedded.
    """

    threshold: float = 0.5
    pad_ms: int = 192
    max_speech_s: float = 120.0

    @property
    def pad_frames(self) -> int:
        """``pad_ms`` in frames of 32 ms."""
        return -(-self.pad_ms * _SAMPLES_PER_S // (1000 * FRAME_SAMPLES))

    def judged_frames(self, speech: BoolArray) -> int:
        """Return how many frames of speech (n,) are passed on to the encoder."""
        kept = np.cumsum(dilated(speech, self.pad_frames)) * FRAME_SAMPLES
        return int(speech[kept <= round(self.max_speech_s * _SAMPLES_PER_S)].sum())

    def kept_frames(self, speech: BoolArray, n_samples: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the frames that are passed on, of (n,) speech or not."""
        kept = np.flatnonzero(dilated(speech, self.pad_frames))
        return kept[: -(-n_samples // FRAME_SAMPLES)]

    def describe(self) -> str:
        """Return the canonical text that is part of an embedding space's identity."""
        return (
            f"threshold={self.threshold:g} pad_frames={self.pad_frames}"
            f" max_speech_s={self.max_speech_s:g}"
        )


class SpeechChunk(NamedTuple):
    """The frames that some blocks of audio completed.

    ``frames`` and ``speech`` are the newest frames; ``kept`` lags behind them by the
    padding, because whether a frame is near speech is known only later.

    - `frames` (k, 512) float32: the last frame of a recording is filled up with zeros.
    - `speech` (k,) bool.
    - `kept` (m,) float32: samples of speech and its padding, at 16 kHz.
    """

    frames: Float32Array
    speech: BoolArray
    kept: Float32Array


@dataclass(frozen=True, slots=True)
class LittleSpeech:
    """When a second opinion is asked, and of which model.

    - `under_s`: asked if there is less speech than this, but this much sound that is loud enough.
    - `second`: loads the second opinion; None if its model is not installed.
    """

    under_s: float
    second: Callable[[], SecondOpinion | None]


class SpeechDetector:
    """Makes streams; safe to share among threads.

    - `session`: runs Silero's sequence model: ``input`` (frames, 576), ``h`` and ``c`` (1, 1, 128)
      in, ``speech_probs`` (frames), ``hn`` and ``cn`` out.
    - `little`: when a second opinion is asked; None: never.
    """

    def __init__(
        self, session: Session, options: SpeechOptions, little: LittleSpeech | None = None
    ) -> None:
        self.options = options
        self._session, self._little = session, little

    def stream(self) -> SpeechStream:
        """Return a detector for one recording."""
        return SpeechStream(self.frames, self.options, self._little)

    def frames(self) -> Frames:
        """Return a stream of probabilities for the frames of one recording."""
        return Frames(self._session, self.options.threshold)


class Frames:
    """Gives the probability of speech of frame after frame; for one recording and one thread."""

    def __init__(self, session: Session, threshold: float) -> None:
        self._session, self._threshold = session, threshold
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self._begin()

    def _begin(self) -> None:
        nothing = np.zeros(_STATE_SHAPE, np.float32)
        self._state: _State = (nothing, nothing)
        self._n_silent = 0

    def probabilities(self, samples: Float32Array) -> Float32Array:
        """Return the probabilities (k,) of the next k frames, given as (512 k,) samples.

        Raises `ModelRuntimeError`: the model failed, or its answer is not a probability.
        """
        batches, n_frames = [np.empty(0, np.float32)], len(samples) // FRAME_SAMPLES
        while len(samples):
            probabilities, state = self._heard(samples[: n_frames * FRAME_SAMPLES])
            n_used = self._until_pause(probabilities >= self._threshold)
            batches.append(probabilities[:n_used])
            used, samples = np.split(samples, [n_used * FRAME_SAMPLES])
            self._context = used[-_CONTEXT_SAMPLES:]
            if self._n_silent < _PAUSE_FRAMES:
                self._state = state
            else:
                self._begin()
            n_frames = _PAUSE_FRAMES  # frames after a pause are run again: no more than this
        return np.concatenate(batches)

    def _until_pause(self, speech: BoolArray) -> int:
        """Count frames (k,) up to the one that completes a pause, or all; return how many."""
        for at, is_speech in enumerate(speech.tolist(), 1):
            self._n_silent = 0 if is_speech else self._n_silent + 1
            if self._n_silent == _PAUSE_FRAMES:
                return at
        return len(speech)

    def _heard(self, samples: Float32Array) -> tuple[Float32Array, _State]:
        frames = samples.reshape(-1, FRAME_SAMPLES)
        before = np.vstack((self._context, frames[:-1, -_CONTEXT_SAMPLES:]))
        h, c = self._state
        probabilities, h, c = self._session.run(
            {"input": np.hstack((before, frames)), "h": h, "c": c}
        )
        if not np.all(np.isfinite(probabilities)):
            raise ModelRuntimeError(
                "the speech detector gave a value that is not a probability",
                hint="Run `voiceid models verify silero-vad`.",
            )
        return np.asarray(probabilities, dtype=np.float32).reshape(-1), (h, c)


class SpeechStream:
    """Finds the speech of one recording; for one thread."""

    def __init__(
        self,
        afresh: Callable[[], Frames],
        options: SpeechOptions,
        little: LittleSpeech | None = None,
    ) -> None:
        self._heard = afresh()
        self._waiting: list[Float32Array] = []
        self._n_waiting = 0
        self._doubt = _Doubt(little, options.threshold, afresh)
        self._padding = _Padding(options.pad_frames)
        self._room = round(options.max_speech_s * _SAMPLES_PER_S)

    def push(self, block: Float32Array) -> list[SpeechChunk]:
        """Take a block (n,) float32 of 16 kHz audio; return the frames that it completed.

        Raises `ModelRuntimeError`: the model failed, or its answer is not a probability.
        """
        self._waiting.append(block)
        self._n_waiting += len(block)
        batch = _BATCH_FRAMES * FRAME_SAMPLES
        if self._n_waiting < batch:
            return []
        samples = np.concatenate(self._waiting)
        whole = len(samples) - len(samples) % batch
        self._waiting, self._n_waiting = [samples[whole:]], len(samples) - whole
        for i in range(0, whole, batch):
            self._hear(samples[i : i + batch])
        return [self._chunk(*known) for known in self._doubt.settled()]

    def finish(self) -> list[SpeechChunk]:
        """Return the remaining frames at the end of the recording."""
        samples = np.concatenate([*self._waiting, np.empty(0, np.float32)])
        n_missing = -len(samples) % FRAME_SAMPLES
        self._waiting, self._n_waiting = [], 0
        if len(samples):
            self._hear(np.pad(samples, (0, n_missing)))
        chunks = [self._chunk(*known) for known in self._doubt.finish()]
        tail = self._room_for(self._padding.finish(n_missing))
        nothing = np.empty((0, FRAME_SAMPLES), np.float32)
        return [*chunks, SpeechChunk(nothing, np.empty(0, np.bool_), tail)]

    def _hear(self, samples: Float32Array) -> None:
        self._doubt.add(samples.reshape(-1, FRAME_SAMPLES), self._heard.probabilities(samples))

    def _chunk(self, frames: Float32Array, speech: BoolArray) -> SpeechChunk:
        return SpeechChunk(frames, speech, self._room_for(self._padding.push(frames, speech)))

    def _room_for(self, kept: Float32Array) -> Float32Array:
        taken = kept[: self._room]
        self._room -= len(taken)
        return taken


class _Doubt:
    """Holds frames back until they have enough speech, or the recording ends."""

    def __init__(
        self, little: LittleSpeech | None, threshold: float, afresh: Callable[[], Frames]
    ) -> None:
        self._little, self._threshold, self._afresh = little, threshold, afresh
        self._waiting: list[tuple[Float32Array, Float32Array]] = []
        self._n_speech = self._n_waiting = 0

    def add(self, frames: Float32Array, probabilities: Float32Array) -> None:
        """Take (k, 512) frames and their (k,) probabilities."""
        self._waiting.append((frames, probabilities))
        self._n_waiting += len(frames)
        self._n_speech += int((probabilities >= self._threshold).sum())

    def settled(self) -> list[tuple[Float32Array, BoolArray]]:
        """Return, in order, the frames that no longer wait, and whether they are speech."""
        known = []
        while self._waiting and (
            self._is_enough(self._n_speech) or self._n_waiting > _MAX_WAITING_FRAMES
        ):
            frames, probabilities = self._waiting.pop(0)
            self._n_waiting -= len(frames)
            known.append((frames, probabilities >= self._threshold))
        return known

    def finish(self) -> list[tuple[Float32Array, BoolArray]]:
        """Return the remaining frames, and whether they are speech."""
        if self._is_enough(self._n_speech) or not self._waiting:
            return self.settled()
        frames, probabilities = (np.concatenate(part) for part in zip(*self._waiting, strict=True))
        self._waiting = []
        return [(frames, (probabilities >= self._threshold) | self._second(frames, probabilities))]

    def _second(self, frames: Float32Array, probabilities: Float32Array) -> BoolArray:
        speech = np.zeros(len(frames), np.bool_)
        if self._little is None:
            return speech
        power = frames.var(axis=1)
        # The second loudest: with an offset, the zeros at the end make a loud step.
        gain = np.sqrt(_USUAL_POWER / max(float(np.sort(power)[-2:][0]), 1e-12))
        gain = np.float32(np.clip(gain, 1.0, _MOST_GAIN))
        if gain > 1.0:
            frames = frames * gain
            probabilities = self._afresh().probabilities(frames.reshape(-1))
        loud = power * gain**2 >= _MIN_POWER
        n_likely = int((loud | (probabilities >= self._threshold)).sum())
        if not self._is_enough(n_likely) or (second := self._little.second()) is None:
            return speech
        return second.speech(frames, loud, probabilities, self._threshold)

    def _is_enough(self, n_frames: int) -> bool:
        return self._little is None or n_frames * FRAME_S >= self._little.under_s


class _Padding:
    """Keeps the frames within ``n_pad`` frames of speech, in a stream.

    A frame waits until the ``n_pad`` frames after it are known, and the last frame always
    waits: it may turn out to be filled up with zeros.
    """

    def __init__(self, n_pad: int) -> None:
        self._n_pad = n_pad
        self._n_wait = max(n_pad, 1)
        self._waiting = np.empty((0, FRAME_SAMPLES), np.float32)
        # The mask of the n_pad frames before the waiting frames, and of the waiting frames.
        self._mask = np.zeros(n_pad, np.bool_)

    def push(self, frames: Float32Array, speech: BoolArray) -> Float32Array:
        """Take (k, 512) frames and (k,) bool; return the samples that can be kept now."""
        mask = np.concatenate((self._mask, speech))
        waiting = np.concatenate((self._waiting, frames))
        near = dilated(mask, self._n_pad)
        n_known = max(0, len(waiting) - self._n_wait)
        self._mask, self._waiting = mask[n_known:], waiting[n_known:]
        return waiting[:n_known][near[self._n_pad :][:n_known]].reshape(-1)

    def finish(self, n_filled: int) -> Float32Array:
        """Return the last kept samples, without the ``n_filled`` zeros at the very end."""
        near = dilated(self._mask, self._n_pad)[self._n_pad :]
        kept = self._waiting[near].reshape(-1)
        last_is_kept = len(near) > 0 and bool(near[-1])
        return kept[: len(kept) - n_filled] if last_is_kept else kept


def dilated(mask: BoolArray, n: int) -> BoolArray:
    """Return whether any of the ``n`` elements on either side, or the element itself, is true."""
    sums = np.concatenate(([0], np.cumsum(mask)))
    last = len(mask)
    index = np.arange(last)
    return sums[np.minimum(index + n + 1, last)] > sums[np.maximum(index - n, 0)]


def open_detector(
    installed: InstalledModel,
    options: SpeechOptions,
    engine: EngineOptions = EngineOptions(),
    little: LittleSpeech | None = None,
) -> SpeechDetector:
    """Load an installed detector; see :meth:`voiceid.models.runtime.Session.open`."""
    from voiceid.models.runtime import Session  # noqa: PLC0415 - the options are needed without it

    session = Session.open(
        installed.path,
        inputs={"input": 2, "h": 3, "c": 3},
        outputs=["speech_probs", "hn", "cn"],
        sha256=installed.sha256,
        engine=engine,
    )
    return SpeechDetector(session, options, little)
