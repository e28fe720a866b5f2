"""Who is speaking: verify (1:1), identify (1:N, open set) and compare (two clips).

Everything here fails closed.  There is one line in this file that makes an acceptance
(`_accept_or_reject`), it compares a finite score with a threshold that was found, and no
exception leads to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from voiceid.audio import AudioSource
from voiceid.domain import (
    Candidate,
    Decision,
    Embedding,
    EmbeddingSpace,
    Enrolled,
    Float32Array,
    Outcome,
    QualityReport,
    Reason,
    SpeakerRef,
    Standing,
    Task,
    Threshold,
    Utterance,
    tag,
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
class Probe:
    """The side of a comparison that is asked about.

    Parameters
    ----------
    embedding : Embedding or None
        None when there was too little speech.
    net_speech_s : float or None
        None when it is not known.
    narrowband : bool
    quality : QualityReport or None
        None when a vector was given instead of audio.
    """

    embedding: Embedding | None
    net_speech_s: float | None
    narrowband: bool
    quality: QualityReport | None

    @classmethod
    def of(cls, utterance: Utterance) -> Probe:
        """Return the probe of a clip."""
        quality = utterance.quality
        return cls(utterance.embedding, quality.net_speech_s, quality.narrowband, quality)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Scores clips against the enrolled speakers.  Safe to share among threads.

    Somebody expired or disabled still competes, and is never accepted: so their voice is not
    taken for the voice of whoever sounds most like them.

    Parameters
    ----------
    hear : callable
        From a recording to its utterance.
    space : EmbeddingSpace
        Of the embeddings that it makes, and of the gallery.
    store : Store
    gallery : GalleryIndex
    """

    hear: Callable[[AudioSource], Utterance]
    space: EmbeddingSpace
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
        probe = Probe.of(self.hear(source))
        # The audio took its time: the answer is given on what is enrolled now.
        with self.store.read() as reader:
            claimed, vector = self._claimed(reader, name)
        facts = _Facts(Task.VERIFY, probe, self.space, 1, started)
        score = None
        if probe.embedding is not None:
            score = _finite(cosine(probe.embedding.vector, vector))
        found = () if score is None else (Candidate(claimed.speaker, score),)
        if (standing := claimed.standing(datetime.now(UTC))) is not Standing.ACTIVE:
            return facts.barred(claimed.speaker, standing, score, found)
        if score is None:
            return facts.too_short(speaker=claimed.speaker)
        threshold = rule.threshold(probe.net_speech_s, _band(probe, claimed))
        return facts.accept_or_reject(
            score, threshold, Reason.BELOW_THRESHOLD, claimed.speaker, found
        )

    def identify(
        self, source: AudioSource, *, top: int, rule: DecisionRule, group: str | None = None
    ) -> Decision:
        """Decide who of the gallery, or of one group in it, is speaking, if anybody is.

        Raises
        ------
        AudioError
            The clip could not be read.
        SpeakerDetailInvalid
            Nothing can be a group of that name.
        """
        started = time.perf_counter()
        group = None if group is None else tag("group", group)
        _require_candidates(top)
        self.gallery.prepare()
        probe = Probe.of(self.hear(source))
        return self.identify_probe(probe, top=top, rule=rule, group=group, started=started)

    def identify_probe(
        self, probe: Probe, *, top: int, rule: DecisionRule, group: str | None, started: float
    ) -> Decision:
        """Decide who is speaking in what was heard already; see :meth:`identify`.

        ``started`` is the ``time.perf_counter()`` from which the answer's time is counted.
        """
        _require_candidates(top)
        space = self.space
        with self.store.read() as reader:
            among = None if group is None else reader.group(group, space.id)
            size = reader.count(space.id) if among is None else len(among)
            ranking = self._ranking(reader, probe.embedding, max(top, 2), among)
        facts = _Facts(Task.IDENTIFY, probe, space, size, started, group)
        if probe.embedding is None:
            return facts.too_short()
        if not ranking:
            where = "" if group is None else f" of the group {group}"
            return facts.decision(
                Outcome.REJECTED,
                Reason.GALLERY_EMPTY,
                f"nobody{where} is enrolled in {space.id}",
            )
        return _decide(facts, ranking, rule, top)

    def search(
        self, embedding: Embedding, k: int, group: str | None = None
    ) -> tuple[Candidate, ...]:
        """Return the ``k`` speakers whose centroids are nearest, best first: no decision.

        Raises
        ------
        SpaceMismatch
            The embedding is of another space than the gallery's.
        """
        _require_candidates(k)
        self.space.require_same(embedding.space)
        with self.store.read() as reader:
            among = None if group is None else reader.group(group, embedding.space.id)
            return tuple(one for one, _ in self._ranking(reader, embedding, k, among))

    def _claimed(self, reader: Reader, name: str) -> tuple[Enrolled, Float32Array]:
        speaker = reader.speaker(name)
        space = self.space
        centroid_id = reader.centroid_id(speaker.id, space.id)
        if centroid_id is None:
            raise SpaceMismatch(
                f"{speaker.name} is enrolled in {', '.join(speaker.spaces) or 'no space'},"
                f" not in {space.id}",
                hint="Enrol the speaker with this model and these speech settings, or use theirs.",
            )
        vector = reader.centroids(space.id, [centroid_id]).vectors[0]
        return reader.enrolled([centroid_id])[centroid_id], vector

    def _ranking(
        self,
        reader: Reader,
        embedding: Embedding | None,
        k: int,
        among: Sequence[int] | None,
    ) -> list[tuple[Candidate, Enrolled]]:
        if embedding is None:
            return []
        hits = self.gallery.search(reader, embedding.vector, k, among)
        owners = reader.enrolled([centroid_id for centroid_id, _ in hits])
        return [
            (Candidate(owners[hit].speaker, _finite(score)), owners[hit]) for hit, score in hits
        ]


