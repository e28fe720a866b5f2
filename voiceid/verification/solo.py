"""The result of an acceptance when several people speak in the clip."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from voiceid.decision.rule import DecisionRule
from voiceid.domain import (
    Candidate,
    Decision,
    Embedding,
    Float32Array,
    Outcome,
    Reason,
    Solo,
    Task,
    Utterance,
    VoicePart,
)
from voiceid.verification.policy import BackEnd

if TYPE_CHECKING:  # loaded when a clip is about to be accepted
    from voiceid.speech.turns import Scores, Several, Voices

Likeness: TypeAlias = Callable[[Embedding, float], Candidate | None]
"""Returns the speaker that an embedding of some seconds would be accepted as."""

_CLEAR_LEAD = 0.31
"""Above the card's strictest threshold: more than two people in turn reach (docs/voices.md)."""
WARNING = "several_voices"
"""Warning in the quality of a clip that was accepted despite several voices."""
_NAMED = 6
"""The most parts that a message lists."""


def require_solo(
    decision: Decision,
    clips: Sequence[Utterance],
    back_end: BackEnd,
    voices: Callable[[], Voices] | None,
    like: Likeness = lambda *_: None,
    enrolled: Float32Array | None = None,
) -> Decision:
    """Return a decision, changed if several people speak in a clip.

    Only an acceptance that is not clear is checked.  Without the speech of a clip, or without
    ``voices``, nothing can be checked.  Raises ModelError.

    ``enrolled`` is the vector (dim,) of the voice that is accepted.
    """
    if _is_clear(decision, back_end.rule):
        return decision
    return alone(decision, clips, back_end, voices, like, enrolled)


def alone(
    decision: Decision,
    clips: Sequence[Utterance],
    back_end: BackEnd,
    voices: Callable[[], Voices] | None,
    like: Likeness = lambda *_: None,
    enrolled: Float32Array | None = None,
) -> Decision:
    """Return the result of :func:`require_solo`, also for a clear acceptance."""
    solo = back_end.solo
    if decision.outcome is not Outcome.ACCEPTED or solo is Solo.OFF or voices is None:
        return decision
    started = time.perf_counter()
    scores = None if enrolled is None else _scores(back_end, enrolled)
    for clip in clips:
        if clip.speech is None:
            continue
        several = voices().several(clip.speech, scores, clip.quality.telephone)
        if several is not None:
            where = f" in {clip.name}" if len(clips) > 1 else ""
            decision = _not_alone(decision, tuple(_named(several, like)), solo, where)
            break
    elapsed_ms = decision.elapsed_ms + (time.perf_counter() - started) * 1e3
    return replace(decision, elapsed_ms=elapsed_ms)


def _scores(back_end: BackEnd, enrolled: Float32Array) -> Scores | None:
    """Return the function that scores embeddings against a voice; see `Voices.several`.

    None in an adapted space, for which the limits of such scores were not measured.
    """
    if back_end.transform is not None:
        return None
    return lambda voices: np.stack([voice.vector for voice in voices]) @ enrolled


def _is_clear(decision: Decision, rule: DecisionRule) -> bool:
    """Whether a score is so high that nearly all of the clip must be one speaker's.

    The strictest threshold of the model is used, whatever the target: a loose one shows nothing.
    """
    score, quality = decision.score, decision.quality
    share = 1.0 if quality is None or quality.telephone is None else quality.telephone
    return score is not None and score >= rule.strictest(share) + _CLEAR_LEAD


def _named(several: Several, like: Likeness) -> Iterator[VoicePart]:
    """Yield the parts of a clip, each with the speaker that it sounds like."""
    likes = {voice: like(*heard) for voice, heard in several.embeddings.items()}
    for part in several.parts:
        candidate = None if part.voice is None else likes.get(part.voice)
        if candidate is None:
            yield part
        else:
            yield replace(part, sounds_like=candidate.speaker.name, score=candidate.score)


def _not_alone(
    decision: Decision, parts: tuple[VoicePart, ...], solo: Solo, where: str
) -> Decision:
    shown = "; ".join(map(str, parts[:_NAMED])) + ("; ..." if len(parts) > _NAMED else "")
    detail = f"several people speak{where}: {shown}"
    if solo is Solo.REQUIRE:
        return replace(
            decision,
            outcome=Outcome.INCONCLUSIVE,
            reason=Reason.SEVERAL_VOICES,
            speaker=decision.speaker if decision.task is Task.VERIFY else None,
            parts=parts,
            detail=detail,
        )
    quality = decision.quality
    if quality is not None:
        quality = replace(quality, warnings=(*quality.warnings, WARNING))
    return replace(decision, parts=parts, quality=quality, detail=f"{decision.detail}; {detail}")
