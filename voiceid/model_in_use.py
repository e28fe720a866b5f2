"""One model over an open gallery: what hears, what decides, and the services made of the two."""

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

if TYPE_CHECKING:  # each loads while the models do, or when it is first asked for
    from voiceid.diarization import Diarizer, LinkedVoices
    from voiceid.store import Store
    from voiceid.store.change import Door


@dataclass(frozen=True)
class GalleryParts:
    """What of an open gallery the services use."""

    store: Callable[[], Store]  # makes or upgrades the database when it is first called
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
        """The way from audio to a vector; missing models are fetched first."""
        return self.speaker_model.embedder

    def hear(self, source: AudioSource) -> Utterance:
        """Return what is heard in a recording, with its speech; raises AudioError, ModelError."""
        return self.speaker_model.embedder.with_speech(source)

    def back_end(self, call: Aim | None = None, *, per_search: bool = False) -> BackEnd:
        """Return what decides now; see :meth:`voiceid.verification.Policy.read`."""
        aim = Aim() if call is None else call
        if not self._parts.has_database():
            return self.policy.read(None, aim, per_search=per_search)
        with self._parts.store().read() as reader:
            return self.policy.read(reader, aim, per_search=per_search)

    @cached_property
    def verifier(self) -> Verifier:
        """What answers questions about voices."""
        parts, speaker_model = self._parts, self.speaker_model
        store = parts.store()
        replays = Replays(store, parts.replay) if parts.replay.check else None
        hearing = speaker_model.voices, speaker_model.countermeasure, replays
        return Verifier(self.policy, store, parts.gallery_of, parts.searched, *hearing)

    @cached_property
    def diarizer(self) -> Diarizer:
        """What says who spoke when; raises ModelError."""
        from voiceid.diarization import Diarizer  # noqa: PLC0415 - for this alone

        return Diarizer(self.embedder, self.speaker_model.segmenter)

    @cached_property
    def checks(self) -> Checks:
        """What can speak against an enrolment in this model's space."""
        gallery, limits = self._parts.gallery_of(self.space), self._parts.limits
        return Checks(self.space.id, gallery, self.policy.read_for_enrollment, limits)

    @cached_property
    def enroller(self) -> Enroller:
        """What enrols."""
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
        """Return where a voice speaks alone, by its name; raises AudioInvalid: there is none."""
        from voiceid.diarization import Request  # noqa: PLC0415 - for this alone

        wanted = Request(name=self.namer(naming_of(None, None, None, None), time.perf_counter()))
        found = self.diarizer.diarize(source, wanted)
        if spans := found.alone(voice):
            return spans
        names = ", ".join(one.name for one in found.voices)
        raise AudioInvalid(
            f"{found.clip} has no voice {voice} that speaks alone; its voices: {names or 'none'}",
            hint="Name a voice as `voiceid diarize` does without options; with --link it shows that"
            " name beside the common one.",
        )

    def namer(self, search: Search, started: float) -> Callable[[Utterance | None], Decision]:
        """Return what decides who a voice is, of what it says alone; None: that is nothing.

        ``started`` is the ``time.perf_counter()`` from which its times are counted.
        """

        def name(heard: Utterance | None) -> Decision:
            probe = Probe(None, 0.0, None, None) if heard is None else Probe.of(heard)
            decision = self.verifier.identify_probe(probe, search, started)
            return self.verifier.bona_fide(decision, [] if heard is None else [heard])

        return name

    def linked(self, found: Diarization, link: LinkedVoices, search: Search) -> Diarization:
        """Return a diarization whose unknown voices have the names of those before that they are.

        Two are one voice where `compare` would accept them in a search among so many.
        """
        back_end = self.back_end(search.aim, per_search=True)

        def likeness(one: DiarizedVoice, other: DiarizedVoice, n: int) -> tuple[float, float]:
            decisions = [voice.decision for voice in (one, other)]
            qualities = [decided.quality for decided in decisions if decided is not None]
            known = [quality for quality in qualities if quality is not None]
            if one.embedding is None or other.embedding is None or len(known) < 2:  # noqa: PLR2004
                return -1.0, math.inf
            vectors = (back_end.moved(voice).vector for voice in (one.embedding, other.embedding))
            score = cosine(*vectors)
            try:
                judged = back_end.rule.judged(score, Condition.of_two(*known), n)
            except ThresholdUnavailable:
                return score, math.inf
            return score, judged.threshold.value if judged.is_match else math.inf

        def is_taken(name: str) -> bool:
            with self._parts.store().read() as reader, suppress(SpeakerNotFound):
                reader.speakers.get(name)
                return True
            return False

        return link.named(found, likeness, back_end.rule.margin, is_taken)

    @cached_property
    def curator(self) -> Curator:
        """What looks after the enrolled speakers."""
        parts = self._parts
        gallery = parts.gallery_of(self.space)
        rule_of = self.policy.read_for_enrollment
        return Curator(self.space, parts.store(), gallery, rule_of, parts.door)
