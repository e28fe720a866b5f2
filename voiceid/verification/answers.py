"""The answers to questions about one clip.

Everything here fails closed.  Only `Facts.accept_or_reject` makes an acceptance: it compares a
finite score with a threshold, and no exception leads to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from voiceid.decision.operating_points import Shortage
from voiceid.decision.rule import DecisionRule, Judged, percent
from voiceid.domain import (
    Candidate,
    Condition,
    Decision,
    Embedding,
    EmbeddingSpace,
    Enrolled,
    Outcome,
    QualityReport,
    Reason,
    SpeakerRef,
    Task,
    Utterance,
)

_BARS = {
    Reason.SPEAKER_EXPIRED: "{} is expired, and is not accepted whatever the score",
    Reason.SPEAKER_DISABLED: "{} is disabled, and is not accepted whatever the score",
    Reason.NO_CONSENT: "no consent of {} is in force{}: not accepted whatever the score",
    Reason.CLOCK_BEHIND: "{} has an expiry, or a consent that ends, and the clock is earlier than"
    " the newest row of the database: set the clock",
    Reason.REPLAYED: "this very recording is enrolled, so it does not show that {} is speaking",
}
"""Why a speaker is not accepted; the first field is the speaker's name."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The clip or vector of a question: one side of a comparison."""

    embedding: Embedding | None  # None: too little speech
    net_speech_s: float | None
    telephone: float | None  # None: not known
    quality: QualityReport | None  # None: a vector was given instead of audio
    pcm_sha256: str = ""  # of the recording; empty: a vector was given

    @classmethod
    def of(cls, utterance: Utterance) -> Probe:
        """Return the probe of a clip."""
        quality = utterance.quality
        speech_s, telephone = quality.net_speech_s, quality.telephone
        return cls(utterance.embedding, speech_s, telephone, quality, utterance.pcm_sha256)

    def against(self, enrolled: Enrolled) -> Condition:
        """Return the condition of a comparison with an enrolment."""
        quality = self.quality
        return enrolled.against(
            self.net_speech_s,
            telephone=self.telephone,
            snr_db=None if quality is None else quality.snr_db,
            level_dbfs=None if quality is None else quality.level_dbfs,
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of every decision about one clip, for any outcome."""

    task: Task
    probe: Probe
    space: EmbeddingSpace
    rule: DecisionRule
    gallery_size: int
    started: float
    group: str | None = None
    purpose: str | None = None

    def decision(self, outcome: Outcome, reason: Reason, detail: str, **more: Any) -> Decision:
        """Return a decision; fields that are not given are None."""
        values: dict[str, Any] = {
            "speaker": None,
            "score": None,
            "threshold": None,
            "llr": None,
            "calibration": None,
            "margin": None,
            "runner_up": None,
            "candidates": (),
        }
        return Decision(
            task=self.task,
            outcome=outcome,
            reason=reason,
            quality=self.probe.quality,
            embedding_space=self.space,
            gallery_size=self.gallery_size,
            group=self.group,
            elapsed_ms=(time.perf_counter() - self.started) * 1e3,
            detail=detail,
            **(values | more),
        )

    def empty(self, enrolled: Mapping[str, int]) -> Decision:
        """Return the rejection by a gallery, or a group, without speakers.

        ``enrolled`` says how many speakers there are in each embedding space that has any.
        """
        where = "" if self.group is None else f" of the group {self.group}"
        detail = (
            f"no speaker{where} is enrolled in {self.space.id}{elsewhere(self.space, enrolled)}"
        )
        return self.decision(Outcome.REJECTED, Reason.GALLERY_EMPTY, detail)

    def unknown(self) -> Decision:
        """Return the rejection of a blind claim to be a speaker who cannot be verified here."""
        detail = "no speaker of that name can be verified here"
        return self.decision(Outcome.REJECTED, Reason.UNKNOWN, detail)

    def too_short(self, *, speaker: SpeakerRef | None = None) -> Decision:
        """Return the inconclusive decision for too little speech."""
        net, missing = self.probe.net_speech_s or 0.0, self._shortage()
        least_s = min((point.min_net_speech_s for point in self.rule.points), default=0.0)
        least = f", which takes {least_s:g} s" if net < least_s else ""
        return self.decision(
            Outcome.INCONCLUSIVE,
            Reason.NOT_ENOUGH_SPEECH,
            f"only {net:.2f} s of net speech: too little for a score{least}{self._needed(missing)}",
            speaker=speaker,
            more_speech_s=None if missing is None else missing.more_speech_s,
        )

    def ambiguous(
        self,
        best: Candidate,
        runner_up: Candidate,
        judged: Judged,
        margin: float,
        shown: tuple[Candidate, ...],
    ) -> Decision:
        """Return the inconclusive decision for a runner-up that is too close."""
        lead = judged.score - runner_up.score
        return self.decision(
            Outcome.INCONCLUSIVE,
            Reason.AMBIGUOUS,
            f"{best.speaker.name} leads {runner_up.speaker.name} by {lead:.3f},"
            f" less than the margin of {margin:g}",
            **measured(judged),
            margin=lead,
            runner_up=runner_up,
            candidates=shown,
        )

    def barred(
        self,
        speaker: SpeakerRef,
        reason: Reason,
        measured: Mapping[str, Any],
        candidates: tuple[Candidate, ...],
        runner_up: Candidate | None = None,
    ) -> Decision:
        """Return the rejection of a speaker who may not be accepted, for a reason of `_BARS`."""
        score = measured["score"]
        return self.decision(
            Outcome.REJECTED,
            reason,
            _BARS[reason].format(
                speaker.name, "" if self.purpose is None else f" for {self.purpose}"
            ),
            speaker=speaker if self.task is Task.VERIFY else None,
            **measured,
            margin=None if runner_up is None or score is None else score - runner_up.score,
            runner_up=runner_up,
            candidates=candidates,
        )

    def accept_or_reject(
        self,
        judged: Judged,
        rejection: Reason,
        speaker: SpeakerRef | None,
        candidates: tuple[Candidate, ...],
        runner_up: Candidate | None = None,
    ) -> Decision:
        """Return the decision that follows from score and threshold."""
        score, threshold, is_match = judged.score, judged.threshold, judged.is_match
        claimed = speaker if is_match or self.task is Task.VERIFY else None
        sign = ">=" if is_match else "<"
        missing = None if is_match else self._shortage(score)
        return self.decision(
            Outcome.ACCEPTED if is_match else Outcome.REJECTED,
            Reason.MATCH if is_match else rejection,
            f"score {score:.3f} {sign} threshold {threshold.value:.4g} ({threshold.source})"
            f"{self._needed(missing)}",
            more_speech_s=None if missing is None else missing.more_speech_s,
            speaker=claimed,
            **measured(judged),
            margin=None if runner_up is None else score - runner_up.score,
            runner_up=runner_up,
            candidates=candidates,
        )

    def _shortage(self, score: float = math.inf) -> Shortage | None:
        return self.rule.shortage(self.probe.net_speech_s, self.gallery_size, score)

    def _needed(self, missing: Shortage | None) -> str:
        """Return how much more speech the target rate needs, and the effect; empty: no more."""
        if missing is None:
            return ""
        where = "over all lines" + " at the card's thresholds" * (self.rule.calibration is not None)
        now = "" if missing.fnmr is None else f", now {percent(missing.fnmr)}"
        then = f"{missing.more_speech_s:.1f} s more speech, {percent(missing.fnmr_then)} of right"
        return f"; with {then} people are refused {where}{now}"


def measured(judged: Judged) -> dict[str, Any]:
    """Return the fields of a decision that depend on the score."""
    return {
        "score": judged.score,
        "threshold": judged.threshold,
        "llr": judged.llr,
        "calibration": judged.calibration,
    }


_BLIND = {
    Outcome.ACCEPTED: "the voice is that of the claimed speaker",
    Outcome.REJECTED: "the voice is not accepted as that of the claimed speaker",
}
"""The details for a caller who may learn nothing of other speakers."""


def blinded(decision: Decision) -> Decision:
    """Return a verification for a caller who may learn nothing of other speakers.

    It has no score, no name except that of an accepted speaker, and the same rejection for every
    reason.
    """
    detail, outcome = _BLIND.get(decision.outcome, decision.detail), decision.outcome
    reason, parts = decision.reason, decision.parts
    if outcome is Outcome.REJECTED:
        reason = Reason.BELOW_THRESHOLD
    elif reason is Reason.SEVERAL_VOICES:
        detail = "several people speak"
    return replace(
        decision,
        reason=reason,
        detail=detail,
        speaker=decision.speaker if decision.accepted else None,
        more_speech_s=None if outcome is Outcome.REJECTED else decision.more_speech_s,
        parts=tuple(replace(part, sounds_like=None, score=None) for part in parts),
        score=None,
        threshold=None,
        llr=None,
        calibration=None,
        margin=None,
        runner_up=None,
        candidates=(),
        replay_of=None,
    )


def elsewhere(space: EmbeddingSpace, enrolled: Mapping[str, int]) -> str:
    """Return the number of speakers in other spaces, if this one has none."""
    if not enrolled or space.id in enrolled:
        return ""
    counts = [f"{n} {'is' if n == 1 else 'are'} in {other}" for other, n in enrolled.items()]
    return f"; of all speakers {', '.join(counts)}: use that model, and its speech settings"
