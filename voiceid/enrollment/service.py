"""The enrolment service: hear the clips, check them, write the samples, in this order.

The checks and the writing share one transaction, so that two enrolments at the same time
cannot both pass a check that only one of them should.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from voiceid.audio import AudioSource, KeptAudio, Spans, Tape
from voiceid.domain import (
    EnrollmentClip,
    EnrollmentProblem,
    EnrollmentReport,
    NewSample,
    Sample,
    Speaker,
    Utterance,
    VoicePart,
)
from voiceid.enrollment.admission import check_consent, check_name
from voiceid.enrollment.checks import Checks, Findings
from voiceid.enrollment.clips import SOLO, Clip, Heard, Part, Person, clip_of, most_spoken
from voiceid.enrollment.plan import Plan, Planned
from voiceid.errors import EnrollmentRefused
from voiceid.models.runtime import in_order
from voiceid.observability import ChangeKind
from voiceid.speech.embedder import Cut, Embedder, or_error
from voiceid.speech.fingerprint import Fingerprint

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader, Store, Writer
    from voiceid.store.change import Door

Mode = Literal["append", "replace", "collect"]
_SHORT = "too_little_speech"
_KINDS: Mapping[Mode, ChangeKind] = {
    "append": ChangeKind.APPEND,
    "replace": ChangeKind.REPLACE,
    "collect": ChangeKind.APPEND,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """A person's turn: the speaker as enrolled at its start, and the plan of a dry run."""

    before: Speaker | None
    began_at: datetime
    plan: Plan | None

    def changes(
        self, now_enrolled: Speaker | None, now: datetime, *, replaces: bool = False
    ) -> Iterator[EnrollmentProblem]:
        """Yield a change of the speaker during the turn, which the enrolment must not undo."""
        before, event = self.before, ""
        if before is None:
            return  # if another enrolment made the name meanwhile, the voices must agree
        if now_enrolled is None or now_enrolled.id != before.id:
            event = "was removed"
        elif (now_enrolled.disabled_at, now_enrolled.expires_at) != (
            before.disabled_at,
            before.expires_at,
        ):
            event = "was disabled, enabled or given another expiry"
        elif before.expires_at is not None and self.began_at < before.expires_at <= now:
            event = "expired"
        elif set(now_enrolled.groups) != set(before.groups):
            event = "was given other groups"
        elif replaces and now_enrolled.updated_at != before.updated_at:
            event = "was changed"  # maybe by new samples, which would be erased
        if event:
            message = f"{before.name} {event} while the clips were read: check, and enrol again"
            yield EnrollmentProblem("changed_meanwhile", None, message, overridable=False)


