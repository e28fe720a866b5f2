"""Questions about live sound: recognition of each turn, or requests for spoken codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from voiceid.audio import AudioSource, LiveSourceName, live_source
from voiceid.domain import Decision, Outcome, Reason, Speech, Utterance, caller_name, speaker_key
from voiceid.domain.code_words import Challenge
from voiceid.errors import ChangeRefused, ConfigError, ThresholdUnavailable
from voiceid.listening import CodeListener, EarlyListener, Listener, LiveOptions, LiveStream
from voiceid.listening.endpointing import CODE_SILENCE_S
from voiceid.model_in_use import ModelInUse
from voiceid.questions import Questions
from voiceid.resources.challenges import Challenges
from voiceid.session import Session
from voiceid.speech.embedder import Embedder
from voiceid.verification import Claim, Search
from voiceid.verification.answers import blinded
from voiceid.verification.calls import ListenKeywords, live_search_of


class LiveQuestions:
    """Creates listeners."""

    def __init__(self, session: Session, questions: Questions, challenges: Challenges) -> None:
        self._session, self._questions, self._challenges = session, questions, challenges

    def listen(self, source: LiveSourceName | None, how: ListenKeywords) -> Listener | LiveStream:
        """Return a listener: for a source, or for samples that the caller feeds."""
        audio, silence_s = self._session.config.audio, how.get("silence_s")
        asks_codes = how.get("challenge", False)
        read = None if source is None else live_source(source, audio)
        where = "<live>" if read is None else read.where
        if silence_s is None:
            silence_s = CODE_SILENCE_S if asks_codes else 0.8
        options = LiveOptions(silence_s, channel=audio.channel, name=where)
        listener = (self._code_listener if asks_codes else self._early_listener)(how, options)
        return listener if read is None else LiveStream(read, listener)

    def _early_listener(self, how: ListenKeywords, options: LiveOptions) -> Listener:
        search, speaker, claim = live_search_of(how), how.get("speaker"), None
        if speaker is not None:
            blind = how.get("blind", False)
            claim = Claim(speaker, search.aim, search.group, blind, search.purpose)
            speaker_key(speaker)
            if not blind:
                with self._session.store.read() as reader:
                    reader.speakers.get(speaker)
        self._questions.warm_up()
        asking = TurnQuestions(self._session, self._questions, search, claim, how.get("caller"))
        return EarlyListener(asking, options)

    def _code_listener(self, how: ListenKeywords, options: LiveOptions) -> Listener:
        """Return a listener that requests a code after recognition, and checks the answer."""
        search, caller = live_search_of(how), how.get("caller")
        if how.get("speaker") is not None:
            raise ConfigError(
                "a code is requested from every recognized speaker, but a speaker is named",
                hint="Leave out one of them; `verify NAME --challenge` verifies a name by code.",
            )
        if how.get("blind"):
            raise ConfigError(
                "a request for a code shows the speaker's name, but blind callers may not learn it",
                hint="Leave out blind, or challenge.",
            )

        def recognize(clip: AudioSource) -> Challenge | Decision:
            with self._questions.trusting("listen"):
                decision = self._session.ask(
                    lambda model: model.verifier.identify(model.hear, clip, search)
                )
                if decision.accepted:
                    name = "" if decision.speaker is None else decision.speaker.name
                    try:
                        return self._challenges.new(name, caller=caller)
                    except ChangeRefused as error:  # the speaker has no words
                        decision = _without_words(decision, error)
                self._questions.record(decision, caller)
                return decision

        def answer(clip: AudioSource, code: Challenge) -> Decision:
            of = (search.aim, search.group, False, search.purpose)
            return self._questions.verify(clip, Claim(code.speaker, *of, challenge=code.id), caller)

        self._questions.warm_up()
        return CodeListener(
            self._session.loaded_model.embedder.detector, recognize, answer, options
        )


@dataclass(frozen=True, slots=True)
class TurnQuestions:
    """Asks the model in use about turns: who speaks, or whether the claimed speaker does."""

    session: Session
    questions: Questions
    search: Search
    claim: Claim | None
    caller: str | None

    def embedder(self) -> Embedder:
        """See `Decider`."""
        return self.session.loaded_model.embedder

    def decide(self, heard: Utterance, *, in_sequence: bool, is_last: bool) -> Decision | None:
        """See `Decider`."""
        claim = self.claim
        search = replace(self.search, aim=replace(self.search.aim, in_sequence=in_sequence))

        def ask(model: ModelInUse) -> Decision:
            if heard.embedding is not None:
                model.space.require_same(heard.embedding.space)
            # A turn is checked several times, but for replays only once.
            verifier = replace(model.verifier, replays=None)
            if claim is None:
                return verifier.identify(lambda _: heard, heard.name, search)
            return verifier.verify(lambda _: heard, heard.name, replace(claim, aim=search.aim))

        with self.questions.trusting("listen"):
            if claim is not None and self.caller is not None:  # a lock does not depend on the voice
                self.questions.lockout.failures(claim.name, caller_name(self.caller))
            try:
                decision = self.session.ask(ask)
            except ThresholdUnavailable:
                if is_last:
                    raise
                return None
        return decision if is_last or claim is None else _without_early_rejection(decision, claim)

    def alone(self, decision: Decision, turn: Utterance) -> Decision:
        """See `Decider`."""

        def ask(model: ModelInUse) -> Decision:
            if turn.embedding is not None:
                model.space.require_same(turn.embedding.space)
            return model.verifier.alone(decision, turn, self.search.aim, self.search.group)

        with self.questions.trusting("listen"):
            return self._shown(self.session.ask(ask))

    def record(self, decision: Decision, heard: Utterance) -> Decision:
        """Record the decision of a turn, an attempt of a caller; return the decision to show."""
        aim, group = self.search.aim, self.search.group
        with self.questions.trusting("listen"):
            verifier = self.session.loaded_model.verifier
            decision = verifier.unless_replayed(decision, heard.speech, aim, group)
        if self.claim is not None and self.caller is not None:
            caller = caller_name(self.caller)
            self.questions.lockout.attempt(self.claim.name, caller, lambda _: decision)
        self.questions.record(decision, self.caller)
        return self._shown(decision)

    def keep(self, decision: Decision, speech: Callable[[], Speech]) -> None:
        """See `Decider`."""
        replays_for = self.session.loaded_model.verifier.replays_for
        if (replays := replays_for(self.search.aim, self.search.group)) is not None:
            replays.accepted(decision, speech())

    def _shown(self, decision: Decision) -> Decision:
        return blinded(decision) if self.claim is not None and self.claim.blind else decision


def _without_early_rejection(decision: Decision, claim: Claim) -> Decision:
    """Return a decision within a turn: a rejection of a blind claim is not final before its end.

    The time of a final rejection would reveal the score, and whether the name is enrolled.
    """
    if claim.blind and decision.outcome is Outcome.REJECTED:
        return replace(decision, reason=Reason.BELOW_THRESHOLD, llr=None)
    return decision


def _without_words(decision: Decision, error: ChangeRefused) -> Decision:
    """Return the rejection of a recognized speaker who has no words for a code."""
    reason = Reason.CHALLENGE_FAILED
    detail = f"{error.message}: `voiceid enroll NAME --digits` enrols words"
    return replace(decision, outcome=Outcome.REJECTED, reason=reason, speaker=None, detail=detail)
