"""A model with an open gallery: its embedder, its policy, and the services that use both."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from voiceid.audio import AudioSource, KeptAudio, Spans
from voiceid.decision.aims import Aim
from voiceid.decision.embeddings import cosine
from voiceid.domain import (
    Condition,
    Decision,
    Diarization,
    DiarizedVoice,
    EmbeddingSpace,
    ReplayOptions,
    Utterance,
    VoicePart,
)
from voiceid.enrollment import Checks, Curator, Enroller, EnrollmentLimits
from voiceid.errors import AudioInvalid, SpeakerNotFound, ThresholdUnavailable
from voiceid.index.base import Gallery
from voiceid.models.cards import ModelCard
from voiceid.speech.embedder import Embedder
from voiceid.speech.speaker_model import SpeakerModel
from voiceid.verification import BackEnd, Policy, Probe, Search, Verifier
from voiceid.verification.calls import naming_of
from voiceid.verification.replays import Replays

if TYPE_CHECKING:  # each loads with the models, or at its first use
    from voiceid.diarization import Diarizer, LinkedVoices
    from voiceid.store import Store
    from voiceid.store.change import Door


@dataclass(frozen=True)
class GalleryParts:
    """The parts of an open gallery that the services use."""

    store: Callable[[], Store]  # creates or upgrades the database at the first call
    has_database: Callable[[], bool]
    gallery_of: Callable[[EmbeddingSpace], Gallery]
    door: Door
    kept_audio: KeptAudio
    limits: EnrollmentLimits
    replay: ReplayOptions
    searched: Callable[[float], None]  # receives the seconds of each search


class ModelInUse:
    """A model and its services.  Safe to share among threads."""

    def __init__(self, speaker_model: SpeakerModel, policy: Policy, parts: GalleryParts) -> None:
        self.speaker_model, self.policy, self._parts = speaker_model, policy, parts

    @property
    def card(self) -> ModelCard:
        """The card of the encoder."""
        return self.speaker_model.card

    @property
    def space(self) -> EmbeddingSpace:
        """The embedding space of the model and the speech settings."""
        return self.policy.space

    @property
    def embedder(self) -> Embedder:
        """The embedder, from audio to vector; missing models are downloaded first."""
        return self.speaker_model.embedder

    def hear(self, source: AudioSource) -> Utterance:
        """Return the utterance of a recording, with its speech; raises AudioError, ModelError."""
        return self.speaker_model.embedder.with_speech(source)

    def back_end(self, call: Aim | None = None, *, per_search: bool = False) -> BackEnd:
        """Return the current back end; see :meth:`voiceid.verification.Policy.read`."""
        aim = Aim() if call is None else call
        if not self._parts.has_database():
            return self.policy.read(None, aim, per_search=per_search)
        with self._parts.store().read() as reader:
            return self.policy.read(reader, aim, per_search=per_search)

    @cached_property
    def verifier(self) -> Verifier:
        """The verifier, which answers questions about voices."""
        parts, speaker_model = self._parts, self.speaker_model
        store = parts.store()
        replays = Replays(store, parts.replay) if parts.replay.check else None
        hearing = speaker_model.voices, speaker_model.countermeasure, replays
        return Verifier(self.policy, store, parts.gallery_of, parts.searched, *hearing)

    @cached_property
    def diarizer(self) -> Diarizer:
        """The diarizer; raises ModelError."""
        from voiceid.diarization import Diarizer  # noqa: PLC0415 - for this alone

        return Diarizer(self.embedder, self.speaker_model.segmenter)

    @cached_property
    def checks(self) -> Checks:
        """The checks of an enrolment in this model's space."""
        gallery, limits = self._parts.gallery_of(self.space), self._parts.limits
        return Checks(self.space.id, gallery, self.policy.read_for_enrollment, limits)

    @cached_property
    def enroller(self) -> Enroller:
        """The enrolment service."""
        parts = self._parts
        store, kept, parts_of = parts.store(), parts.kept_audio, self._parts_of
        how = (parts.door, parts_of, self._alone, parts.replay.check)
        return Enroller(self.embedder, store, self.checks, kept, *how)

    def _parts_of(self, clip: Utterance) -> tuple[VoicePart, ...]:
        several = None
        if clip.speech is not None:
            several = self.speaker_model.voices().several(clip.speech)
        return () if several is None else several.parts

    def _alone(self, source: AudioSource, voice: str) -> Spans:
        """Return where a named voice speaks alone; raises AudioInvalid if it does not."""
        from voiceid.diarization import Request  # noqa: PLC0415 - for this alone

        request = Request(name=self.namer(naming_of(None, None, None, None), time.perf_counter()))
        result = self.diarizer.diarize(source, request)
        if spans := result.alone(voice):
            return spans
        names = ", ".join(each.name for each in result.voices)
        raise AudioInvalid(
            f"{result.clip} has no voice {voice} that speaks alone; its voices: {names or 'none'}",
            hint="Use a name of `voiceid diarize` without options; with --link it shows that name"
            " beside the linked one.",
        )

    def namer(self, search: Search, started: float) -> Callable[[Utterance | None], Decision]:
        """Return a function that identifies a voice by its speech alone; None: it has none.

        ``started`` is the ``time.perf_counter()`` from which it counts elapsed time.
        """

        def name(heard: Utterance | None) -> Decision:
            probe = Probe(None, 0.0, None, None) if heard is None else Probe.of(heard)
            decision = self.verifier.identify_probe(probe, search, started)
            return self.verifier.bona_fide(decision, [] if heard is None else [heard])

        return name

    def linked(self, diarization: Diarization, link: LinkedVoices, search: Search) -> Diarization:
        """Return a diarization whose unknown voices have the names of equal voices in earlier ones.

        Two voices are equal if `compare` would accept them in a search among that many.
        """
        back_end = self.back_end(search.aim, per_search=True)

        def likeness(a: DiarizedVoice, b: DiarizedVoice, n: int) -> tuple[float, float]:
            decisions = [voice.decision for voice in (a, b)]
            qualities = [decision.quality for decision in decisions if decision is not None]
            measured = [quality for quality in qualities if quality is not None]
            if a.embedding is None or b.embedding is None or len(measured) < 2:  # noqa: PLR2004
                return -1.0, math.inf
            vectors = (back_end.moved(voice).vector for voice in (a.embedding, b.embedding))
            score = cosine(*vectors)
            try:
                judged = back_end.rule.judged(score, Condition.of_two(*measured), n)
            except ThresholdUnavailable:
                return score, math.inf
            return score, judged.threshold.value if judged.is_match else math.inf

        def is_taken(name: str) -> bool:
            with self._parts.store().read() as reader, suppress(SpeakerNotFound):
                reader.speakers.get(name)
                return True
            return False

        return link.named(diarization, likeness, back_end.rule.margin, is_taken)

    @cached_property
    def curator(self) -> Curator:
        """The maintenance of the enrolled speakers."""
        parts = self._parts
        gallery = parts.gallery_of(self.space)
        rule_of = self.policy.read_for_enrollment
        return Curator(self.space, parts.store(), gallery, rule_of, parts.door)
