"""The only way from audio to a vector: decode, find speech, measure, embed the speech."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias, TypeVar

import numpy as np

from voiceid.audio import AudioOptions, AudioSource, AudioStream, Spans, Tap, open_audio
from voiceid.audio.mixing import ClippingCount
from voiceid.domain import Embedding, EmbeddingSpace, Float32Array, QualityReport, Speech, Utterance
from voiceid.errors import AudioError, ChannelsDiffer
from voiceid.models.runtime import in_order
from voiceid.observability.counters import Laps
from voiceid.speech.encoder import Encoder
from voiceid.speech.quality import FRAME_S, QualityLimits, QualityMeter
from voiceid.speech.vad import BoolArray, SpeechDetector

S = TypeVar("S")
T = TypeVar("T")

Cut: TypeAlias = Spans | Callable[[Utterance], Spans]
"""The parts of a recording to hear, or a function that chooses them; empty: all."""

_MIN_SNR_DB = 5.0
"""With less speech, the vector of a channel shows its noise more than its voice."""


def or_error(function: Callable[[S], T]) -> Callable[[S], T | AudioError]:
    """Return a function that returns the AudioError that the given function raises."""

    def attempt(item: S) -> T | AudioError:
        try:
            return function(item)
        except AudioError as error:
            return error

    return attempt


class Embedder:
    """Turns recordings into utterances.  Safe to share among threads.

    - `encoder`: embeds the speech that `detector` finds.
    - `limits`: below ``limits.min_net_speech_s`` of net speech there is no vector.
    - `workers`: recordings that :meth:`utterances` works on at once.
    - `heard`: receives the seconds that the stages of each utterance took, and the length of the
      recording in seconds.
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
        self.encoder = encoder
        self.detector = detector
        self._audio = audio
        self._limits = limits
        self.workers = workers
        self._heard = heard

    @property
    def raw(self) -> Embedder:
        """The same embedder, without compensation of the embeddings."""
        encoder, limits, heard = self.encoder.raw, self._limits, self._heard
        return Embedder(encoder, self.detector, self._audio, limits, self.workers, heard)

    @property
    def min_samples(self) -> int:
        """The least speech that the encoder needs, in samples at 16 kHz."""
        return self.encoder.min_samples

    @property
    def least_s(self) -> float:
        """The least net speech that an embedding needs, in seconds, if none is kept around it."""
        return max(self._limits.min_net_speech_s, self.min_samples / 16_000)

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the vectors."""
        return self.encoder.space

    def utterance(self, source: AudioSource) -> Utterance:
        """Measure a recording, and embed it when there is enough speech in it.

        Raises `AudioError`: it cannot be read, its samples cannot be a recording, or its channels
        hold different people; `ModelRuntimeError`: a model failed.
        """
        return replace(self.with_speech(source), speech=None)

    def measured(self, source: AudioSource, embedding: Embedding) -> Utterance:
        """Return the utterance, with its speech, of a voice whose embedding was made before.

        It has no embedding if there is too little speech.  Raises as :meth:`utterance`.
        """
        clip, judged_frames = self.listened(source, lambda heard: self._clip(heard, Laps()))
        return self._whole_of(clip, judged_frames, {}, embedding)

    def with_speech(
        self, source: AudioSource, tap: Tap | None = None, cut: Cut | None = None
    ) -> Utterance:
        """Return the utterance of :meth:`utterance` with its speech, up to 20 MB.

        - `tap`: receives the mono samples as they pass, before they are resampled.
        - `cut`: the parts to hear, or a function that chooses them; None: all.
        """
        laps, spans = Laps(), cut if isinstance(cut, tuple) else ()
        with open_audio(source, replace(self._audio, spans=spans), tap=tap) as stream:
            utterance = self._whole(stream, spans, laps)
            if callable(cut) and (chosen := cut(utterance)):
                with stream.only(chosen) as part:
                    utterance = self._whole(part, chosen, laps)
            if self._heard is not None:
                self._heard(laps, stream.duration_s)
            return utterance

    def _whole(self, stream: AudioStream, spans: Spans, laps: Laps) -> Utterance:
        """Return the utterance of a stream, whose channels hold one voice."""
        utterance = _heard(stream, lambda heard: self._utterance(heard, laps))
        if utterance.embedding is not None:
            self._require_one_voice(stream, laps)
        if utterance.speech is not None and spans:
            utterance = replace(utterance, speech=replace(utterance.speech, spans=spans))
        return utterance

    def _utterance(self, stream: AudioStream, laps: Laps) -> Utterance:
        utterance = self._whole_of(*self._clip(stream, laps), stream.unheard)
        laps.lap("embed")
        return utterance

    def _clip(self, stream: AudioStream, laps: Laps) -> tuple[Utterance, int]:
        """Return the measurements of a stream, with its speech, and the number of judged frames."""
        meter = QualityMeter(self._limits)
        speech, judged_frames = self._speech(stream, meter, laps)
        quality = meter.report(
            stream.duration_s, stream.sample_rate_hz, stream.clipping, truncated=stream.truncated
        )
        return Utterance(stream.name, stream.pcm_sha256, quality, None, speech), judged_frames

    def of_frames(
        self,
        name: str,
        frames: Float32Array,
        is_speech: BoolArray,
        sample_rate_hz: int,
        clipping: ClippingCount,
    ) -> Utterance:
        """Return the utterance of frames (k, 512) that are speech or not (k,), with its speech.

        The frames come from a live source, so there is no recording with a hash.
        """
        meter, options = QualityMeter(self._limits), self.detector.options
        meter.add(frames, is_speech)
        duration_s = len(frames) * FRAME_S
        quality = meter.report(duration_s, sample_rate_hz, clipping, truncated=False)
        clip = Utterance(name, "", quality, None, self.speech_of(frames, is_speech))
        return self._whole_of(clip, options.judged_frames(is_speech), {})

    def speech_of(self, frames: Float32Array, is_speech: BoolArray) -> Speech:
        """Return the speech of frames (k, 512) that are speech or not (k,), up to the longest."""
        options = self.detector.options
        kept = options.kept_frames(is_speech, frames.size)
        longest = round(options.max_speech_s * 16_000)
        return Speech(frames[kept].reshape(-1)[:longest], kept)

    def _whole_of(
        self,
        clip: Utterance,
        judged_frames: int,
        unheard: Mapping[str, str],
        known: Embedding | None = None,
    ) -> Utterance:
        """Return an utterance with the embedding of its speech; without both if it is too short.

        - `known`: the embedding, if it was made before.
        """
        quality, embedding, speech = clip.quality, None, clip.speech
        if speech is not None:
            embedding, speech = self._embedded(speech, quality, known)
        judged_s = 0.0 if embedding is None else judged_frames * FRAME_S
        quality = _with_unheard(quality, judged_s, unheard)
        if embedding is not None:
            quality = replace(quality, telephone=embedding.telephone)
        kept = None if embedding is None else speech
        return replace(clip, quality=quality, embedding=embedding, speech=kept)

    def _require_one_voice(self, stream: AudioStream, laps: Laps) -> None:
        """Raise `ChannelsDiffer` where channels that were mixed hold different people."""
        channels = stream.mixed.distinct() if stream.mixed is not None else []
        voices: list[tuple[int, Utterance]] = []
        for channel in channels if len(channels) > 1 else []:
            with stream.again(channel) as alone:
                voice = self._utterance(alone, laps)
            snr_db = voice.quality.snr_db
            if voice.embedding is None or (snr_db is not None and snr_db < _MIN_SNR_DB):
                continue
            for other, heard in voices:
                if not self.encoder.may_be_one_voice(heard, voice):
                    raise _different(stream, other, channel)
            voices.append((channel, voice))

    def listened(
        self, source: AudioSource, hear: Callable[[AudioStream], T], longer: float = 1.0
    ) -> T:
        """Return the result of a function on an open recording.

        If the mix cancels the sound, the function is called again on the louder channel alone.

        - `longer`: the factor by which this recording may exceed the limit of length.

        Raises `AudioError`: it cannot be read, or its samples cannot be a recording.
        """
        longest_s = longer * self._audio.max_duration_s
        with open_audio(source, replace(self._audio, max_duration_s=longest_s)) as stream:
            return _heard(stream, hear)

    def speech(self, source: AudioSource) -> Float32Array:
        """Return (n,) float32 at 16 kHz: the speech of a recording, as the encoder receives it.

        Raises `AudioError`: it cannot be read, or its samples cannot be a recording.
        """
        meter = QualityMeter(self._limits)
        return self.listened(source, lambda heard: self._speech(heard, meter, Laps())[0].samples)

    def samples(self, source: AudioSource, longest_s: float) -> Float32Array:
        """Return (n,) float32 at 16 kHz: the beginning of a recording, in one channel.

        Raises `AudioError`: it cannot be read, or its samples cannot be a recording.
        """
        most = round(longest_s * 16_000)

        def beginning(stream: AudioStream) -> Float32Array:
            kept: list[Float32Array] = []
            for block in stream.blocks():
                kept.append(block)
                if sum(map(len, kept)) >= most:
                    break
            return np.concatenate(kept)[:most]

        return self.listened(source, beginning)

    def _speech(self, stream: AudioStream, meter: QualityMeter, laps: Laps) -> tuple[Speech, int]:
        """Return the speech for the encoder, and how many frames of speech are in it."""
        detector, options = self.detector.stream(), self.detector.options
        kept: list[Float32Array] = []
        speech: list[BoolArray] = []
        for block in itertools.chain(stream.blocks(), [None]):
            laps.lap("decode")
            for chunk in detector.finish() if block is None else detector.push(block):
                meter.add(chunk.frames, chunk.speech)
                kept.append(chunk.kept)
                speech.append(chunk.speech)
            laps.lap("detect")
        samples, is_speech = np.concatenate(kept), np.concatenate(speech)
        frames = options.kept_frames(is_speech, len(samples))
        return Speech(samples, frames), options.judged_frames(is_speech)

    def pcm_sha256(self, source: AudioSource) -> str:
        """Return the hash of a recording; it is only decoded for this.

        Raises `AudioError`: it cannot be read, or its samples cannot be a recording.
        """
        return self.listened(source, _identity)

    def utterances(self, sources: Iterable[AudioSource]) -> Iterator[Utterance | AudioError]:
        """Return, in order, the utterance of each source or the error that it gave.

        At most a few more than ``workers`` recordings are open or waiting at any time, and
        ``sources`` is drawn from as fast as that allows.
        """
        return in_order(or_error(self.utterance), sources, self.workers)

    def _embedded(
        self, speech: Speech, quality: QualityReport, known: Embedding | None
    ) -> tuple[Embedding | None, Speech]:
        """Return the embedding, and the speech with the encoder's frames."""
        too_short = quality.net_speech_s < self._limits.min_net_speech_s
        if too_short or len(speech.samples) < self.encoder.min_samples:
            return None, speech
        if known is not None:
            return known, speech
        embedding, encoded = self.encoder.encode(speech.samples)
        return embedding, replace(speech, encoded=encoded)


