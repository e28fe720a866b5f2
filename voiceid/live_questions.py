"""Questions about live sound: of each turn the model in use is asked, or a code is asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from voiceid.audio import AudioSource, LiveSourceName, live_source
from voiceid.domain import Decision, Outcome, Reason, Speech, Utterance, caller_name, speaker_key
from voiceid.domain.code_words import Challenge
from voiceid.errors import ChangeRefused, ConfigError, ThresholdUnavailable
from voiceid.listening import CodeListener, Decide, EarlyListener, Listener, LiveOptions, LiveStream
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
    """Makes what listens."""

    def __init__(self, session: Session, questions: Questions, challenges: Challenges) -> None:
        self._session, self._questions, self._challenges = session, questions, challenges

    def listen(self, source: LiveSourceName | None, how: ListenKeywords) -> Listener | LiveStream:
        """Return what says who speaks live: in a source, or in what is fed."""
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
            self._require_claimable(claim)
        self._questions.warm_up()
        record = partial(self._record_turn, search, claim, how.get("caller"))
        decide, alone = self._decider(search, claim), partial(self._alone, search, claim)
        ended = self._keep if self._session.config.replay.check else None
        return EarlyListener(self._embedder, decide, alone, record, options, ended=ended)

    def _code_listener(self, how: ListenKeywords, options: LiveOptions) -> Listener:
        """Return what asks who is recognized for a code, and judges the answer as `verify` does."""
        search, caller = live_search_of(how), how.get("caller")
        if how.get("speaker") is not None:
            raise ConfigError(
                "a code is asked of each who is recognized, and a speaker is named",
                hint="Leave one out; a name is verified by code with `verify NAME --challenge`.",
            )
        if how.get("blind"):
            raise ConfigError(
                "a request for a code names the speaker, and a blind caller may not learn names",
                hint="Leave out blind, or challenge.",
            )

        def recognize(said: AudioSource) -> Challenge | Decision:
            with self._questions.trusting("listen"):
                decision = self._session.ask(
                    lambda model: model.verifier.identify(model.hear, said, search)
                )
                if decision.accepted:
                    name = "" if decision.speaker is None else decision.speaker.name
                    try:
                        return self._challenges.new(name, caller=caller)
                    except ChangeRefused as error:  # there are no words
                        decision = _without_words(decision, error)
                self._questions.record(decision, caller)
                return decision

        def answer(said: AudioSource, code: Challenge) -> Decision:
            of = (search.aim, search.group, False, search.purpose)
            return self._questions.verify(said, Claim(code.speaker, *of, challenge=code.id), caller)

        self._questions.warm_up()
        return CodeListener(self._embedder().detector, recognize, answer, options)

    def _require_claimable(self, claim: Claim) -> None:
        speaker_key(claim.name)
        if not claim.blind:
            with self._session.store.read() as reader:
                reader.speakers.get(claim.name)

    def _record_turn(
        self,
        search: Search,
        claim: Claim | None,
        caller: str | None,
        decision: Decision,
        heard: Utterance,
    ) -> Decision:
        """Record the decision of a turn, which is an attempt of a caller; return what is given."""
        with self._questions.trusting("listen"):
            verifier = self._session.loaded_model.verifier
            decision = verifier.unless_replayed(decision, heard.speech, search.aim, search.group)
        if claim is not None and caller is not None:
            self._questions.lockout.attempt(claim.name, caller_name(caller), lambda: decision)
        self._questions.record(decision, caller)
        return decision if claim is None or not claim.blind else blinded(decision)

    def _keep(self, decision: Decision, speech: Speech) -> None:
        """Keep what was said after an acceptance, to know a recording of it again."""
        replays = self._session.loaded_model.verifier.replays
        if replays is not None:
            replays.accepted(decision, speech)

    def _alone(
        self, search: Search, claim: Claim | None, decision: Decision, turn: Utterance
    ) -> Decision:
        """Return what becomes of an acceptance within a turn because of the whole of it."""

        def ask(model: ModelInUse) -> Decision:
            if turn.embedding is not None:
                model.space.require_same(turn.embedding.space)
            return model.verifier.alone(decision, turn, search.aim, search.group)

        with self._questions.trusting("listen"):
            found = self._session.ask(ask)
        return found if claim is None or not claim.blind else blinded(found)

    def _decider(self, search: Search, claim: Claim | None) -> Decide:
        """Return what decides about a turn; with a claim, whether it is that speaker's."""

        def decide(heard: Utterance, *, in_sequence: bool, is_last: bool) -> Decision | None:
            asked = replace(search, aim=replace(search.aim, in_sequence=in_sequence))

            def ask(model: ModelInUse) -> Decision:
                if heard.embedding is not None:
                    model.space.require_same(heard.embedding.space)
                # A turn is looked at several times: it is asked once whether it is a replay.
                verifier = replace(model.verifier, replays=None)
                if claim is None:
                    return verifier.identify(lambda _: heard, heard.name, asked)
                claimed = replace(claim, aim=asked.aim)
                return verifier.verify(lambda _: heard, heard.name, claimed)

            with self._questions.trusting("listen"):
                try:
                    decision = self._session.ask(ask)
                except ThresholdUnavailable:
                    if is_last:
                        raise
                    return None
            if is_last or claim is None:
                return decision
            return _without_early_rejection(decision, claim)

        return decide

    def _embedder(self) -> Embedder:
        return self._session.loaded_model.embedder


def _without_early_rejection(decision: Decision, claim: Claim) -> Decision:
    """Return a decision within a turn: a rejection of a blind claim is not certain before its end.

    When it would be certain tells how the voice scores, and whether the name is enrolled.
    """
    if claim.blind and decision.outcome is Outcome.REJECTED:
        return replace(decision, reason=Reason.BELOW_THRESHOLD, llr=None)
    return decision


def _without_words(decision: Decision, error: ChangeRefused) -> Decision:
    """Return the rejection of who would be asked for a code, and taught no words."""
    reason = Reason.CHALLENGE_FAILED
    detail = f"{error.message}: `voiceid challenges enroll NAME AUDIO...` teaches them"
    return replace(decision, outcome=Outcome.REJECTED, reason=reason, speaker=None, detail=detail)
