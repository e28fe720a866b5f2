"""The checks of an enrolment: all problems are found before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voiceid.decision.agreement import Odd, odd_ones, parting, taken_for
from voiceid.decision.embeddings import centroid, cosine
from voiceid.decision.rule import DecisionRule, accepted
from voiceid.domain import (
    Condition,
    EnrollmentProblem,
    Float32Array,
    QualityReport,
    Speaker,
    VoicePart,
)
from voiceid.enrollment.clips import Clip, most_spoken
from voiceid.enrollment.plan import Kept, Planned
from voiceid.index.base import Gallery

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.reader import Reader

_NAMED = 4
"""The most clips that a message names."""
_NEAREST = 5
"""The speakers that are compared for the same voice; one of them may be the speaker."""


@dataclass(frozen=True, slots=True)
class EnrollmentLimits:
    """The requirements of an enrolment, and the storage of its audio.

    ``min_speech_s`` is a minimum, not a recommendation: the error rates in docs/accuracy.md are for
    three whole sentences, 10 s and more.
    """

    min_speech_s: float = 3.0  # net, over all of the speaker's samples
    keep_audio: bool = False  # in files beside the database, for a switch of the model
    require_consent: bool = False  # of every speaker who gets samples
    names_track: bool = False  # the audio track was chosen: other tracks are no problem


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of the checks of one enrolment."""

    problems: tuple[EnrollmentProblem, ...]
    agreements: Mapping[int, float]
    net_speech_s: float
    missing_speech_s: float


@dataclass(frozen=True, slots=True)
class Checks:
    """Checks the clips of an enrolment in one embedding space."""

    space_id: str
    gallery: Gallery
    rule_of: Callable[[Reader], DecisionRule]  # read in the transaction of the enrolment
    limits: EnrollmentLimits

    def run(
        self,
        reader: Reader,
        speaker: Speaker | None,
        clips: Sequence[Clip],
        *,
        append: bool,
        planned: Planned,
    ) -> Findings:
        """Return all problems of enrolling the clips, in the reader's snapshot.

        ``speaker`` gets the clips, None for a new name; with ``append`` its samples stay.  A dry
        run would enrol ``planned`` before the clips.
        """
        enrolled = [] if speaker is None else reader.samples.of(speaker.id, self.space_id)
        samples = [Kept(s.vector, s.quality, s.pcm_sha256, s.source_name) for s in enrolled]
        kept = [*(samples if append else ()), *planned.own]
        rule = self.rule_of(reader)
        case = _Case(reader, self.gallery, rule, speaker, clips, kept, planned.others)
        # 1. Check each clip by itself, and that no recording occurs twice.
        problems, usable = _check_clips(clips, self.limits)
        repeated, usable = case.check_repeats(usable)
        # 2. Check that there is enough speech in all.
        net_speech_s = sum(s.quality.net_speech_s for s in kept) + sum(
            clips[i].heard.quality.net_speech_s for i in usable
        )
        missing_s = max(0.0, self.limits.min_speech_s - net_speech_s)
        problems += [*repeated, *_check_speech(net_speech_s, missing_s, self.limits)]
        # 3. Check that they are one voice, that of the samples, and have no other name.
        odd, agreements, agreed = case.check_agreement(usable)
        problems += [*odd, *case.check_other_names(agreed)]
        if not append:
            problems += case.check_replaced(samples, agreed)
        return Findings(tuple(problems), agreements, net_speech_s, missing_s)