def _heard(stream: AudioStream, hear: Callable[[AudioStream], T]) -> T:
    """Return the result for a stream, or for its louder channel if the mix cancels the sound."""
    heard = hear(stream)
    mixed = stream.mixed
    if mixed is None or not mixed.cancel:
        return heard
    text = f"the mix of the channels, which cancel each other: channel {mixed.loudest} was heard"
    with stream.again(mixed.loudest, {"opposite_phase": text}) as louder:
        return hear(louder)


def _identity(stream: AudioStream) -> str:
    for _ in stream.blocks():
        pass
    return stream.pcm_sha256


def _with_unheard(
    quality: QualityReport, judged_speech_s: float, unheard: Mapping[str, str]
) -> QualityReport:
    """Return a report with the seconds of speech that were judged, and the parts not heard."""
    judged_s = min(judged_speech_s, quality.net_speech_s)
    left_s = quality.net_speech_s - judged_s
    if judged_s > 0 and left_s > 0:
        text = f"{left_s:.1f} s of speech after the first {judged_s:.1f} s"
        unheard = {**unheard, "partly_judged": text}
    return replace(
        quality,
        judged_speech_s=judged_s,
        unheard=tuple(unheard.values()),
        warnings=(*quality.warnings, *unheard),
    )


def _different(stream: AudioStream, channel: int, other: int) -> ChannelsDiffer:
    first, second = sorted((channel, other))
    return ChannelsDiffer(
        f"{stream.where}: channels {first} and {second} hold different people",
        hint=f"Choose one: --channel {first} or --channel {second} (or audio.channel).",
    )
