"""Enrolment of many people: in parallel, without bad files, and repeatable after a kill.

The hash of a recording shows whether it is already enrolled, and needs only its decoding: a
second run over the same files embeds nothing twice and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from voiceid.audio import AudioSource
from voiceid.domain import EnrollmentProblem, EnrollmentReport, Speaker, speaker_key
from voiceid.enrollment.clips import Clip, Heard, Person, clip_of
from voiceid.enrollment.plan import Plan
from voiceid.enrollment.service import Enroller, Turn
from voiceid.errors import AudioError, EnrollmentRefused
from voiceid.models.runtime import in_order
from voiceid.observability import ChangeKind
from voiceid.speech.embedder import or_error


@dataclass(frozen=True, slots=True)
class _Known:
    """A recording that the speaker already has; heard again if its audio must be stored."""

    heard: Heard | None


_Heard = Heard | AudioError | _Known


def enroll_all(
    enroller: Enroller, people: Sequence[Person], *, force: bool, dry_run: bool
) -> Iterator[EnrollmentReport]:
    """Yield a report for each person, in order, as soon as it is on the disk.

    Clips that cannot be read, have too little speech or occur twice are left out, and the
    report says so; any other problem refuses only that person.
    """
    before, enrolled = _enrolled(enroller, people)
    began_at, plan = datetime.now(UTC), Plan() if dry_run else None

    def hear(task: tuple[str, AudioSource]) -> Heard | _Known:
        key, source = task
        if key in enrolled and (digest := enroller.embedder.pcm_sha256(source)) in enrolled[key]:
            return _Known(enroller.hear(source) if enroller.lacks(digest) else None)
        return enroller.hear(source)

    tasks = ((speaker_key(p.name), source) for p in people for source in p.sources)
    heard = in_order(or_error(hear), tasks, enroller.embedder.workers)
    for person in people:
        results = [next(heard) for _ in person.sources]
        key = speaker_key(person.name)
        turn = Turn(before.get(key), began_at, plan)
        report = _enroll_one(enroller, person, results, turn, force=force)
        if report.speaker is not None:
            before[key] = report.speaker  # a name may occur twice
        yield report


def _enrolled(
    enroller: Enroller, people: Sequence[Person]
) -> tuple[dict[str, Speaker], dict[str, frozenset[str]]]:
    """Return the enrolled speakers and the recordings of each, by the key of the name."""
    space_id = enroller.embedder.space.id
    speakers, recordings = dict[str, Speaker](), dict[str, frozenset[str]]()
    with enroller.store.read() as reader:
        for person in people:
            speaker = reader.speakers.find(person.name)
            if speaker is not None:
                key, samples = speaker_key(person.name), reader.samples.of(speaker.id, space_id)
                speakers[key] = speaker
                recordings[key] = frozenset(sample.pcm_sha256 for sample in samples)
    return speakers, recordings


def _enroll_one(
    enroller: Enroller, person: Person, results: Sequence[_Heard], turn: Turn, *, force: bool
) -> EnrollmentReport:
    heard = zip(person.sources, results, person.labels, strict=True)
    clips = [
        clip_of(source, result, number, label)
        for number, (source, result, label) in enumerate(heard, start=1)
        if not isinstance(result, _Known)
    ]
    to_keep = [r.heard for r in results if isinstance(r, _Known) and r.heard is not None]
    if to_keep and turn.plan is None:
        enroller.keep(to_keep)
    good, left_out = _usable(clips)
    if not good and len(left_out) < len(results):
        return _unchanged(enroller, person, left_out, turn)
    try:
        report = enroller.enroll_clips(person, good, turn, mode="append", force=force)
    except EnrollmentRefused as error:
        if not isinstance(error.report, EnrollmentReport):
            raise
        report = error.report
    return replace(report, problems=(*left_out, *report.problems))


def _usable(clips: Sequence[Clip]) -> tuple[list[Clip], tuple[EnrollmentProblem, ...]]:
    """Return the clips to enrol, and the problems of the others."""
    good: list[Clip] = []
    problems = []
    seen: dict[str, str] = {}
    for clip in clips:
        problem = clip.unusable()
        if problem is None and (first := seen.get(clip.heard.pcm_sha256)) is not None:
            message = f"the same recording as {first}"
            problem = EnrollmentProblem("duplicate_clip", clip.name, message, overridable=False)
        if problem is None:
            seen[clip.heard.pcm_sha256] = clip.name
            good.append(clip)
        else:
            problems.append(replace(problem, left_out=True))
    return good, tuple(problems)


def _unchanged(
    enroller: Enroller, person: Person, left_out: tuple[EnrollmentProblem, ...], turn: Turn
) -> EnrollmentReport:
    """Return the report of a person whose usable clips are all enrolled.

    The details of the speaker may have changed nevertheless.
    """
    changes: tuple[EnrollmentProblem, ...] = ()
    if turn.plan is None and not person.details.changes_nothing:
        with enroller.door(ChangeKind.EDIT) as change:
            speaker = change.writer.speakers.get(person.name)
            changes = tuple(turn.changes(speaker, datetime.now(UTC)))
            if not changes:
                change.writer.speakers.edit(speaker.id, person.details)
                change.record(speaker=speaker.name, speaker_id=speaker.id)
    with enroller.store.read() as reader:
        speaker = reader.speakers.get(person.name)
    return EnrollmentReport(
        name=speaker.name,
        speaker=speaker,
        enrolled=False,
        dry_run=False,
        mode="append",
        clips=(),
        net_speech_s=speaker.net_speech_s,
        missing_speech_s=0.0,
        problems=(*left_out, *changes),
        embedding_space=enroller.embedder.space,
        elapsed_ms=0.0,
    )