def _check_clips(
    clips: Sequence[Clip], limits: EnrollmentLimits
) -> tuple[list[EnrollmentProblem], list[int]]:
    """Check each clip by itself: is it readable, with speech, complete and not clipped."""
    problems, usable = [], []
    unheard = dict(_UNHEARD)
    if limits.names_track:
        del unheard["other_tracks"]
    for i, clip in enumerate(clips):
        if (problem := clip.unusable()) is not None:
            problems.append(problem)
            continue
        usable.append(i)
        quality = clip.heard.quality
        if "clipped" in quality.warnings:
            message = f"{quality.clipped_fraction:.1%} of the samples are clipped"
            problems.append(EnrollmentProblem("clipped", clip.name, message, overridable=True))
        if clip.parts:
            code, message = "several_voices", _several(clip.parts)
            problems.append(EnrollmentProblem(code, clip.name, message, overridable=True))
        if "truncated" in quality.warnings:
            message = "the file is damaged: decoding stopped before its end"
            problems.append(EnrollmentProblem("truncated", clip.name, message, overridable=True))
        for code, advice in unheard.items():
            if code in quality.warnings:
                message = (
                    f"a part of it would not be enrolled ({'; '.join(quality.unheard)}): {advice}"
                )
                problems.append(EnrollmentProblem(code, clip.name, message, overridable=True))
    return problems, usable


def _several(parts: Sequence[VoicePart]) -> str:
    shown = [str(part) for part in parts[:_NAMED]]
    shown += [f"and {len(parts) - _NAMED} more"] if len(parts) > _NAMED else []
    longest = max(most_spoken(parts), key=lambda span: span[1] - span[0], default=None)
    by_name = "" if longest is None else f"--part {longest[0]:.1f}-{longest[1]:.1f} or "
    return (
        f"several people speak in it ({'; '.join(shown)}): enrol one of them, with"
        f" {by_name}--solo-part"
    )


_UNHEARD = {
    "partly_judged": "cut it into shorter clips, one sample each",
    "other_tracks": "choose the track of the speaker, with --track N (audio.track)",
    "unheard_data": "play the file to its end, and export the part of the speaker again",
}
"""The remedy for a recording that would be enrolled only in part, by the warning."""


def _check_speech(
    net_speech_s: float, missing_s: float, limits: EnrollmentLimits
) -> Iterator[EnrollmentProblem]:
    if missing_s > 0:
        message = (
            f"{net_speech_s:.1f} s of net speech in all, {missing_s:.1f} s less than the"
            f" {limits.min_speech_s:g} s that an enrolment needs"
        )
        yield EnrollmentProblem("too_little_speech", None, message, overridable=False)


