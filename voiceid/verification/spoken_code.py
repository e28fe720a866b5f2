"""Whether a clip that would be accepted answers a code, in one voice.

Everything here fails closed: a decision that is not accepted stays as it is, and an acceptance
stays one only when every check passes.  The limits are measured in benchmarks/results/challenge.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from voiceid.decision.word_matching import Match, Vocabulary, match
from voiceid.domain import Decision, Float32Array, Outcome, Reason, Utterance
from voiceid.speech.word_features import HOP, WordTape, word_features
from voiceid.verification.solo import Likeness

MAX_EXCESS = 0.7
"""How much better another code may fit: one word may be said unlike its recordings."""
MAX_DISTANCE = 6.0
"""The mean distance of the words: a sound that is farther is not one of them."""
MIN_DISTANCE = 3.1
"""The median: words that are said again are farther from their recordings; a copy is nearer."""


def is_code(matched: Match) -> bool:
    """Whether an answer is the code that it was compared with."""
    return matched.excess <= MAX_EXCESS and float(matched.distances.mean()) <= MAX_DISTANCE


def is_copy(matched: Match) -> bool:
    """Whether the words are pieces of enrolled recordings."""
    return float(np.median(matched.distances)) < MIN_DISTANCE


@dataclass(frozen=True, slots=True)
class Answer:
    """A clip that must answer a code.

    - `words`: the code; None: there is no code, or it is too old.
    - `tape`: the samples of the clip, once it is heard.
    - `vocabulary`: returns the words of the speaker; None: the speaker has no words.
    - `hear`: returns the utterance of (n,) samples at 16 kHz.
    """

    words: tuple[str, ...] | None
    tape: WordTape
    vocabulary: Callable[[int], Vocabulary | None]
    hear: Callable[[Float32Array], Utterance]

    def judge(self, decision: Decision, like: Likeness) -> Decision:
        """Return a decision, or the rejection of an acceptance because of the code."""
        if not decision.accepted:
            return decision
        started = time.perf_counter()
        problem = self._problem(decision, like)
        elapsed_ms = decision.elapsed_ms + (time.perf_counter() - started) * 1e3
        decision = replace(decision, elapsed_ms=elapsed_ms)
        if problem is None:
            return replace(decision, detail=f"{decision.detail}; the code was said")
        reason, detail = problem
        return replace(decision, outcome=Outcome.REJECTED, reason=reason, detail=detail)

    def _problem(self, decision: Decision, like: Likeness) -> tuple[Reason, str] | None:
        if self.words is None:
            detail = "there is no code with this id, or it was answered, or it is too old"
            return Reason.CHALLENGE_EXPIRED, detail
        speaker, quality = decision.speaker, decision.quality
        known = None if speaker is None else self.vocabulary(speaker.id)
        if known is None or quality is None or quality.sample_rate_hz is None:
            return Reason.CHALLENGE_FAILED, "the speaker has no recorded words to check a code"
        if not set(self.words) <= set(known.words):
            return Reason.CHALLENGE_FAILED, "the words of the speaker were changed meanwhile"
        samples = self.tape.samples(quality.sample_rate_hz)
        return self._unlike(samples, known, self.words, like)

    def _unlike(
        self, samples: Float32Array, known: Vocabulary, words: tuple[str, ...], like: Likeness
    ) -> tuple[Reason, str] | None:
        """Return why an answer is refused; None: it is the code in one voice, and no copy."""
        features = word_features(samples)
        code = [known.words.index(word) for word in words]
        matched = match(features.frames, features.is_speech, known.tokens, code)
        if not is_code(matched):
            return Reason.CHALLENGE_FAILED, "the clip is not the code that was asked for"
        if is_copy(matched):
            return Reason.REPLAYED, "the words are pieces of the recordings that were enrolled"
        for half in _halves(samples, matched):
            voice = self.hear(half)
            speech_s = voice.quality.net_speech_s
            if voice.embedding is not None and like(voice.embedding, speech_s) is None:
                detail = "half of the code is not in the voice of the speaker"
                return Reason.CHALLENGE_FAILED, detail
        return None


def _halves(samples: Float32Array, matched: Match) -> Iterator[Float32Array]:
    """Yield the two halves of an answer, cut in the pause after half of the words."""
    middle = len(matched.words) // 2
    cut = (matched.words[middle - 1].end + matched.words[middle].start) // 2 * HOP
    yield samples[:cut]
    yield samples[cut:]
