"""Questions to the model in use, with every decision recorded before the caller gets it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from voiceid.audio import AudioSource
from voiceid.decision.aims import Aim
from voiceid.domain import (
    Candidate,
    Decision,
    Diarization,
    EmbeddedClip,
    Embedding,
    Task,
    caller_name,
)
from voiceid.domain.audit_chain import DECISION
from voiceid.errors import AudioError, NotEnoughSpeech, StoreError
from voiceid.model_in_use import ModelInUse
from voiceid.models import runtime
from voiceid.observability import ChangeKind
from voiceid.observability.observer import decision_facts
from voiceid.permissions import exposures
from voiceid.session import Session, trusted_paths
from voiceid.speech.embedder import or_error
from voiceid.verification import Claim, Probe, Search, compare
from voiceid.verification.answers import blinded
from voiceid.verification.calls import embedding_of
from voiceid.verification.lockout import Lockout

if TYPE_CHECKING:  # each loads at its first use
    from voiceid.decision.word_matching import Vocabulary
    from voiceid.diarization import LinkedVoices
    from voiceid.verification.verifier import Admit

S = TypeVar("S")


class Questions:
    """Asks the model in use; listeners, log and counters receive each answer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._trusted = trusted_paths(session.config)
        self._said: set[Path] = set()  # exposed paths, each reported once
        self._notes_uses = session.config.privacy.retention.unused_days is not None
        self._noted: dict[int, date] = {}  # the last day on which each speaker was accepted
        locked = partial(session.observer.changed, ChangeKind.LOCK)
        self.lockout = Lockout(lambda: session.store, session.config.attempts, locked)

    def warm_up(self) -> None:
        """Load the models and the database; raises ModelError, StoreError."""
        model = self._session.loaded_model
        model.speaker_model.load()
        _ = model.verifier
        self._session.gallery(model.space.id, model.space.dim).prepare()

    def identify(self, source: AudioSource | EmbeddedClip, search: Search) -> Decision:
        """Decide who is speaking; an embedded clip needs no model."""
        started = time.perf_counter()

        def ask(model: ModelInUse) -> Decision:
            if not isinstance(source, EmbeddedClip):
                return model.verifier.identify(model.hear, source, search)
            embedding = embedding_of(source, model.speaker_model)
            probe = Probe(embedding, source.net_speech_s, embedding.telephone, None)
            return model.verifier.bona_fide(
                model.verifier.identify_probe(probe, search, started), []
            )

        return self._decided(Task.IDENTIFY, ask)

    def verify(self, source: AudioSource, claim: Claim, caller: str | None = None) -> Decision:
        """Decide whether a clip is the voice of one speaker; failures of a caller are counted."""

        def decide(admit: Admit | None = None) -> Decision:
            if claim.challenge is not None:
                return self._answered(source, claim, caller, admit)
            return self._session.ask(
                lambda model: model.verifier.verify(model.hear, source, claim, admit=admit)
            )

        with self.trusting(Task.VERIFY):
            if caller is None:
                decision = decide()
            else:
                caller = caller_name(caller)
                decision = self.lockout.attempt(claim.name, caller, decide)
            self.record(decision, caller)
        return blinded(decision) if claim.blind else decision

    def _answered(
        self, source: AudioSource, claim: Claim, caller: str | None, admit: Admit | None
    ) -> Decision:
        """Decide whether a clip answers a code; the code is used up before the clip is heard."""
        from voiceid.speech.word_features import RATE_HZ, WordTape  # noqa: PLC0415 - only for codes
        from voiceid.verification.spoken_code import Answer  # noqa: PLC0415 - as above

        store = self._session.store
        with store.write() as writer:
            if admit is not None:
                admit(writer)
            words = writer.spoken.claimed(claim.challenge or "", claim.name, caller)

        def vocabulary(speaker_id: int) -> Vocabulary | None:
            with store.read() as reader:
                return reader.spoken.of(speaker_id)

        def ask(model: ModelInUse) -> Decision:
            tape, embedder = WordTape(), model.embedder
            answer = Answer(
                words, tape, vocabulary, lambda part: embedder.utterance((part, RATE_HZ))
            )
            return model.verifier.verify(
                lambda clip: embedder.with_speech(clip, tape), source, claim, answer
            )

        return self._session.ask(ask)

    def compare(self, a: AudioSource, b: AudioSource, aim: Aim) -> Decision:
        """Decide whether two clips are the same voice."""
        return self._decided(
            Task.COMPARE,
            lambda model: compare(
                model.hear,
                (a, b),
                lambda: model.back_end(aim),
                model.speaker_model.voices,
                model.speaker_model.countermeasure,
                knows_again=self._session.config.replay.check,
            ),
        )

    def search(self, clip: EmbeddedClip, search: Search) -> tuple[Candidate, ...]:
        """Return the nearest speakers to an embedding, without loading a model."""
        return self._session.ask(
            lambda model: model.verifier.search(embedding_of(clip, model.speaker_model), search)
        )

    def diarize(
        self,
        source: AudioSource,
        search: Search,
        names: bool | LinkedVoices,
        speakers: int | tuple[int, int] | None,
        progress: Callable[[str, float, float | None], None] | None,
    ) -> Diarization:
        """Find who spoke when; with names, each voice is identified."""
        from voiceid.diarization import LinkedVoices, Request  # noqa: PLC0415 - for this alone

        started, with_names = time.perf_counter(), names is not False
        request = Request.of(speakers, search.group if with_names else None, progress)

        def ask(model: ModelInUse) -> Diarization:
            namer = model.namer(search, started) if with_names else None
            result = model.diarizer.diarize(source, replace(request, name=namer))
            return (
                model.linked(result, names, search) if isinstance(names, LinkedVoices) else result
            )

        with self.trusting("diarize"):
            result = self._session.ask(ask)
            for voice in result.voices:
                if voice.decision is not None:
                    self.record(voice.decision)
        return result

    def embed(self, source: AudioSource, *, raw: bool) -> Embedding:
        """Return the embedding of a clip; raises NotEnoughSpeech if there is none."""
        embedder = self._session.loaded_model.embedder
        utterance = (embedder.raw if raw else embedder).utterance(source)
        if utterance.embedding is None:
            raise NotEnoughSpeech(
                f"{utterance.name} has {utterance.quality.net_speech_s:.2f} s of net speech,"
                f" but an embedding needs {embedder.least_s:g} s",
                hint="Record a longer clip, closer to the microphone.",
            )
        return utterance.embedding

    def each(
        self,
        task: Task,
        ask: Callable[[S], Decision],
        sources: Iterable[S],
        *,
        at_once: bool = True,
    ) -> Iterator[Decision | AudioError]:
        """Yield, in order, the answer about each clip; ``at_once``: several in parallel."""
        with self._session.observer.failures(task):
            model = self._session.loaded_model
            _ = model.embedder
        workers = model.speaker_model.workers if at_once else 1
        return runtime.in_order(or_error(ask), sources, workers)

    def _decided(self, task: Task, ask: Callable[[ModelInUse], Decision]) -> Decision:
        """Decide; the listeners receive the decision before the caller; an error is counted."""
        with self.trusting(task):
            decision = self._session.ask(ask)
            self.record(decision)
        return decision

    def record(self, decision: Decision, caller: str | None = None) -> None:
        """Send a decision to the listeners, the audit chain and the counters."""
        for callback in list(self._session.listeners.values()):
            callback(decision)
        if self._session.config.audit.record == "all":
            with self._session.store.write() as writer:
                writer.audit.append(DECISION, {**decision_facts(decision), "caller": caller})
        self._session.observer.decided(decision)
        if self._notes_uses and decision.accepted and decision.speaker is not None:
            self._used(decision.speaker.id)

    def _used(self, speaker_id: int) -> None:
        """Record that a speaker was accepted today, once a day."""
        session, today = self._session, datetime.now(UTC).date()
        if self._noted.get(speaker_id) != today:
            try:
                with session.store.write() as writer:
                    writer.retention.used(speaker_id)
            except StoreError as error:
                session.notify(f"the last use of speaker {speaker_id} was not recorded: {error}")
            else:
                self._noted[speaker_id] = today

    @contextmanager
    def trusting(self, doing: str) -> Iterator[None]:
        """Refuse to decide if every user may write to trusted paths; count the error."""
        started = time.perf_counter()
        try:  # `Observer.failures` would count each question twice
            self._require_trusted()
            yield
        except Exception as error:
            self._session.observer.failed(doing, error, started)
            raise

    def _require_trusted(self) -> None:
        for exposed in exposures(self._trusted):
            if exposed.grave:
                kind = self._trusted[exposed.path]
                raise kind(f"{exposed.message}; no decision was made", hint=exposed.hint)
            if exposed.path not in self._said:
                self._said.add(exposed.path)
                self._session.notify(f"{exposed.message}; {exposed.hint}")