@dataclass(frozen=True, slots=True)
class _Case:
    """The clips of one enrolment, and the data for their checks."""

    reader: Reader
    gallery: Gallery
    rule: DecisionRule
    speaker: Speaker | None
    clips: Sequence[Clip]
    kept: Sequence[Kept]
    planned: Mapping[str, Sequence[Kept]]

    def check_repeats(self, usable: list[int]) -> tuple[list[EnrollmentProblem], list[int]]:
        """Check that no recording occurs twice: here, in samples of the speaker, or of others."""
        enrolled = {sample.pcm_sha256: sample.source_name for sample in self.kept}
        digests = [self.clips[i].heard.pcm_sha256 for i in usable]
        owners = self.reader.samples.owners(digests)
        problems, fresh, seen = [], [], dict[str, str]()
        for i, digest in zip(usable, digests, strict=True):
            others = [
                owner.name
                for owner in owners.get(digest, ())
                if self.speaker is None or owner.id != self.speaker.id
            ]
            others += [
                name
                for name, kept in self.planned.items()
                if any(clip.pcm_sha256 == digest for clip in kept)
            ]
            if digest in seen:
                code, message = "duplicate_clip", f"the same recording as {seen[digest]}"
            elif digest in enrolled:
                code = "duplicate_clip"
                message = f"this recording is already enrolled, as {enrolled[digest]}"
            elif others:
                code = "clip_of_other"
                message = f"this recording is already enrolled as a sample of {', '.join(others)}"
            else:
                seen[digest] = self.clips[i].name
                fresh.append(i)
                continue
            name = self.clips[i].name
            problems.append(EnrollmentProblem(code, name, message, overridable=False))
        return problems, fresh

    def check_agreement(
        self, usable: list[int]
    ) -> tuple[list[EnrollmentProblem], dict[int, float], list[int]]:
        """Check that the new clips are the voice of the kept samples; see `odd_ones`."""
        vectors, qualities = self._joined(self.kept, usable)
        kept = range(len(self.kept))
        odd, agreements = odd_ones(vectors, qualities, self.rule, kept)
        clip_at = dict(enumerate(usable, start=len(kept)))
        problems, agreed = [], list(usable)
        for outlier in odd:
            aside = [clip_at[index] for index in outlier.indices]
            agreed = [i for i in agreed if i not in aside]
            problems.append(self._odd_problem(aside, agreed, outlier))
        scores = {clip_at[index]: score for index, score in agreements.items()}
        return problems, scores, agreed

    def check_replaced(
        self, replaced: Sequence[Kept], usable: list[int]
    ) -> Iterator[EnrollmentProblem]:
        """Check that the new clips are the voice of the samples that they replace."""
        if not replaced or not usable:
            return
        vectors, qualities = self._joined(replaced, usable)
        new, old = range(len(replaced), len(vectors)), range(len(replaced))
        gap = parting(new, old, vectors, qualities, self.rule)
        if not accepted(gap.agreement, gap.needed):
            message = (
                f"these clips do not agree with the {len(replaced)} samples that they would replace"
                f" (score {gap.agreement:.3f}, needed {gap.needed:.3f}): another voice?"
            )
            yield EnrollmentProblem("inconsistent", None, message, overridable=True)

    def check_other_names(self, usable: list[int]) -> Iterator[EnrollmentProblem]:
        """Check that the voice of the new clips is not enrolled under another name."""
        match = self._other_name(usable)
        if match is not None:
            message = f"this voice is already enrolled as {match[0]} (score {match[1]:.3f})"
            yield EnrollmentProblem("already_enrolled", None, message, overridable=True)

    def _joined(
        self, kept: Sequence[Kept], chosen: Sequence[int]
    ) -> tuple[Float32Array, list[QualityReport]]:
        """Return the vectors (n, dim) and the qualities of kept samples, and then of clips."""
        clips = [self.clips[i] for i in chosen]
        vectors = [*(sample.vector for sample in kept), *(clip.vector for clip in clips)]
        qualities = [*(sample.quality for sample in kept), *(c.heard.quality for c in clips)]
        return np.array(vectors, dtype=np.float32), qualities

    def _odd_problem(self, aside: list[int], agreed: list[int], odd: Odd) -> EnrollmentProblem:
        others = [self.clips[i].name for i in agreed]
        if self.kept:
            n_kept = len(self.kept)
            others.insert(0, f"the {n_kept} samples so far" if n_kept > 1 else "the sample so far")
        alone = len(aside) == 1
        message = (
            f"{'does not' if alone else f'{_and(self.clips[i].name for i in aside)} do not'} agree"
            f" with {_and(others) if others else 'the other clip'} (score {odd.agreement:.3f},"
            f" needed {odd.needed:.3f}): another voice?"
        )
        match = self._other_name(aside)
        if match is not None:
            message += f" It sounds like {match[0]} (score {match[1]:.3f})."
        name = self.clips[aside[0]].name if alone else None
        return EnrollmentProblem("inconsistent", name, message, overridable=True)

    def _other_name(self, chosen: list[int]) -> tuple[str, float] | None:
        """Return the name and the score of the nearest other speaker who would be accepted."""
        if not chosen:
            return None
        vectors, qualities = self._joined((), chosen)
        vector = centroid(vectors)
        hits = self.gallery.search(self.reader, vector, _NEAREST)
        owners = self.reader.centroids.owners([centroid_id for centroid_id, _ in hits])
        for centroid_id, score in hits:
            owner = owners[centroid_id]
            if self.speaker is not None and owner.speaker.id == self.speaker.id:
                continue
            if taken_for(owner, score, qualities, self.rule):
                return owner.speaker.name, score
        for name, kept in self.planned.items():
            theirs = [clip.quality for clip in kept]
            score = cosine(vector, centroid(np.array([clip.vector for clip in kept])))
            condition = Condition.of_joined(qualities, theirs)
            if accepted(score, self.rule.threshold(condition).value):
                return name, score
        return None


def _and(names: Iterable[str]) -> str:
    """Return names as a list in a sentence; of more than four, three and the number of others."""
    names = list(names)
    if len(names) > _NAMED:
        names[_NAMED - 1 :] = [f"{len(names) - _NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