@dataclass(frozen=True, slots=True)
class Enroller:
    """Enrols speakers.  Safe to share among threads."""

    embedder: Embedder
    store: Store
    checks: Checks
    kept: KeptAudio  # used with `EnrollmentLimits.keep_audio`
    door: Door
    parts_of: Callable[[Utterance], tuple[VoicePart, ...]]  # who speaks when, if several do
    alone: Callable[[AudioSource, str], Spans]  # where a voice speaks alone in a recording
    knows_again: bool = False  # whether fingerprints are stored

    def enroll(
        self, person: Person, mode: Mode = "append", *, force: bool = False, dry_run: bool = False
    ) -> EnrollmentReport:
        """Enrol the clips of a person as samples of the speaker with that name.

        ``mode`` says whether the samples of this space stay; ``collect`` also accepts too little
        speech, and disables the speaker until there is enough.  ``force`` overrides the problems
        that are judgements; each override is recorded.  Raises EnrollmentRefused with every
        problem.
        """
        started = time.perf_counter()
        turn = Turn(self.enrolled(person.name), datetime.now(UTC), Plan() if dry_run else None)
        sources = person.sources
        hear = or_error(partial(self.hear, part=person.part))
        results = in_order(hear, sources, self.embedder.workers)
        heard = zip(sources, results, person.labels, strict=True)
        clips = [
            clip_of(source, result, number, label)
            for number, (source, result, label) in enumerate(heard, start=1)
        ]
        report = self.enroll_clips(person, clips, turn, mode=mode, force=force)
        return replace(report, elapsed_ms=(time.perf_counter() - started) * 1e3)

    def enrolled(self, name: str) -> Speaker | None:
        """Return the enrolled speaker with a name, or None."""
        with self.store.read() as reader:
            return reader.speakers.find(name)

    def enroll_clips(
        self, person: Person, clips: Sequence[Clip], turn: Turn, *, mode: Mode, force: bool
    ) -> EnrollmentReport:
        """Enrol clips that were already heard; see :meth:`enroll`."""
        started = time.perf_counter()
        if turn.plan is not None:
            with self.store.read() as reader:
                report = self._judged(reader, person, clips, turn, mode, force=force)
            turn.plan.add(report.name, clips)
            return report
        with self.door(ChangeKind.ENROLL) as change:
            # 1. Check, in the transaction that writes: two enrolments at once cannot both pass.
            report = self._judged(change.writer, person, clips, turn, mode, force=force)
            # 2. Write.
            is_new = report.speaker is None
            speaker = self._write(change.writer, person, report, clips)
            elapsed_ms = (time.perf_counter() - started) * 1e3
            report = replace(report, speaker=speaker, enrolled=True, elapsed_ms=elapsed_ms)
            # 3. Record the change.
            change.record(
                change=ChangeKind.ENROLL if is_new else _KINDS[mode],
                speaker=speaker.name,
                speaker_id=speaker.id,
                samples=len(clips),
                space=report.embedding_space.id,
            )
        return report

    def _judged(
        self,
        reader: Reader,
        person: Person,
        clips: Sequence[Clip],
        turn: Turn,
        mode: Mode,
        *,
        force: bool,
    ) -> EnrollmentReport:
        """Return the report of an enrolment; raises EnrollmentRefused for blocking problems."""
        started = time.perf_counter()
        reader.spaces.require_current(self.embedder.space.id)
        before = reader.speakers.find(person.name)
        planned = Planned() if turn.plan is None else turn.plan.at(person.name)
        findings = self.checks.run(reader, before, clips, append=mode != "replace", planned=planned)
        problems = (
            *turn.changes(before, datetime.now(UTC), replaces=mode == "replace"),
            *findings.problems,
            *check_name(reader, before, person.name),
            *check_consent(before, person, self.checks.limits),
        )
        report = EnrollmentReport(
            name=person.name if before is None else before.name,
            speaker=before,
            enrolled=False,
            dry_run=turn.plan is not None,
            mode=mode,
            clips=_shown(clips, findings),
            net_speech_s=findings.net_speech_s,
            missing_speech_s=findings.missing_speech_s,
            problems=tuple(replace(p, overridden=_overrides(p, mode, force)) for p in problems),
            embedding_space=self.embedder.space,
            elapsed_ms=(time.perf_counter() - started) * 1e3,
        )
        if report.blocking:
            raise _refusal(report)
        return report

    def hear(self, source: AudioSource, part: Part | None = None) -> Heard:
        """Hear a clip, or a part of it; raises AudioError, ModelError."""
        tape = Tape() if self.checks.limits.keep_audio else None
        cut: Cut | None = self._solo if part == SOLO else None
        if isinstance(part, tuple):
            cut = (part,)
        elif part is not None and part != SOLO:
            cut = self.alone(source, part)
        utterance = self.embedder.with_speech(source, tape, cut)
        rate_hz = utterance.quality.sample_rate_hz
        if tape is not None and utterance.embedding is not None and rate_hz is not None:
            tape.seal(utterance.pcm_sha256, rate_hz)
        speech, fingerprint = utterance.speech, b""
        if self.knows_again and speech is not None:
            fingerprint = Fingerprint.of(speech).kept
        utterance_alone = replace(utterance, speech=None)
        return Heard(utterance_alone, tape, self.parts_of(utterance), fingerprint)

    def _solo(self, utterance: Utterance) -> Spans:
        return most_spoken(self.parts_of(utterance))

    def lacks(self, pcm_sha256: str) -> bool:
        """Whether the audio of a recording must be stored, and is not yet."""
        return self.checks.limits.keep_audio and not self.kept.has(pcm_sha256)

    def keep(self, heard: Sequence[Heard]) -> None:
        """Store the audio of enrolled recordings; raises StoreError."""
        digests = [clip.utterance.pcm_sha256 for clip in heard]
        with self.store.write() as writer:  # so that none of them is removed meanwhile
            owners = writer.samples.owners(digests)
            for clip in heard:
                if clip.tape is not None and clip.utterance.pcm_sha256 in owners:
                    self.kept.put(clip.utterance.pcm_sha256, clip.tape)

    def _write(
        self, writer: Writer, person: Person, report: EnrollmentReport, clips: Sequence[Clip]
    ) -> Speaker:
        space = self.embedder.space
        speaker = report.speaker or writer.speakers.add(person.name)
        for clip in clips:
            if clip.tape is not None:  # before the commit: committed samples have their audio
                self.kept.put(clip.heard.pcm_sha256, clip.tape)
        if report.mode == "replace":
            writer.samples.remove_of(speaker.id, space.id)
        overridden = [p for p in report.problems if p.overridden]
        samples = [
            NewSample(
                clip.heard,
                tuple(dict.fromkeys(p.code for p in overridden if p.clip in {None, clip.name})),
                clip.label,
            )
            for clip in clips
        ]
        details = person.details
        if report.mode == "collect":
            earlier = writer.samples.of(speaker.id, space.id)
            details = replace(details, enabled=_collected(report, speaker, earlier))
        writer.samples.add(speaker.id, space, samples)
        for clip in clips:
            if clip.fingerprint:
                sha256 = clip.heard.pcm_sha256
                writer.fingerprints.enrolled(speaker.id, sha256, clip.fingerprint)
        if report.speaker is None and details.changes_nothing:
            speech_s = sum(sample.utterance.quality.net_speech_s for sample in samples)
            return replace(
                speaker, n_samples=len(samples), net_speech_s=speech_s, spaces=(space.id,)
            )
        writer.speakers.edit(speaker.id, details)
        return writer.speakers.get(speaker.name)


def _overrides(problem: EnrollmentProblem, mode: Mode, force: bool) -> bool:
    return (force and problem.overridable) or (mode == "collect" and problem.code == _SHORT)


def _collected(report: EnrollmentReport, speaker: Speaker, old: Sequence[Sample]) -> bool | None:
    """Return whether a speaker is enabled with the new samples; None: no change.

    The first samples with too little speech disable the speaker, and enough speech enables them.
    A speaker whom an operator disabled, or who once had enough speech, stays disabled.
    """
    if report.missing_speech_s > 0:
        return None if old else False
    was_short = old and all(_SHORT in sample.overrides for sample in old)
    return True if was_short and speaker.waits_for_speech(old) else None


def _shown(clips: Sequence[Clip], findings: Findings) -> tuple[EnrollmentClip, ...]:
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
    hint = "Nothing was changed. Fix or drop these clips"
    if all(problem.overridable for problem in blocking):
        hint += ", or use --force"
    return EnrollmentRefused(
        f"{report.name} was not enrolled: {where}{first.message}{more}",
        report=report,
        hint=hint + ".",
    )
