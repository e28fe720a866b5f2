"""The only way from audio to a vector: decode, find speech, measure, embed the speech."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from voiceid.audio import AudioOptions, AudioSource, AudioStream, Tap, open_audio
from voiceid.domain import Embedding, EmbeddingSpace, Float32Array, QualityReport, Utterance
from voiceid.errors import AudioError
from voiceid.models.runtime import in_order
from voiceid.observability.counters import Laps
from voiceid.speech.encoder import Encoder
from voiceid.speech.quality import QualityLimits, QualityMeter
from voiceid.speech.vad import SpeechDetector

S = TypeVar("S")
T = TypeVar("T")


def or_error(function: Callable[[S], T]) -> Callable[[S], T | AudioError]:
    """Return a function that returns an AudioError where the given one raises it."""

    def attempt(item: S) -> T | AudioError:
        try:
            return function(item)
        except AudioError as error:
            return error

    return attempt


class Embedder:
    """Turns recordings into utterances.  Safe to share among threads.

    - `limits`: with less net speech than ``limits.min_net_speech_s`` there is no vector.
    - `workers`: recordings that :meth:`utterances` works on at once.
    - `heard`: receives how long the stages of each utterance took, and how long the recording is,
      in seconds.
    """

    def __init__(
        self,
        encoder: Encoder,
        detector: SpeechDetector,
        audio: AudioOptions,
        limits: QualityLimits,
        workers: int = 1,
        heard: Callable[[Laps, float], None] | None = None,
    ) -> None:
        self._encoder = encoder
        self._detector = detector
        self._audio = audio
        self._limits = limits
        self._workers = workers
        self._heard = heard

    @property
    def workers(self) -> int:
        """Recordings that are worked on at once."""
        return self._workers

    @property
    def min_samples(self) -> int:
        """The least speech that the encoder takes, in samples at 16 kHz."""
        return self._encoder.min_samples

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the vectors."""
        return self._encoder.space

    def utterance(self, source: AudioSource, tap: Tap | None = None) -> Utterance:
        """Measure a recording, and embed it when there is enough speech in it.

        - `tap`: is given the mono samples as they go by, (n,) float32, before they are resampled.

        Raises `AudioError`: it cannot be read, or its samples cannot be a recording;
        `ModelRuntimeError`: a model failed.
        """
        laps = Laps()
        with open_audio(source, self._audio, tap=tap) as stream:
            meter = QualityMeter(self._limits)
            speech = self._speech(stream, meter, laps)
            quality = meter.report(
                stream.duration_s,
                stream.sample_rate_hz,
                stream.clipping,
                truncated=stream.truncated,
            )
            embedding = self._embedding(speech, quality)
            laps.lap("embed")
            if self._heard is not None:
                self._heard(laps, stream.duration_s)
            return Utterance(stream.name, stream.pcm_sha256, quality, embedding)

    def speech(self, source: AudioSource) -> Float32Array:
        """Return (n,) float32 at 16 kHz: the speech of a recording, as the encoder is given it.

        Raises `AudioError`: it cannot be read, or its samples cannot be a recording.
        """
        with open_audio(source, self._audio) as stream:
            return self._speech(stream, QualityMeter(self._limits), Laps())

    def _speech(self, stream: AudioStream, meter: QualityMeter, laps: Laps) -> Float32Array:
        detector = self._detector.stream()
        kept: list[Float32Array] = []
        for block in itertools.chain(stream.blocks(), [None]):
            laps.lap("decode")
            for chunk in detector.finish() if block is None else detector.push(block):
                meter.add(chunk.frames, chunk.speech)
                kept.append(chunk.kept)
            laps.lap("detect")
        return np.concatenate(kept)

    def pcm_sha256(self, source: AudioSource, tap: Tap | None = None) -> str:
        """Return the identity of a recording, which takes its decoding and nothing more.

        Raises `AudioError`: it cannot be read, or its samples cannot be a recording.
        """
        with open_audio(source, self._audio, tap=tap) as stream:
            for _ in stream.blocks():
                pass
            return stream.pcm_sha256

    def utterances(self, sources: Iterable[AudioSource]) -> Iterator[Utterance | AudioError]:
        """Return, in order, the utterance of each source or the error that it gave.

        At most a few more than ``workers`` recordings are open or waiting at any time, and
        ``sources`` is drawn from as fast as that allows.
        """
        return in_order(or_error(self.utterance), sources, self._workers)

    def _embedding(self, speech: Float32Array, quality: QualityReport) -> Embedding | None:
        too_short = quality.net_speech_s < self._limits.min_net_speech_s
        if too_short or len(speech) < self._encoder.min_samples:
            return None
        return Embedding(self._encoder.embed(speech), self._encoder.space)
