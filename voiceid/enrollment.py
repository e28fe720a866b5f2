"""Enrolment: from clips to a speaker whose every sample has been checked.

Everything that can speak against the clips is found before anything is written, and all of
it is reported at once.  The checks and the writing share one transaction, so that two
enrolments at the same time cannot both pass a check that only one of them should.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from voiceid.audio import AudioSource
from voiceid.domain import (
    EnrollmentClip,
    EnrollmentProblem,
    EnrollmentReport,
    Float32Array,
    NewSample,
    Speaker,
    Utterance,
    speaker_name,
)
from voiceid.embedder import Embedder
from voiceid.embeddings import agreement, centroid
from voiceid.errors import AudioError, EnrollmentRefused, StoreError
from voiceid.index.gallery import GalleryIndex
from voiceid.scoring import DecisionRule
from voiceid.store import Store
from voiceid.store.repository import Reader, Writer

Mode = Literal["append", "replace"]


@dataclass(frozen=True, slots=True)
class EnrollmentLimits:
    """What a speaker needs to be enrolled.

    Parameters
    ----------
    min_speech_s : float
        Net speech in seconds over all of the speaker's samples.  A floor, not advice: the
        error rates in docs/accuracy.md are for three whole sentences, 10 s and more.
    """

    min_speech_s: float = 3.0


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip as given: what came of it, or why nothing did."""

    name: str
    utterance: Utterance | None
    error: AudioError | None


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the checks of one enrolment came to."""

    problems: tuple[EnrollmentProblem, ...]
    agreements: Mapping[int, float]
    usable: tuple[int, ...]
    net_speech_s: float
    missing_speech_s: float


@dataclass(frozen=True, slots=True)
class Enroller:
    """Enrols speakers.  Safe to share among threads."""

    embedder: Embedder
    store: Store
    gallery: GalleryIndex
    rule: DecisionRule
    limits: EnrollmentLimits

    def enroll(
        self,
        name: str,
        sources: Sequence[AudioSource],
        *,
        mode: Mode = "append",
        force: bool = False,
        dry_run: bool = False,
    ) -> EnrollmentReport:
        """Enrol the clips as samples of the speaker called ``name``.

        Parameters
        ----------
        name : str
            A new speaker's, or an enrolled one's.
        sources : sequence of AudioSource
            One utterance each.
        mode : {"append", "replace"}
            Whether the speaker's samples of this embedding space stay.
        force : bool
            Override the problems that are judgement; each override is recorded.
        dry_run : bool
            Check everything, write nothing.

        Raises
        ------
        EnrollmentRefused
            Something speaks against it; its ``report`` has every problem.  Nothing changed.
        SpeakerNameInvalid
        """
        started = time.perf_counter()
        name = speaker_name(name)
        clips = self._listen(sources)
        with self.store.read() if dry_run else self.store.write() as transaction:
            before = transaction.find_speaker(name)
            findings = self._check(transaction, before, clips, mode)
            problems = tuple(
                replace(p, overridden=force and p.overridable) for p in findings.problems
            )
            report = EnrollmentReport(
                name=name if before is None else before.name,
                speaker=before,
                enrolled=False,
                dry_run=dry_run,
                mode=mode,
                clips=_shown(clips, findings),
                net_speech_s=findings.net_speech_s,
                missing_speech_s=findings.missing_speech_s,
                problems=problems,
                embedding_space=self.embedder.space,
                elapsed_ms=(time.perf_counter() - started) * 1e3,
            )
            if report.blocking:
                raise _refusal(report)
            if isinstance(transaction, Writer) and not dry_run:
                speaker = self._write(transaction, report, before, clips)
                report = replace(report, speaker=speaker, enrolled=True)
        if report.enrolled:
            # The enrolment is on the disk by now; a cache that could not follow catches up.
            with contextlib.suppress(StoreError), self.store.read() as reader:
                self.gallery.sync(reader)
                self.gallery.save()
        return replace(report, elapsed_ms=(time.perf_counter() - started) * 1e3)

    def _listen(self, sources: Sequence[AudioSource]) -> list[_Clip]:
        clips = []
        heard = self.embedder.utterances(sources)
        for number, (source, result) in enumerate(zip(sources, heard, strict=True), start=1):
            if isinstance(result, Utterance):
                clips.append(_Clip(result.name, result, None))
            else:
                path = source if isinstance(source, str | os.PathLike) else None
                name = f"clip {number}" if path is None else Path(path).name
                clips.append(_Clip(name, None, result))
        return clips

    def _check(
        self, reader: Reader, speaker: Speaker | None, clips: list[_Clip], mode: Mode
    ) -> _Findings:
        kept = (
            reader.samples(speaker.id, self.embedder.space.id)
            if speaker is not None and mode == "append"
            else []
        )
        problems, usable = self._check_clips(clips)
        repeated, usable = self._check_repeats(reader, speaker, clips, usable, kept)
        problems += repeated
        net_speech_s = sum(s.quality.net_speech_s for s in kept) + sum(
            _utterance(clips[i]).quality.net_speech_s for i in usable
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
        old = np.array([s.vector for s in kept], dtype=np.float32)
        odd, agreements, agreed = self._check_agreement(reader, speaker, clips, usable, old)
        problems += odd
        problems += self._check_other_names(reader, speaker, clips, agreed)
        return _Findings(tuple(problems), agreements, tuple(usable), net_speech_s, missing_s)

    def _check_clips(self, clips: list[_Clip]) -> tuple[list[EnrollmentProblem], list[int]]:
        """Each clip by itself: was it read, is there speech, is it whole and unclipped."""
        problems, usable = [], []
        for i, clip in enumerate(clips):
            if clip.utterance is None:
                problems.append(
                    EnrollmentProblem("unreadable", clip.name, str(clip.error), overridable=False)
                )
                continue
            quality = clip.utterance.quality
            if clip.utterance.embedding is None:
                message = f"only {quality.net_speech_s:.2f} s of net speech: too little to enrol"
                problems.append(
                    EnrollmentProblem("no_speech", clip.name, message, overridable=False)
                )
                continue
            usable.append(i)
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
        clips: list[_Clip],
        usable: list[int],
        kept: Sequence[object],
    ) -> tuple[list[EnrollmentProblem], list[int]]:
        """No recording twice: among the clips, the speaker's samples, or anybody's."""
        enrolled = {getattr(s, "pcm_sha256", ""): getattr(s, "source_name", "") for s in kept}
        problems, fresh, seen = [], [], dict[str, str]()
        for i in usable:
            utterance = _utterance(clips[i])
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
        clips: list[_Clip],
        usable: list[int],
        old: Float32Array,
    ) -> tuple[list[EnrollmentProblem], dict[int, float], list[int]]:
        """Every clip agrees with the others; the worst one is put aside until all do.

        Putting the worst aside first matters: one other voice among three clips pulls the
        centroid of the others away from every honest clip too.
        """
        agreements: dict[int, float] = {}
        problems: list[EnrollmentProblem] = []
        left = list(usable)
        while left and len(left) + len(old) > 1:
            new = np.array([_vector(clips[i]) for i in left], dtype=np.float32)
            scores = agreement(np.concatenate([old, new]) if len(old) else new)[len(old) :]
            agreements.update(zip(left, map(float, scores), strict=True))
            short = {
                i: float(score) - self._needed(clips[i])
                for i, score in zip(left, scores, strict=True)
            }
            worst = min(short, key=lambda i: short[i])
            if short[worst] >= 0:
                break
            # Of two clips alone it cannot be told which one is the stranger: both are named.
            odd = left if len(left) + len(old) == 2 else [worst]  # noqa: PLR2004
            problems += [self._odd_one(reader, speaker, clips[i], agreements[i]) for i in odd]
            left = [i for i in left if i not in odd]
        return problems, agreements, left

    def _needed(self, clip: _Clip) -> float:
        return self.rule.threshold(_utterance(clip).quality.net_speech_s).value

    def _odd_one(
        self, reader: Reader, speaker: Speaker | None, clip: _Clip, score: float
    ) -> EnrollmentProblem:
        message = (
            f"does not agree with the other clips (score {score:.3f}, needed"
            f" {self._needed(clip):.3f}): another voice?"
        )
        match = self._best_other(reader, speaker, _vector(clip))
        if match is not None and match[1] >= self._needed(clip):
            message += f" It sounds like {match[0]} (score {match[1]:.3f})."
        return EnrollmentProblem("inconsistent", clip.name, message, overridable=True)

    def _check_other_names(
        self, reader: Reader, speaker: Speaker | None, clips: list[_Clip], usable: list[int]
    ) -> list[EnrollmentProblem]:
        """The voice of the new clips is not somebody's who is enrolled under another name."""
        if not usable:
            return []
        voice = centroid(np.array([_vector(clips[i]) for i in usable], dtype=np.float32))
        match = self._best_other(reader, speaker, voice)
        net_speech_s = sum(_utterance(clips[i]).quality.net_speech_s for i in usable)
        if match is None or match[1] < self.rule.threshold(net_speech_s).value:
            return []
        return [
            EnrollmentProblem(
                "already_enrolled",
                None,
                f"this voice is already enrolled as {match[0]} (score {match[1]:.3f})",
                overridable=True,
            )
        ]

    def _best_other(
        self, reader: Reader, speaker: Speaker | None, voice: Float32Array
    ) -> tuple[str, float] | None:
        """Return the name and the score of the nearest speaker who is not ``speaker``."""
        hits = self.gallery.search(reader, voice, 2)  # one of the two may be the speaker
        owners = reader.owners([centroid_id for centroid_id, _ in hits])
        for centroid_id, score in hits:
            owner = owners[centroid_id]
            if speaker is None or owner.id != speaker.id:
                return owner.name, score
        return None

    def _write(
        self,
        writer: Writer,
        report: EnrollmentReport,
        before: Speaker | None,
        clips: list[_Clip],
    ) -> Speaker:
        space = self.embedder.space
        speaker = writer.add_speaker(report.name) if before is None else before
        if report.mode == "replace":
            writer.remove_samples(speaker.id, space.id)
        overridden = [p for p in report.problems if p.overridden]
        samples = [
            NewSample(
                _utterance(clip),
                tuple(dict.fromkeys(p.code for p in overridden if p.clip in {None, clip.name})),
            )
            for clip in clips
        ]
        writer.add_samples(speaker.id, space, samples)
        return writer.speaker(report.name)


