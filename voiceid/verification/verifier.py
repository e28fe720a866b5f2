"""Who is speaking: verify (1:1), identify (1:N, open set) and compare (two clips)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voiceid.audio import AudioSource
from voiceid.domain import (
    Candidate,
    Condition,
    Decision,
    Embedding,
    EmbeddingSpace,
    Enrolled,
    Float32Array,
    Outcome,
    Reason,
    Standing,
    Task,
    Utterance,
    tag,
)
from voiceid.embedder import Embedder
from voiceid.embeddings import cosine
from voiceid.errors import ConfigError, ModelRuntimeError, SpaceMismatch
from voiceid.index.gallery import GalleryIndex
from voiceid.scoring import DecisionRule
from voiceid.verification.answers import Facts, Judged, Probe

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Store
    from voiceid.store.reader import Reader


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
            rule = rule.with_calibration(reader.calibration_in_use(self.space.id))
        facts = Facts(Task.VERIFY, probe, self.space, 1, started)
        score = None
        if probe.embedding is not None:
            score = _finite(cosine(probe.embedding.vector, vector))
        found = () if score is None else (Candidate(claimed.speaker, score),)
        if (standing := claimed.standing(datetime.now(UTC))) is not Standing.ACTIVE:
            return facts.barred(claimed.speaker, standing, {"score": score}, found)
        if score is None:
            return facts.too_short(speaker=claimed.speaker)
        judged = _judged(rule, probe.against(claimed), score, 1)
        return facts.accept_or_reject(judged, Reason.BELOW_THRESHOLD, claimed.speaker, found)

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
            rule = rule.with_calibration(reader.calibration_in_use(space.id))
        facts = Facts(Task.IDENTIFY, probe, space, size, started, group)
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
    facts: Facts, ranking: Sequence[tuple[Candidate, Enrolled]], rule: DecisionRule, top: int
) -> Decision:
    """Decide between acceptance of the best candidate, rejection, and neither."""
    (best, owner), runner_up = ranking[0], ranking[1][0] if len(ranking) > 1 else None
    judged = _judged(rule, facts.probe.against(owner), best.score, facts.gallery_size)
    shown = tuple(candidate for candidate, _ in ranking[:top])
    if best.score >= judged.threshold.value:
        if runner_up is not None and best.score - runner_up.score < rule.margin:
            return facts.ambiguous(best, runner_up, judged, rule.margin, shown)
        if (standing := owner.standing(datetime.now(UTC))) is not Standing.ACTIVE:
            return facts.barred(best.speaker, standing, judged.facts, shown, runner_up)
    return facts.accept_or_reject(judged, Reason.UNKNOWN, best.speaker, shown, runner_up)


def _judged(rule: DecisionRule, condition: Condition, score: float, gallery_size: int) -> Judged:
    """Find the threshold for a score, and the LLR if there is a calibration to tell it."""
    threshold = rule.threshold(condition, gallery_size)
    llr = rule.llr(score, condition)
    used = None if llr is None or rule.calibration is None else rule.calibration.id
    return Judged(score, threshold, llr, used)


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
    facts = Facts(Task.COMPARE, Probe.of(shorter), embedder.space, 0, started)
    if one.embedding is None or other.embedding is None:
        return facts.too_short()
    score = _finite(cosine(one.embedding.vector, other.embedding.vector))
    judged = _judged(rule, Condition.of_two(one.quality, other.quality), score, 1)
    return facts.accept_or_reject(judged, Reason.BELOW_THRESHOLD, None, ())


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise ModelRuntimeError(
            f"a comparison gave {score} instead of a cosine; nobody was accepted",
            hint="Run `voiceid models verify` and `voiceid index rebuild`.",
        )
    return score
