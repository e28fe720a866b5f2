"""Who is speaking: verify (1:1), identify (1:N, open set) and compare (two clips).

Everything here fails closed.  There is one line in this file that makes an acceptance
(`_accept_or_reject`), it compares a finite score with a threshold that was found, and no
exception leads to it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voiceid.audio import AudioSource
from voiceid.domain import (
    Candidate,
    Decision,
    Embedding,
    EmbeddingSpace,
    Outcome,
    QualityReport,
    Reason,
    SpeakerRef,
    Task,
    Threshold,
    Utterance,
)
from voiceid.embedder import Embedder
from voiceid.embeddings import cosine
from voiceid.errors import ConfigError, ModelRuntimeError, SpaceMismatch
from voiceid.index.gallery import GalleryIndex
from voiceid.scoring import Band, DecisionRule, band_of

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Store
    from voiceid.store.reader import Reader


@dataclass(frozen=True, slots=True)
class Verifier:
    """Scores clips against the enrolled speakers.  Safe to share among threads."""

    embedder: Embedder
    store: Store
    gallery: GalleryIndex

    def verify(self, name: str, source: AudioSource, *, rule: DecisionRule) -> Decision:
        """Decide whether the clip is the voice of the speaker called ``name``.

        Raises
        ------
        SpeakerNotFound
            Nobody of that name is enrolled.
        SpaceMismatch
            The speaker was enrolled with another model or other speech settings.
        AudioError
            The clip could not be read.
        """
        started = time.perf_counter()
        with self.store.read() as reader:  # a wrong name is told before the audio is decoded
            self._claimed(reader, name)
        utterance = self.embedder.utterance(source)
        # The audio took its time: the answer is given on what is enrolled now.
        with self.store.read() as reader:
            speaker, claimed = self._claimed(reader, name)
            band = self._band(reader, utterance, speaker)
        facts = _Facts(Task.VERIFY, utterance.quality, self.embedder.space, 1, started)
        if utterance.embedding is None:
            return facts.too_short(speaker=speaker)
        score = _finite(cosine(utterance.embedding.vector, claimed.vector))
        threshold = rule.threshold(utterance.quality.net_speech_s, band)
        return facts.accept_or_reject(
            score, threshold, Reason.BELOW_THRESHOLD, speaker, (Candidate(speaker, score),)
        )

    def identify(self, source: AudioSource, *, top: int, rule: DecisionRule) -> Decision:
        """Decide who of the gallery is speaking, if anybody is.

        Raises
        ------
        AudioError
            The clip could not be read.
        """
        started = time.perf_counter()
        if top < 1:
            raise ConfigError(f"top is {top}, and at least one candidate must be looked at")
        self.gallery.prepare()
        utterance = self.embedder.utterance(source)
        with self.store.read() as reader:
            size = reader.count(self.embedder.space.id)
            candidates = self._candidates(reader, utterance, max(top, 2))
            bands = [self._band(reader, utterance, one.speaker) for one in candidates[:1]]
        facts = _Facts(Task.IDENTIFY, utterance.quality, self.embedder.space, size, started)
        if utterance.embedding is None:
            return facts.too_short()
        if not candidates:
            return facts.decision(
                Outcome.REJECTED,
                Reason.GALLERY_EMPTY,
                f"nobody is enrolled in {self.embedder.space.id}",
            )
        best, runner_up = candidates[0], candidates[1] if len(candidates) > 1 else None
        threshold = rule.threshold(utterance.quality.net_speech_s, bands[0])
        shown = candidates[:top]
        if (
            runner_up is not None
            and best.score >= threshold.value
            and best.score - runner_up.score < rule.margin
        ):
            return facts.ambiguous(best, runner_up, threshold, rule.margin, shown)
        return facts.accept_or_reject(
            best.score, threshold, Reason.UNKNOWN, best.speaker, shown, runner_up=runner_up
        )

    def _claimed(self, reader: Reader, name: str) -> tuple[SpeakerRef, Embedding]:
        speaker = reader.speaker(name)
        space = self.embedder.space
        vector = reader.centroid(speaker.id, space.id)
        if vector is None:
            raise SpaceMismatch(
                f"{speaker.name} is enrolled in {', '.join(speaker.spaces) or 'no space'},"
                f" not in {space.id}",
                hint="Enrol the speaker with this model and these speech settings, or use theirs.",
            )
        return SpeakerRef(speaker.id, speaker.name), Embedding(vector, space)

    def _band(self, reader: Reader, utterance: Utterance, speaker: SpeakerRef) -> Band:
        shares = reader.narrowband_shares([speaker.id], self.embedder.space.id)
        return band_of(utterance.quality.narrowband, shares[speaker.id])

    def _candidates(self, reader: Reader, utterance: Utterance, k: int) -> tuple[Candidate, ...]:
        if utterance.embedding is None:
            return ()
        hits = self.gallery.search(reader, utterance.embedding.vector, k)
        owners = reader.owners([centroid_id for centroid_id, _ in hits])
        return tuple(Candidate(owners[hit], _finite(score)) for hit, score in hits)


def compare(embedder: Embedder, a: AudioSource, b: AudioSource, *, rule: DecisionRule) -> Decision:
    """Decide whether two clips are of one voice; nobody needs to be enrolled.

    Raises
    ------
    AudioError
        A clip could not be read.
    """
    started = time.perf_counter()
    one, other = embedder.utterance(a), embedder.utterance(b)
    shorter = min((one, other), key=lambda u: u.quality.net_speech_s)
    facts = _Facts(Task.COMPARE, shorter.quality, embedder.space, 0, started)
    if one.embedding is None or other.embedding is None:
        return facts.too_short()
    score = _finite(cosine(one.embedding.vector, other.embedding.vector))
    band = band_of(one.quality.narrowband, float(other.quality.narrowband))
    threshold = rule.threshold(shorter.quality.net_speech_s, band)
    return facts.accept_or_reject(score, threshold, Reason.BELOW_THRESHOLD, None, ())


@dataclass(frozen=True, slots=True)
class _Facts:
    """What every decision about one clip carries, whatever its outcome."""

    task: Task
    quality: QualityReport
    space: EmbeddingSpace
    gallery_size: int
    started: float

    def decision(
        self,
        outcome: Outcome,
        reason: Reason,
        detail: str,
        **more: Any,
    ) -> Decision:
        values: dict[str, Any] = {
            "speaker": None,
            "score": None,
            "threshold": None,
            "margin": None,
            "runner_up": None,
            "candidates": (),
        }
        return Decision(
            task=self.task,
            outcome=outcome,
            reason=reason,
            quality=self.quality,
            embedding_space=self.space,
            gallery_size=self.gallery_size,
            elapsed_ms=(time.perf_counter() - self.started) * 1e3,
            detail=detail,
            **(values | more),
        )

    def too_short(self, *, speaker: SpeakerRef | None = None) -> Decision:
        net = self.quality.net_speech_s
        return self.decision(
            Outcome.INCONCLUSIVE,
            Reason.NOT_ENOUGH_SPEECH,
            f"only {net:.2f} s of net speech: too little for a score",
            speaker=speaker,
        )

    def ambiguous(
        self,
        best: Candidate,
        runner_up: Candidate,
        threshold: Threshold,
        margin: float,
        shown: tuple[Candidate, ...],
    ) -> Decision:
        lead = best.score - runner_up.score
        return self.decision(
            Outcome.INCONCLUSIVE,
            Reason.AMBIGUOUS,
            f"{best.speaker.name} leads {runner_up.speaker.name} by {lead:.3f},"
            f" less than the margin of {margin:g}",
            score=best.score,
            threshold=threshold,
            margin=lead,
            runner_up=runner_up,
            candidates=shown,
        )

    def accept_or_reject(
        self,
        score: float,
        threshold: Threshold,
        rejection: Reason,
        speaker: SpeakerRef | None,
        candidates: tuple[Candidate, ...],
        runner_up: Candidate | None = None,
    ) -> Decision:
        accepted = score >= threshold.value
        claimed = speaker if accepted or self.task is Task.VERIFY else None
        sign = ">=" if accepted else "<"
        return self.decision(
            Outcome.ACCEPTED if accepted else Outcome.REJECTED,
            Reason.MATCH if accepted else rejection,
            f"score {score:.3f} {sign} threshold {threshold.value:g} ({threshold.source})",
            speaker=claimed,
            score=score,
            threshold=threshold,
            margin=None if runner_up is None else score - runner_up.score,
            runner_up=runner_up,
            candidates=candidates,
        )


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise ModelRuntimeError(
            f"a comparison gave {score} instead of a cosine; nobody was accepted",
            hint="Run `voiceid models verify` and `voiceid index rebuild`.",
        )
    return score