def _utterance(clip: _Clip) -> Utterance:
    if clip.utterance is None:
        raise ValueError(f"{clip.name} was not read")
    return clip.utterance


def _vector(clip: _Clip) -> Float32Array:
    embedding = _utterance(clip).embedding
    if embedding is None:
        raise ValueError(f"{clip.name} has no embedding")
    return embedding.vector


def _shown(clips: list[_Clip], findings: _Findings) -> tuple[EnrollmentClip, ...]:
    return tuple(
        EnrollmentClip(
            name=clip.name,
            pcm_sha256=None if clip.utterance is None else clip.utterance.pcm_sha256,
            quality=None if clip.utterance is None else clip.utterance.quality,
            agreement=findings.agreements.get(i),
        )
        for i, clip in enumerate(clips)
    )


def _refusal(report: EnrollmentReport) -> EnrollmentRefused:
    blocking = report.blocking
    first = blocking[0]
    where = "" if first.clip is None else f"{first.clip}: "
    more = f" (and {len(blocking) - 1} more)" if len(blocking) > 1 else ""
    hint = "Nothing was changed. Mend or leave out the clips that are named"
    if all(problem.overridable for problem in blocking):
        hint += ", or pass --force if you know better"
    return EnrollmentRefused(
        f"{report.name} was not enrolled: {where}{first.message}{more}",
        report=report,
        hint=hint + ".",
    )
