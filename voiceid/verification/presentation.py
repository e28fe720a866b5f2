"""The rejection of an acceptance whose clip a countermeasure takes for an attack."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from voiceid.domain import Decision, Outcome, Reason, Task, Utterance
from voiceid.errors import AudioInvalid

if TYPE_CHECKING:  # loaded when a clip is about to be accepted
    from voiceid.speech.countermeasure import Countermeasure


def require_bona_fide(
    decision: Decision,
    clips: Sequence[Utterance],
    countermeasure: Callable[[], Countermeasure] | None,
) -> Decision:
    """Return a decision, or the rejection that the countermeasure makes of it.

    The clips are checked only for an acceptance, and only if there is a ``countermeasure``.  Raises
    ModelError, and AudioInvalid if there is no sound to check: then nothing is accepted.
    """
    if countermeasure is None or not decision.accepted:
        return decision
    started, detector = time.perf_counter(), countermeasure()
    threshold = detector.threshold
    speech = [clip.speech for clip in clips if clip.speech is not None]
    if not speech or len(speech) < len(clips):
        raise AudioInvalid(
            f"the countermeasure {detector.name} must hear what is accepted, and an embedding was"
            " given instead of a recording",
            hint="Ask with the recording, or take `countermeasure` out of the settings.",
        )
    score = min(detector.score(part.samples) for part in speech)
    if not threshold.is_bona_fide(score):
        decision = replace(
            decision,
            outcome=Outcome.REJECTED,
            reason=Reason.PRESENTATION_ATTACK,
            speaker=decision.speaker if decision.task is Task.VERIFY else None,
            detail=f"{detector.name} takes the clip for an attack: score {score:.4g} < threshold"
            f" {threshold.value:.4g} (BPCER {100 * threshold.target_bpcer:.3g} %)",
        )
    elapsed_ms = decision.elapsed_ms + (time.perf_counter() - started) * 1e3
    return replace(decision, elapsed_ms=elapsed_ms)
