"""Spoken codes: the words that speakers taught, and new codes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from voiceid.audio import AudioSource, LiveSourceName, live_source
from voiceid.decision.aims import Aim
from voiceid.domain import Utterance, caller_name, speaker_key
from voiceid.domain.code_words import (
    CHALLENGE_S,
    CODE_LENGTHS,
    DIGITS,
    MAX_ROUNDS,
    MIN_ROUNDS,
    Challenge,
    SpokenWords,
    spoken_words,
)
from voiceid.errors import ChangeRefused, ConfigError
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.verification import Claim

if TYPE_CHECKING:  # they load while the models do
    from voiceid.decision.word_matching import Vocabulary
    from voiceid.model_in_use import ModelInUse
    from voiceid.speech.word_features import WordFeatures

_LONGEST_ANSWER_S = 25.0


class Challenges(OfSession):
    """Words that a speaker taught, and codes of them to say now (docs/challenge.md)."""

    def enroll(
        self, name: str, rounds: Sequence[AudioSource], *, words: Sequence[str] = DIGITS
    ) -> SpokenWords:
        """Learn how an enrolled speaker says some words; earlier words are replaced.

        Parameters
        ----------
        rounds : sequence of AudioSource
            Three to ten recordings of the speaker, each of all words in their order, with a short
            pause after each word.
        words : sequence of str
            How they are shown, in any language: the English digits when omitted.

        Raises ChangeRefused: a round is not in the speaker's voice, has not as many words, or does
        not fit the others; SpeakerNotFound, AudioError, ModelError, StoreError, ConfigError.
        """
        shown = spoken_words(words)
        if not MIN_ROUNDS <= len(rounds) <= MAX_ROUNDS:
            raise ConfigError(
                f"{len(rounds)} rounds were given",
                hint=f"Record {MIN_ROUNDS} to {MAX_ROUNDS}, each of all words.",
            )
        with self._session.observer.failures(ChangeKind.ENROLL_WORDS):
            with self._session.store.read() as reader:
                heard_as = reader.speakers.get(name)
            vocabulary = self._session.ask(lambda model: _taught(model, name, rounds, shown))
        with self._session.change(ChangeKind.ENROLL_WORDS) as change:
            speaker = change.writer.speakers.get(name)
            if speaker.id != heard_as.id:
                raise ChangeRefused(
                    f"{name} was removed or renamed while the rounds were read",
                    hint="Check who has the name, and record the rounds again.",
                )
            change.writer.spoken.put(speaker.id, vocabulary)
            change.record(speaker=speaker.name, speaker_id=speaker.id, samples=len(rounds))
        return SpokenWords(speaker.name, shown, vocabulary.rounds)

    def record(
        self,
        source: LiveSourceName = "mic",
        *,
        words: Sequence[str] = (),
        opened: Callable[[], None] | None = None,
    ) -> tuple[npt.NDArray[Any], int]:
        """Record speech until the speaker is silent for 1.5 s; return samples and rate.

        Parameters
        ----------
        source : str, path or binary file object
            As :meth:`VoiceID.listen` takes it.
        words : sequence of str, optional
            It is a round of these words, of 60 s at most; else the answer to a code, of 25 s.
        opened : callable, optional
            Called once there is sound, before anything is to be said.

        Raises ChangeRefused: a round has not as many words; AudioError, ModelError, ExtraMissing,
        ConfigError.
        """
        from voiceid.enrollment.rounds import require_words  # noqa: PLC0415 - for this alone
        from voiceid.listening.spoken_answer import SpokenAnswer  # noqa: PLC0415
        from voiceid.speech.word_features import LONGEST_S, word_features  # noqa: PLC0415

        audio = self._session.config.audio
        detector = self._session.loaded_model.embedder.detector
        longest_s = LONGEST_S if words else _LONGEST_ANSWER_S
        live = live_source(source, audio)
        answer = SpokenAnswer(live, detector, audio.channel, longest_s, opened)
        if words:
            require_words(word_features(answer.heard), len(spoken_words(words)))
        return answer.samples, answer.rate_hz

    def get(self, name: str) -> SpokenWords | None:
        """Return the words of a speaker, or None; raises SpeakerNotFound."""
        with self._session.store.read() as reader:
            speaker = reader.speakers.get(name)
            words = reader.spoken.of(speaker.id)
        return None if words is None else SpokenWords(speaker.name, words.words, words.rounds)

    def new(
        self,
        name: str,
        *,
        length: int = 6,
        caller: str | None = None,
        blind: bool = False,
        groups: Sequence[str] = (),
    ) -> Challenge:
        """Create a code: random words of the speaker, to be said within 30 seconds, once.

        Parameters
        ----------
        length : int
            Four to eight words.
        caller : str, optional
            The caller; the answer must come from the same one.
        blind : bool
            Hide from the caller who is enrolled: a name that is not enrolled gets a code, too.
        groups : sequence of str
            With ``blind``: speakers of other groups alone count as not enrolled; empty: all count.

        Raises ChangeRefused: no words are enrolled; SpeakerNotFound, StoreError, ConfigError.
        """
        fewest, most = CODE_LENGTHS
        if not isinstance(length, int) or not fewest <= length <= most:
            raise ConfigError(
                f"a code cannot have {length!r:.20} words", hint=f"Use {fewest} to {most} words."
            )
        speaker_key(name)
        caller = None if caller is None else caller_name(caller)
        with self._session.store.write() as writer:
            speaker = writer.speakers.find(name) if blind else writer.speakers.get(name)
            if blind and groups and speaker and set(groups).isdisjoint(speaker.groups):
                speaker = None
            taught = None if speaker is None else writer.spoken.of(speaker.id)
            if taught is None and not blind:
                raise _untaught(name)
            shown = taught or writer.spoken.first()
            words = DIGITS if shown is None else shown.words
            code = tuple(secrets.choice(words) for _ in range(length))
            until = datetime.now(UTC) + timedelta(seconds=CHALLENGE_S)
            challenge = Challenge(secrets.token_hex(16), name, code, until)
            writer.spoken.ask(challenge, caller)
        return challenge

    def forget(self, name: str) -> None:
        """Erase the words of a speaker; the speaker stays enrolled.

        Raises ChangeRefused: there are none; SpeakerNotFound, ErasureIncomplete, StoreError.
        """
        with self._session.change(ChangeKind.FORGET_WORDS) as change:
            speaker = change.writer.speakers.get(name)
            if not change.writer.spoken.remove(speaker.id):
                raise _untaught(speaker.name)
            change.record(speaker=speaker.name, speaker_id=speaker.id)


def _untaught(name: str) -> ChangeRefused:
    return ChangeRefused(
        f"no words of {name} are enrolled, so no code can be made",
        hint="Record some rounds: `voiceid enroll NAME --digits`.",
    )


def _taught(
    model: ModelInUse, name: str, rounds: Sequence[AudioSource], words: tuple[str, ...]
) -> Vocabulary:
    """Return the words of rounds, which must all be in the speaker's voice."""
    from voiceid.enrollment.rounds import vocabulary_of  # noqa: PLC0415 - for this alone
    from voiceid.speech.word_features import WordTape, word_features  # noqa: PLC0415

    heard: list[WordFeatures] = []
    names, digests = list[str](), set[str]()
    for source in rounds:
        tape, clips = WordTape(), list[Utterance]()

        def hear(clip: AudioSource) -> Utterance:
            clips.append(model.embedder.with_speech(clip, tape))  # noqa: B023 - called at once
            return clips[-1]  # noqa: B023

        decision = model.verifier.verify(hear, source, Claim(name, Aim(allow_replayed=True)))
        source_name = "" if clips[0].name.startswith("<") else f" ({clips[0].name})"
        names.append(f"round {len(names) + 1}{source_name}")
        if not decision.accepted:
            raise ChangeRefused(
                f"{names[-1]} is not accepted as the speaker's voice: {decision.detail}",
                hint="Record it alone, and where the voice was enrolled; nothing was changed.",
            )
        if clips[0].pcm_sha256 in digests:
            raise ChangeRefused(f"{names[-1]} is the same recording as an earlier round")
        digests.add(clips[0].pcm_sha256)
        rate_hz = clips[0].quality.sample_rate_hz or 0
        heard.append(word_features(tape.samples(rate_hz, names[-1])))
    return vocabulary_of(words, heard, names)
