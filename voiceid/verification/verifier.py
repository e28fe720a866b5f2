"""Who is speaking: verify (1:1) and identify (1:N, open set).

Everything here fails closed.  An acceptance needs a finite score, a threshold and a speaker in
good standing; every exception ends without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from voiceid.audio import AudioSource
from voiceid.decision.aims import Aim
from voiceid.decision.embeddings import cosine
from voiceid.decision.rule import finite
from voiceid.domain import (
    Candidate,
    Decision,
    Embedding,
    EmbeddingSpace,
    EnrolledVoice,
    Float32Array,
    Reason,
    Speech,
    Standing,
    Task,
    Utterance,
    speaker_key,
)
from voiceid.errors import IndexFault, SpaceMismatch, SpeakerNotFound
from voiceid.index.base import Gallery, answer, as_ids, confirmed, ranked
from voiceid.verification.answers import Facts, Probe, elsewhere, measured
from voiceid.verification.calls import Claim, Search
from voiceid.verification.policy import BackEnd, Policy
from voiceid.verification.presentation import require_bona_fide
from voiceid.verification.replays import Replays
from voiceid.verification.solo import alone, require_solo

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.speech.countermeasure import Countermeasure
    from voiceid.speech.turns import Voices
    from voiceid.store import Store
    from voiceid.store.reader import Reader
    from voiceid.verification.spoken_code import Answer

Hear = Callable[[AudioSource], Utterance]
Admit: TypeAlias = "Callable[[Reader], object]"  # raises if nothing may be heard
Ranking: TypeAlias = list[tuple[Candidate, EnrolledVoice]]
_STANDINGS = {
    Standing.EXPIRED: Reason.SPEAKER_EXPIRED,
    Standing.DISABLED: Reason.SPEAKER_DISABLED,
    Standing.NO_CONSENT: Reason.NO_CONSENT,
}
"""The standings that are not accepted."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Scores clips against the enrolled speakers.  Safe to share among threads.

    An expired or disabled speaker still competes, and is never accepted: so their voice is not
    taken for the voice of the speaker who sounds most like them.
    """

    policy: Policy
    store: Store
    gallery_of: Callable[[EmbeddingSpace], Gallery]
    searched: Callable[[float], None]  # receives the seconds of each search
    voices: Callable[[], Voices] | None = None  # finds several voices; None: not checked
    countermeasure: Callable[[], Countermeasure] | None = None  # finds attacks; None: not checked
    replays: Replays | None = None  # recognises recordings; None: not checked

    def verify(
        self,
        hear: Hear,
        source: AudioSource,
        claim: Claim,
        answer: Answer | None = None,
        admit: Admit | None = None,
    ) -> Decision:
        """Decide whether the clip is the voice of the claimed speaker.

        ``answer`` judges the code.  ``admit`` may refuse in the first transaction.  The decision on
        a blind claim is complete: see `answers.blinded`.
        """
        started = time.perf_counter()
        # 1. A lock, and a wrong name unless the claim is blind, end it before any audio is decoded.
        speaker_key(claim.name)
        if admit is not None or not claim.blind:
            with self.store.read() as reader:
                if admit is not None:
                    admit(reader)
                if not claim.blind:
                    _claimed_id(reader, claim, self.policy.space)
        # 2. Hear the clip.
        clip = hear(source)
        probe = Probe.of(clip)
        # 3. Hearing takes time: decide by the enrolments and settings of now.
        with self.store.read() as reader:
            back_end = self.policy.read(reader, claim.aim, claim.group)
            space, rule = back_end.space, back_end.rule
            of = (claim.group, claim.purpose)
            facts = Facts(Task.VERIFY, probe, space, rule, 1, started, *of)
            if claim.blind:
                claimed, decision = _blindly_verified(reader, facts, claim, back_end)
            else:
                its_id = _claimed_id(reader, claim, space)
                claimed = reader.centroids.voices([its_id], space, probe.pcm_sha256)[its_id]
                decision = _verified(reader, facts, claimed, back_end)
        if claimed is None:
            return decision

        def like(voice: Embedding, net_speech_s: float) -> Candidate | None:
            score = cosine(back_end.moved(voice).vector, claimed.vector)
            candidate = Candidate(claimed.enrolled.speaker, score)
            return back_end.acceptable(candidate, claimed.enrolled, voice, net_speech_s)

        # 4. The speaker must be alone; with a code, every acceptance is checked.
        solo = require_solo if answer is None else alone
        decision = solo(decision, [clip], back_end, self.voices, like, claimed.vector)
        if answer is not None:
            decision = answer.judge(decision, like)
        # 5. The speech must be live: no attack, and no recording that was heard before.
        return self.present(decision, clip, claim.aim, claim.group)

    def identify(self, hear: Hear, source: AudioSource, search: Search) -> Decision:
        """Decide who of the gallery, or of one group in it, is speaking, if any speaker is."""
        started = time.perf_counter()
        self.gallery_of(self.policy.space).prepare()
        clip = hear(source)
        # 1. Read the rules in the transaction that answers.
        with self.store.read() as reader:
            back_end = self.policy.read(reader, search.aim, search.group, per_search=True)
            probe = Probe.of(clip)
            decision, vector = self._identified(reader, probe, search, back_end, started)

        def like(voice: Embedding, net_speech_s: float) -> Candidate | None:
            with self.store.read() as reader:
                gallery = self.gallery_of(back_end.space)
                ranking = self._ranking(reader, gallery, back_end.moved(voice), search)
            for candidate, nearest in ranking:
                return back_end.acceptable(candidate, nearest.enrolled, voice, net_speech_s)
            return None

        # 2. The speaker must be alone.
        decision = require_solo(decision, [clip], back_end, self.voices, like, vector)
        # 3. The speech must be live: no attack, and no recording that was heard before.
        return self.present(decision, clip, search.aim, search.group)

    def present(self, decision: Decision, clip: Utterance, aim: Aim, group: str | None) -> Decision:
        """Return a decision, or the rejection of an attack or a replay."""
        return self.unless_replayed(self.bona_fide(decision, [clip]), clip.speech, aim, group)

    def bona_fide(self, decision: Decision, clips: Sequence[Utterance]) -> Decision:
        """Return a decision, or the rejection of an attack: see `require_bona_fide`."""
        if self.countermeasure is None:
            return decision
        return require_bona_fide(decision, clips, self.countermeasure)

    def unless_replayed(
        self, decision: Decision, speech: Speech | None, aim: Aim, group: str | None
    ) -> Decision:
        """Return a decision, or the rejection of a recording that was heard before."""
        replays = self.replays_for(aim, group)
        return decision if replays is None else replays.checked(decision, speech)

    def replays_for(self, aim: Aim, group: str | None) -> Replays | None:
        """Return the check for replays; None: nothing is checked, and nothing is stored."""
        is_asked = self.replays is not None and not self.policy.allows_replayed(aim, group)
        return self.replays if is_asked else None

    def alone(self, decision: Decision, turn: Utterance, aim: Aim, group: str | None) -> Decision:
        """Return a decision on the start of a turn, changed if the turn has several voices."""
        with self.store.read() as reader:
            back_end = self.policy.read(reader, aim, group)
        return alone(decision, [turn], back_end, self.voices)

    def identify_probe(self, probe: Probe, search: Search, started: float) -> Decision:
        """Decide whose voice the embedding of a probe is; its speech is not checked.

        ``started`` is the ``time.perf_counter()`` from which the answer's time is counted.
        """
        with self.store.read() as reader:
            back_end = self.policy.read(reader, search.aim, search.group, per_search=True)
            decision, _ = self._identified(reader, probe, search, back_end, started)
        # A vector alone does not show the audio behind it; a diarization opens no door.
        if probe.quality is not None:
            return decision
        return self.unless_replayed(decision, None, search.aim, search.group)

    def _identified(
        self, reader: Reader, probe: Probe, search: Search, back_end: BackEnd, started: float
    ) -> tuple[Decision, Float32Array | None]:
        """Return the decision, and the vector of the nearest speaker, or None."""
        space, rule, gallery = back_end.space, back_end.rule, self.gallery_of(back_end.space)
        if search.among is None:
            size = gallery.size(reader, search.group)
        else:
            size = len(_ids_among(reader, space, search))
        of = (search.group, search.purpose)
        facts = Facts(Task.IDENTIFY, probe, space, rule, size, started, *of)
        if probe.embedding is None:
            return facts.too_short(), None
        # 1. Search for the nearest, and one more for the margin.
        embedding = back_end.moved(probe.embedding)
        ranking = self._ranking(reader, gallery, embedding, search, probe.pcm_sha256)
        if not ranking:
            return facts.empty(reader.centroids.counts()), None
        if search.among is not None:
            ranking = [(_rated(best, facts, near, back_end), near) for best, near in ranking]
        # 2. Decide: threshold, margin, standing.
        decision = _identified(reader, facts, ranking, back_end, search.top)
        return decision, ranking[0][1].vector

    def search(self, embedding: Embedding, search: Search) -> tuple[Candidate, ...]:
        """Return the ``top`` speakers whose centroids are nearest, best first: no decision."""
        self.policy.space.require_same(embedding.space)
        with self.store.read() as reader:
            back_end = self.policy.read(reader)
            gallery = self.gallery_of(back_end.space)
            ranking = self._ranking(reader, gallery, back_end.moved(embedding), search)
        return tuple(candidate for candidate, _ in ranking[: search.top])

    def _ranking(
        self,
        reader: Reader,
        gallery: Gallery,
        embedding: Embedding,
        search: Search,
        pcm_sha256: str = "",
    ) -> Ranking:
        """Return the nearest two or more, best first, by the vectors of the database.

        An index that holds other vectors is rebuilt, and searched again.
        """
        started = time.perf_counter()
        query, space, top = embedding.vector, embedding.space, max(search.top, 2)
        if search.among is not None:
            voices = reader.centroids.voices(_ids_among(reader, space, search), space, pcm_sha256)
            vectors = np.array([voice.vector for voice in voices.values()]).reshape(-1, space.dim)
            hits = answer(ranked(as_ids(list(voices)), vectors, query, top))
            self.searched(time.perf_counter() - started)
            return [(Candidate(voices[i].enrolled.speaker, s), voices[i]) for i, s in hits]
        for _ in range(2):
            hits = gallery.search(reader, query, top, search.group)
            voices = reader.centroids.voices([i for i, _ in hits], space, pcm_sha256)
            vectors = np.array([voice.vector for voice in voices.values()]).reshape(-1, space.dim)
            scored = confirmed(hits, list(voices), vectors, query)
            if scored is not None:
                self.searched(time.perf_counter() - started)
                return [(Candidate(voices[i].enrolled.speaker, s), voices[i]) for i, s in scored]
            gallery.rebuild(reader)
        raise IndexFault(
            f"the index of {space.id} holds other vectors than the database, even"
            " after it was rebuilt",
            hint="Run `voiceid database check`.",
        )


def _verified(reader: Reader, facts: Facts, claimed: EnrolledVoice, back_end: BackEnd) -> Decision:
    """Score the clip against the claimed speaker, and decide."""
    enrolled, embedding = claimed.enrolled, facts.probe.embedding
    speaker, score = enrolled.speaker, None
    if embedding is not None:
        score = finite(cosine(back_end.moved(embedding).vector, claimed.vector))
    candidates = () if score is None else (Candidate(speaker, score),)
    # Standing first, then speech, then the threshold, then other bars to an acceptance.
    standing = enrolled.standing(datetime.now(UTC), facts.purpose)
    if (reason := _STANDINGS.get(standing)) is not None:
        return facts.barred(speaker, reason, {"score": score}, candidates)
    if score is None:
        return facts.too_short(speaker=speaker)
    judged = back_end.rule.judged(score, facts.probe.against(enrolled))
    candidates = (Candidate(speaker, score, judged.llr),)
    if judged.is_match and (reason := _bar(reader, facts, claimed, back_end)) is not None:
        return facts.barred(speaker, reason, measured(judged), candidates)
    return facts.accept_or_reject(judged, Reason.BELOW_THRESHOLD, speaker, candidates)


def _identified(
    reader: Reader, facts: Facts, ranking: Ranking, back_end: BackEnd, top: int
) -> Decision:
    """Decide between acceptance of the best candidate, rejection, and neither."""
    (best, voice), runner_up = ranking[0], ranking[1][0] if len(ranking) > 1 else None
    condition, margin = facts.probe.against(voice.enrolled), back_end.rule.margin
    judged = back_end.rule.judged(best.score, condition, facts.gallery_size)
    shown = tuple(candidate for candidate, _ in ranking[:top])
    if judged.is_match:
        if runner_up is not None and best.score - runner_up.score < margin:
            return facts.ambiguous(best, runner_up, judged, margin, shown)
        if (reason := _bar(reader, facts, voice, back_end)) is not None:
            return facts.barred(best.speaker, reason, measured(judged), shown, runner_up)
    return facts.accept_or_reject(judged, Reason.UNKNOWN, best.speaker, shown, runner_up)


def _rated(
    candidate: Candidate, facts: Facts, voice: EnrolledVoice, back_end: BackEnd
) -> Candidate:
    """Return a candidate with the LLR of its own score."""
    llr, _ = back_end.rule.llr(candidate.score, facts.probe.against(voice.enrolled))
    return replace(candidate, llr=llr)


def _ids_among(reader: Reader, space: EmbeddingSpace, search: Search) -> list[int]:
    """Return the ids of the centroids of the named speakers; unknown names are left out."""
    keys = list(dict.fromkeys(map(speaker_key, search.among or ())))
    holders = reader.speakers.holders(keys).values()
    ids = reader.centroids.ids_of([speaker.id for speaker in holders], space.id)
    return ids if search.group is None else reader.centroids.group(search.group, space.id, ids)


def _bar(reader: Reader, facts: Facts, voice: EnrolledVoice, back_end: BackEnd) -> Reason | None:
    """Return why a speaker whose score matches is not accepted, or None."""
    enrolled, now = voice.enrolled, datetime.now(UTC)
    if (reason := _STANDINGS.get(enrolled.standing(now, facts.purpose))) is not None:
        return reason
    ends = (enrolled.expires_at, *(consent.until for consent in enrolled.consents))
    if any(ends) and (newest := reader.newest_row()) and now < newest:
        return Reason.CLOCK_BEHIND
    return Reason.REPLAYED if voice.is_replay and not back_end.allow_replayed else None


def _claimed_id(reader: Reader, claim: Claim, space: EmbeddingSpace) -> int:
    """Return the id of the centroid in a space of the speaker who is claimed."""
    group = claim.group
    if group is None and (known := reader.centroids.id_named(claim.name, space.id)) is not None:
        return known
    speaker = reader.speakers.get(claim.name)
    if group is not None and group not in speaker.groups:
        raise SpeakerNotFound(
            f"{speaker.name} is not in the group {group}",
            hint=f"Add the speaker: `voiceid speakers edit {speaker.name} --group {group}`.",
        )
    centroid_id = reader.centroids.id_of(speaker.id, space.id)
    if centroid_id is None:
        raise SpaceMismatch(
            f"{speaker.name} is enrolled in {', '.join(speaker.spaces) or 'no space'},"
            f" not in {space.id}{elsewhere(space, reader.centroids.counts())}",
            hint="Enrol the speaker with this model and these speech settings, or use theirs.",
        )
    return centroid_id


def _blindly_verified(
    reader: Reader, facts: Facts, claim: Claim, back_end: BackEnd
) -> tuple[EnrolledVoice | None, Decision]:
    """Decide about a claim with the same queries and the same arithmetic for every name.

    If `_claimed_id` would raise, another speaker is scored, and that result is dropped.
    """
    if facts.probe.embedding is None:
        return None, facts.too_short()
    speaker, space_id = reader.speakers.find(claim.name), back_end.space.id
    is_asked = speaker is not None and claim.group in {None, *speaker.groups}
    own = reader.centroids.id_of(speaker.id if speaker and is_asked else 0, space_id)
    other = reader.centroids.first_id(space_id)
    if (compared := own or other) is None:
        return None, facts.unknown()
    voices = reader.centroids.voices([compared], back_end.space, facts.probe.pcm_sha256)
    voice = voices[compared]
    decision = _verified(reader, facts, voice, back_end)
    if decision.threshold is None and decision.score is not None:  # barred before it was judged
        back_end.rule.judged(decision.score, facts.probe.against(voice.enrolled))
    return (None, facts.unknown()) if own is None else (voice, decision)
