"""Who is speaking: verify (1:1), identify (1:N, open set) and compare (two clips)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voiceid.audio import AudioSource
from voiceid.decision.embeddings import cosine
from voiceid.decision.rule import DecisionRule, accepted
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
from voiceid.errors import ConfigError, ModelRuntimeError, SpaceMismatch
from voiceid.index.base import Gallery
from voiceid.speech.embedder import Embedder
from voiceid.verification.answers import Facts, Judged, Probe
from voiceid.verification.backend import BackEnd, BackEnds

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Store
    from voiceid.store.reader import Reader


NO_RULE = DecisionRule("nothing", (), 0.0)
"""Of a search, which decides nothing."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Scores clips against the enrolled speakers.  Safe to share among threads.

    Somebody expired or disabled still competes, and is never accepted: so their voice is not
    taken for the voice of whoever sounds most like them.

    Parameters
    ----------
    hear : callable
        From a recording to its utterance.
    back_ends : BackEnds
        Of the space of the embeddings that it makes.
    store : Store
    gallery_of : callable
        From an embedding space to its index.
    searched : callable, optional
        Is told how long each search of the index took, in seconds.
    """

    hear: Callable[[AudioSource], Utterance]
    back_ends: BackEnds
    store: Store
    gallery_of: Callable[[EmbeddingSpace], Gallery]
    searched: Callable[[float], None] | None = None

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
            self._claimed(reader, name, self.back_ends.space)
        probe = Probe.of(self.hear(source))
        # The audio took its time: the answer is given on what is enrolled now.
        with self.store.read() as reader:
            back_end = self.back_ends.in_use(reader, rule)
            claimed, vector = self._claimed(reader, name, back_end.space)
        facts = Facts(Task.VERIFY, probe, back_end.space, 1, started)
        score = None
        if probe.embedding is not None:
            score = _finite(cosine(back_end.moved(probe.embedding).vector, vector))
        found = () if score is None else (Candidate(claimed.speaker, score),)
        if (standing := claimed.standing(datetime.now(UTC))) is not Standing.ACTIVE:
            return facts.barred(claimed.speaker, standing, {"score": score}, found)
        if score is None:
            return facts.too_short(speaker=claimed.speaker)
        judged = back_end.judged(score, probe.against(claimed))
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
        self.gallery_of(self.back_ends.space).prepare()
        probe = Probe.of(self.hear(source))
        return self.identify_probe(probe, top=top, rule=rule, group=group, started=started)

    def identify_probe(
        self, probe: Probe, *, top: int, rule: DecisionRule, group: str | None, started: float
    ) -> Decision:
        """Decide who is speaking in what was heard already; see :meth:`identify`.

        ``started`` is the ``time.perf_counter()`` from which the answer's time is counted.
        """
        _require_candidates(top)
        with self.store.read() as reader:
            back_end = self.back_ends.in_use(reader, rule)
            space = back_end.space
            size = self.gallery_of(space).size(reader, group)
            facts = Facts(Task.IDENTIFY, probe, space, size, started, group)
            if probe.embedding is None:
                return facts.too_short()
            embedding = back_end.moved(probe.embedding)
            ranking = self._ranking(reader, embedding, max(top, 2), group)
            if not ranking:
                where = "" if group is None else f" of the group {group}"
                detail = f"nobody{where} is enrolled in {space.id}"
                return facts.decision(Outcome.REJECTED, Reason.GALLERY_EMPTY, detail)
            best, owner = ranking[0]
            judged = back_end.judged(best.score, probe.against(owner), size)
        return _decide(facts, ranking, judged, rule.margin, top)

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
        self.back_ends.space.require_same(embedding.space)
        with self.store.read() as reader:
            back_end = self.back_ends.in_use(reader, NO_RULE)
            moved = back_end.moved(embedding)
            return tuple(one for one, _ in self._ranking(reader, moved, k, group))

    def _claimed(
        self, reader: Reader, name: str, space: EmbeddingSpace
    ) -> tuple[Enrolled, Float32Array]:
        speaker = reader.speaker(name)
        centroid_id = reader.centroid_id(speaker.id, space.id)
        if centroid_id is None:
            raise SpaceMismatch(
                f"{speaker.name} is enrolled in {', '.join(speaker.spaces) or 'no space'},"
                f" not in {space.id}",
                hint="Enrol the speaker with this model and these speech settings, or use theirs.",
            )
        vector = reader.vector(centroid_id, space.id)
        return reader.owners([centroid_id])[centroid_id], vector

    def _ranking(
        self,
        reader: Reader,
        embedding: Embedding,
        k: int,
        group: str | None,
    ) -> list[tuple[Candidate, Enrolled]]:
        """Return the nearest, best first, each with its enrolment."""
        gallery = self.gallery_of(embedding.space)
        started = time.perf_counter()
        hits = gallery.search(reader, embedding.vector, k, group)
        if self.searched is not None:
            self.searched(time.perf_counter() - started)
        owners = reader.owners([centroid_id for centroid_id, _ in hits])
        return [
            (Candidate(owners[hit].speaker, _finite(score)), owners[hit]) for hit, score in hits
        ]


def _decide(
    facts: Facts,
    ranking: Sequence[tuple[Candidate, Enrolled]],
    judged: Judged,
    margin: float,
    top: int,
) -> Decision:
    """Decide between acceptance of the best candidate, rejection, and neither."""
    (best, owner), runner_up = ranking[0], ranking[1][0] if len(ranking) > 1 else None
    shown = tuple(candidate for candidate, _ in ranking[:top])
    if accepted(best.score, judged.threshold.value):
        if runner_up is not None and best.score - runner_up.score < margin:
            return facts.ambiguous(best, runner_up, judged, margin, shown)
        if (standing := owner.standing(datetime.now(UTC))) is not Standing.ACTIVE:
            return facts.barred(best.speaker, standing, judged.facts, shown, runner_up)
    return facts.accept_or_reject(judged, Reason.UNKNOWN, best.speaker, shown, runner_up)


def _require_candidates(top: int) -> None:
    if top < 1:
        raise ConfigError(f"top is {top}, and at least one candidate must be looked at")


def compare(embedder: Embedder, a: AudioSource, b: AudioSource, *, back_end: BackEnd) -> Decision:
    """Decide whether two clips are of one voice; nobody needs to be enrolled.

    Raises
    ------
    AudioError
        A clip could not be read.
    """
    started = time.perf_counter()
    one, other = embedder.utterance(a), embedder.utterance(b)
    shorter = min((one, other), key=lambda u: u.quality.net_speech_s)
    facts = Facts(Task.COMPARE, Probe.of(shorter), back_end.space, 0, started)
    if one.embedding is None or other.embedding is None:
        return facts.too_short()
    sides = back_end.moved(one.embedding).vector, back_end.moved(other.embedding).vector
    condition = Condition.of_two(one.quality, other.quality)
    judged = back_end.judged(_finite(cosine(*sides)), condition)
    return facts.accept_or_reject(judged, Reason.BELOW_THRESHOLD, None, ())


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise ModelRuntimeError(
            f"a comparison gave {score} instead of a cosine; nobody was accepted",
            hint="Run `voiceid models verify` and `voiceid index rebuild`.",
        )
    return score