def _decide(
    facts: _Facts, ranking: Sequence[tuple[Candidate, Enrolled]], rule: DecisionRule, top: int
) -> Decision:
    """Decide between acceptance of the best candidate, rejection, and neither."""
    (best, owner), runner_up = ranking[0], ranking[1][0] if len(ranking) > 1 else None
    threshold = rule.threshold(facts.probe.net_speech_s, _band(facts.probe, owner))
    shown = tuple(candidate for candidate, _ in ranking[:top])
    if best.score >= threshold.value:
        if runner_up is not None and best.score - runner_up.score < rule.margin:
            return facts.ambiguous(best, runner_up, threshold, rule.margin, shown)
        if (standing := owner.standing(datetime.now(UTC))) is not Standing.ACTIVE:
            return facts.barred(best.speaker, standing, best.score, shown, threshold, runner_up)
    return facts.accept_or_reject(
        best.score, threshold, Reason.UNKNOWN, best.speaker, shown, runner_up=runner_up
    )


def _band(probe: Probe, enrolled: Enrolled) -> Band:
    return band_of(probe.narrowband, enrolled.narrowband_share)


def _require_candidates(top: int) -> None:
    if top < 1:
        raise ConfigError(f"top is {top}, and at least one candidate must be looked at")


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
    facts = _Facts(Task.COMPARE, Probe.of(shorter), embedder.space, 0, started)
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
    probe: Probe
    space: EmbeddingSpace
    gallery_size: int
    started: float
    group: str | None = None

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
            quality=self.probe.quality,
            embedding_space=self.space,
            gallery_size=self.gallery_size,
            group=self.group,
            elapsed_ms=(time.perf_counter() - self.started) * 1e3,
            detail=detail,
            **(values | more),
        )

    def too_short(self, *, speaker: SpeakerRef | None = None) -> Decision:
        net = self.probe.net_speech_s or 0.0
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

    def barred(
        self,
        speaker: SpeakerRef,
        standing: Standing,
        score: float | None,
        candidates: tuple[Candidate, ...],
        threshold: Threshold | None = None,
        runner_up: Candidate | None = None,
    ) -> Decision:
        reasons = {
            Standing.EXPIRED: Reason.SPEAKER_EXPIRED,
            Standing.DISABLED: Reason.SPEAKER_DISABLED,
        }
        return self.decision(
            Outcome.REJECTED,
            reasons[standing],
            f"{speaker.name} is {standing.value}, and is not accepted whatever the score",
            speaker=speaker if self.task is Task.VERIFY else None,
            score=score,
            threshold=threshold,
            margin=None if runner_up is None or score is None else score - runner_up.score,
            runner_up=runner_up,
            candidates=candidates,
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
