"""Whether two clips are of one voice; no speaker needs to be enrolled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from voiceid.audio import AudioSource
from voiceid.decision.embeddings import cosine
from voiceid.domain import UNHEARD_CODES, Condition, Decision, Reason, Speech, Task, Utterance
from voiceid.speech.fingerprint import Fingerprint
from voiceid.verification.answers import Facts, Probe
from voiceid.verification.policy import BackEnd
from voiceid.verification.presentation import require_bona_fide
from voiceid.verification.solo import require_solo

if TYPE_CHECKING:  # they load while the models do
    from voiceid.speech.countermeasure import Countermeasure
    from voiceid.speech.turns import Voices


def compare(
    hear: Callable[[AudioSource], Utterance],
    clips: tuple[AudioSource, AudioSource],
    back_end_now: Callable[[], BackEnd],
    voices: Callable[[], Voices] | None = None,
    countermeasure: Callable[[], Countermeasure] | None = None,
    *,
    knows_again: bool = False,
) -> Decision:
    """Decide whether two clips are of one voice; no speaker needs to be enrolled.

    With ``knows_again`` an acceptance says whether they come from one recording.
    """
    started = time.perf_counter()
    # 1. Hear both clips.
    first, second = map(hear, clips)
    shorter = min((first, second), key=lambda utterance: utterance.quality.net_speech_s)
    # 2. Read what decides now.
    back_end = back_end_now()
    probe = _probe_of_two(shorter, first, second)
    facts = Facts(Task.COMPARE, probe, back_end.space, back_end.rule, 0, started)
    if first.embedding is None or second.embedding is None:
        return facts.too_short()
    # 3. Score, and decide.
    score = cosine(back_end.moved(first.embedding).vector, back_end.moved(second.embedding).vector)
    judged = back_end.rule.judged(score, Condition.of_two(first.quality, second.quality))
    decision = facts.accept_or_reject(judged, Reason.BELOW_THRESHOLD, None, ())
    # 4. Each clip must have one voice, and be bona fide.
    decision = require_solo(decision, [first, second], back_end, voices)
    decision = require_bona_fide(decision, [first, second], countermeasure)
    if knows_again and decision.accepted and _are_one_recording(first.speech, second.speech):
        detail = f"{decision.detail}; the clips are of one recording, or have a part in common"
        return replace(decision, detail=detail)
    return decision


def _are_one_recording(clip: Speech | None, other: Speech | None) -> bool:
    if clip is None or other is None:  # embeddings
        return False
    return Fingerprint.of(clip).finds([Fingerprint.of(other).kept])[0]


def _probe_of_two(shorter: Utterance, *both: Utterance) -> Probe:
    """Return the probe of the shorter clip, with the unheard parts of both."""
    unheard = [f"{clip.name}: {text}" for clip in both for text in clip.quality.unheard]
    codes = [code for clip in both for code in clip.quality.warnings if code in UNHEARD_CODES]
    warnings = dict.fromkeys((*shorter.quality.warnings, *codes))
    quality = replace(shorter.quality, warnings=tuple(warnings), unheard=tuple(unheard))
    return Probe.of(replace(shorter, quality=quality))
