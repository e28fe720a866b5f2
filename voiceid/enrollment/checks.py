"""What can speak against an enrolment, all of it found before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voiceid.decision.agreement import odd_ones
from voiceid.decision.embeddings import centroid
from voiceid.decision.rule import DecisionRule, accepted
from voiceid.domain import EnrollmentProblem, Sample, Speaker, Utterance
from voiceid.enrollment.clips import Clip
from voiceid.index.base import Gallery

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.reader import Reader

_NEAREST = 5
"""Speakers who are looked at for the same voice; one of them may be the speaker."""


@dataclass(frozen=True, slots=True)
class EnrollmentLimits:
    """What a speaker needs to be enrolled, and what stays of it.

    Parameters
    ----------
    min_speech_s : float
        Net speech in seconds over all of the speaker's samples.  A floor, not advice: the
        error rates in docs/accuracy.md are for three whole sentences, 10 s and more.
    keep_audio : bool
        Whether the recordings are kept beside the database, for a change of the model.
    """

    min_speech_s: float = 3.0
    keep_audio: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """What the checks of one enrolment came to."""

    problems: tuple[EnrollmentProblem, ...]
    agreements: Mapping[int, float]
    net_speech_s: float
    missing_speech_s: float


@dataclass(frozen=True, slots=True)
class Checks:
    """Judges the clips of an enrolment in one embedding space.

    Parameters
    ----------
    space_id : str
    gallery : Gallery
    rule : DecisionRule
        Which score makes two clips one voice.
    limits : EnrollmentLimits
    """

    space_id: str
    gallery: Gallery
    rule: DecisionRule
    limits: EnrollmentLimits

    def run(
        self, reader: Reader, speaker: Speaker | None, clips: Sequence[Clip], *, append: bool
    ) -> Findings:
        """Return everything that speaks against enrolling the clips.

        Parameters
        ----------
        reader : Reader
            The snapshot that the answer must agree with.
        speaker : Speaker or None
            Who gets the clips; None when the name is new.
        clips : sequence of Clip
        append : bool
            Whether the speaker's samples of this space stay.
        """
        kept = reader.samples(speaker.id, self.space_id) if speaker is not None and append else []
        problems, usable = self._check_clips(clips)
        repeated, usable = self._check_repeats(reader, speaker, clips, usable, kept)
        problems += repeated
        net_speech_s = sum(s.quality.net_speech_s for s in kept) + sum(
            clips[i].heard.quality.net_speech_s for i in usable
        )
        missing_s = max(0.0, self.limits.min_speech_s - net_speech_s)
        if missing_s > 0:
            problems.append(
                EnrollmentProblem(
                    "too_little_speech",
                    None,
                    f"{net_speech_s:.1f} s of net speech in all, {missing_s:.1f} s short of the"
                    f" {self.limits.min_speech_s:g} s that an enrolment needs",
                    overridable=False,
                )
            )
        odd, agreements, agreed = self._check_agreement(reader, speaker, clips, usable, kept)
        problems += odd
        problems += self._check_other_names(reader, speaker, clips, agreed)
        return Findings(tuple(problems), agreements, net_speech_s, missing_s)

    def _check_clips(self, clips: Sequence[Clip]) -> tuple[list[EnrollmentProblem], list[int]]:
        """Each clip by itself: was it read, is there speech, is it whole and unclipped."""
        problems, usable = [], []
        for i, clip in enumerate(clips):
            if (problem := clip.unusable()) is not None:
                problems.append(problem)
                continue
            usable.append(i)
            quality = clip.heard.quality
            if "clipped" in quality.warnings:
                message = f"{quality.clipped_fraction:.1%} of the samples are clipped"
                problems.append(EnrollmentProblem("clipped", clip.name, message, overridable=True))
            if "truncated" in quality.warnings:
                message = "the file is damaged: decoding stopped before its end"
                problems.append(
                    EnrollmentProblem("truncated", clip.name, message, overridable=True)
                )
        return problems, usable

    def _check_repeats(
        self,
        reader: Reader,
        speaker: Speaker | None,
        clips: Sequence[Clip],
        usable: list[int],
        kept: Sequence[Sample],
    ) -> tuple[list[EnrollmentProblem], list[int]]:
        """No recording twice: among the clips, the speaker's samples, or anybody's."""
        enrolled = {sample.pcm_sha256: sample.source_name for sample in kept}
        problems, fresh, seen = [], [], dict[str, str]()
        for i in usable:
            utterance = clips[i].heard
            digest = utterance.pcm_sha256
            others = [
                owner.name
                for owner in reader.owner_of_clip(digest)
                if speaker is None or owner.id != speaker.id
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
                seen[digest] = clips[i].name
                fresh.append(i)
                continue
            problems.append(EnrollmentProblem(code, clips[i].name, message, overridable=False))
        return problems, fresh

    def _check_agreement(
        self,
        reader: Reader,
        speaker: Speaker | None,
        clips: Sequence[Clip],
        usable: list[int],
        kept: Sequence[Sample],
    ) -> tuple[list[EnrollmentProblem], dict[int, float], list[int]]:
        """Check that every new clip agrees with the others."""
        vectors = [s.vector for s in kept] + [clips[i].vector for i in usable]
        qualities = [s.quality for s in kept] + [clips[i].heard.quality for i in usable]
        new = range(len(kept), len(vectors))
        odd, agreements = odd_ones(
            np.array(vectors, dtype=np.float32), qualities, self.rule, judged=new
        )
        clip_at = dict(zip(new, usable, strict=True))
        aside = {clip_at[one.index] for one in odd}
        problems = [
            self._odd_one(reader, speaker, clips[clip_at[one.index]], one.agreement, one.needed)
            for one in odd
        ]
        scores = {clip_at[index]: score for index, score in agreements.items()}
        return problems, scores, [i for i in usable if i not in aside]

    def _odd_one(
        self,
        reader: Reader,
        speaker: Speaker | None,
        clip: Clip,
        score: float,
        needed: float,
    ) -> EnrollmentProblem:
        message = (
            f"does not agree with the other clips (score {score:.3f}, needed {needed:.3f}):"
            " another voice?"
        )
        match = self._other_name(reader, speaker, [clip.heard])
        if match is not None:
            message += f" It sounds like {match[0]} (score {match[1]:.3f})."
        return EnrollmentProblem("inconsistent", clip.name, message, overridable=True)

    def _check_other_names(
        self, reader: Reader, speaker: Speaker | None, clips: Sequence[Clip], usable: list[int]
    ) -> list[EnrollmentProblem]:
        """The voice of the new clips is not somebody's who is enrolled under another name."""
        match = self._other_name(reader, speaker, [clips[i].heard for i in usable])
        if match is None:
            return []
        message = f"this voice is already enrolled as {match[0]} (score {match[1]:.3f})"
        return [EnrollmentProblem("already_enrolled", None, message, overridable=True)]

    def _other_name(
        self, reader: Reader, speaker: Speaker | None, heard: Sequence[Utterance]
    ) -> tuple[str, float] | None:
        """Return the name and the score of the nearest other speaker who would be accepted."""
        vectors = [one.embedding.vector for one in heard if one.embedding is not None]
        if not vectors:
            return None
        narrow = np.array([one.quality.narrowband for one in heard if one.embedding is not None])
        voice = centroid(np.array(vectors, dtype=np.float32), narrow)
        hits = self.gallery.search(reader, voice, _NEAREST)
        owners = reader.owners([centroid_id for centroid_id, _ in hits])
        net_speech_s = sum(one.quality.net_speech_s for one in heard)
        share = float(np.mean(narrow))
        for centroid_id, score in hits:
            owner = owners[centroid_id]
            condition = owner.against(net_speech_s, narrowband=share, snr_db=None)
            is_other = speaker is None or owner.speaker.id != speaker.id
            if is_other and accepted(score, self.rule.threshold(condition).value):
                return owner.speaker.name, score
        return None
