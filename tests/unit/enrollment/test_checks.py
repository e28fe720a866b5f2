"""What speaks against an enrolment, at the edge of each limit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from vectors import ALICE, BOB, HALF_ALICE, RULE, clip, enroll, heard, opened

from voiceid.domain import EnrollmentProblem
from voiceid.enrollment.checks import Checks, EnrollmentLimits, Findings
from voiceid.enrollment.clips import Clip
from voiceid.enrollment.plan import Plan, Planned
from voiceid.store import Store


@dataclass
class Desk:
    """Where speakers are enrolled."""

    store: Store
    checks: Checks

    def found(
        self, name: str, *clips: Clip, append: bool = True, planned: Planned | None = None
    ) -> Findings:
        with self.store.read() as reader:
            return self.checks.run(
                reader,
                reader.speakers.find(name),
                clips,
                append=append,
                planned=planned or Planned(),
            )

    def problems(self, name: str, *clips: Clip, **how: object) -> list[tuple[str, str | None]]:
        return [(p.code, p.clip) for p in self.found(name, *clips, **how).problems]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(tmp_path) as (store, checks):
        yield Desk(store, checks)


def of(problems: Sequence[EnrollmentProblem]) -> EnrollmentProblem:
    [problem] = problems
    return problem


def test_two_clips_of_one_new_voice_have_nothing_against_them(desk: Desk) -> None:
    found = desk.found("alice", clip(ALICE, "a"), clip(ALICE, "b"))
    assert (found.problems, found.agreements) == ((), {0: 1.0, 1: 1.0})
    assert (found.net_speech_s, found.missing_speech_s) == (4.0, 0.0)


@pytest.mark.parametrize(
    "code", ["clipped", "truncated", "partly_judged", "unheard_data", "other_tracks"]
)
def test_a_clip_that_is_not_whole_is_named_and_may_be_forced(desk: Desk, code: str) -> None:
    damaged = clip(ALICE, "b", code, unheard=("something",))
    problem = of(desk.found("alice", clip(ALICE, "a"), damaged).problems)
    assert (problem.code, problem.clip, problem.overridable) == (code, "b.wav", True)


def test_other_tracks_are_no_problem_where_the_track_was_chosen(desk: Desk) -> None:
    chosen = replace(
        desk, checks=replace(desk.checks, limits=EnrollmentLimits(3.0, names_track=True))
    )
    film = clip(ALICE, "b", "other_tracks", unheard=("track 1",))
    assert chosen.found("alice", clip(ALICE, "a"), film).problems == ()


def test_the_speech_of_all_samples_counts_and_the_very_least_is_enough(desk: Desk) -> None:
    short = clip(ALICE, "b", net_speech_s=1.0)
    found = desk.found("alice", short)
    problem = of(found.problems)
    assert (problem.code, problem.overridable) == ("too_little_speech", False)
    assert (found.net_speech_s, found.missing_speech_s) == (1.0, 2.0)
    assert "1.0 s of net speech in all, 2.0 s less" in problem.message
    enroll(desk.store, "alice", heard(ALICE, "a"))
    found = desk.found("alice", short)
    assert (found.problems, found.net_speech_s, found.missing_speech_s) == ((), 3.0, 0.0)
    almost = clip(ALICE, "b", net_speech_s=1.0 - 1e-12)
    assert desk.problems("alice", almost) == [("too_little_speech", None)]
    assert desk.problems("alice", short, append=False) == [("too_little_speech", None)]


def test_the_same_recording_is_found_here_in_the_speaker_and_in_others(desk: Desk) -> None:
    enroll(desk.store, "alice", heard(ALICE, "a"))
    enroll(desk.store, "bob", heard(BOB, "b"))
    more = clip(ALICE, "new", net_speech_s=5.0)
    again = replace(clip(ALICE, "new"), name="again.wav")
    for named, expected in (
        (again, "duplicate_clip"),
        (clip(ALICE, "a"), "duplicate_clip"),
        (clip(ALICE, "b"), "clip_of_other"),
    ):
        problem = of(desk.found("alice", more, named).problems)
        assert (problem.code, problem.clip, problem.overridable) == (expected, named.name, False)
    # What is replaced may be given again; what is another speaker's may not.
    assert desk.problems("alice", more, clip(ALICE, "a"), append=False) == []
    assert desk.problems("carol", clip(BOB, "b", net_speech_s=9.0))[0][0] == "clip_of_other"


def test_a_twin_of_the_speaker_is_found_though_the_speaker_is_nearer(desk: Desk) -> None:
    enroll(desk.store, "alice", heard(ALICE, "a"))
    new = clip(ALICE, "new")
    assert desk.problems("alice", new) == []
    enroll(desk.store, "twin", heard([0.8, 0.6], "t"))
    assert desk.problems("alice", new) == [("already_enrolled", None)]
    assert desk.problems("alice", clip(ALICE, "new", net_speech_s=4.0), append=False) == [
        ("already_enrolled", None)
    ]


def test_a_voice_is_anothers_from_the_very_threshold_on(desk: Desk) -> None:
    enroll(desk.store, "twin", heard([0.75, 0.5, math.sqrt(0.1875)], "t"))
    assert desk.problems("alice", clip(ALICE, "a", net_speech_s=4.0)) == [
        ("already_enrolled", None)
    ]
    less = clip([0.749999, 0.5, math.sqrt(0.1875)], "less", net_speech_s=4.0)
    enroll(desk.store, "twin", heard(ALICE, "u"))
    with desk.store.write() as writer:
        writer.samples.remove(writer.samples.of(writer.speakers.get("twin").id)[:1])
    assert desk.problems("alice", less) == []


def test_an_odd_clip_is_named_with_whose_voice_it_is_and_the_rest_is_not_his(desk: Desk) -> None:
    enroll(desk.store, "bob", heard(BOB, "bob"))
    mine = [clip(ALICE, name) for name in "ab"]
    problem = of(desk.found("alice", *mine, clip(BOB, "x")).problems)
    assert (problem.code, problem.clip, problem.overridable) == ("inconsistent", "x.wav", True)
    assert "does not agree with a.wav and b.wav (score 0.000, needed 0.750)" in problem.message
    assert problem.message.endswith("It sounds like bob (score 1.000).")


def test_new_clips_agree_with_the_samples_so_far_or_are_odd_themselves(desk: Desk) -> None:
    enroll(desk.store, "alice", heard(ALICE, "a"))
    strangers = [clip(BOB, "x", net_speech_s=9.0), clip(BOB, "y", net_speech_s=9.0)]
    problem = of(desk.found("alice", *strangers).problems)
    assert (problem.code, problem.clip) == ("inconsistent", None)
    assert "x.wav and y.wav do not agree with the sample so far" in problem.message


def test_clips_that_replace_samples_are_of_their_voice_from_the_very_threshold_on(
    desk: Desk,
) -> None:
    enroll(desk.store, "alice", heard(ALICE, "a"))
    new = clip(HALF_ALICE, "new", net_speech_s=4.0)

    def at(threshold: float) -> None:
        points = tuple(replace(p, threshold=threshold) for p in RULE.points)
        desk.checks = replace(desk.checks, rule_of=lambda _: replace(RULE, points=points))

    at(0.5)
    assert desk.problems("alice", new, append=False) == []
    at(math.nextafter(0.5, 1.0))
    problem = of(desk.found("alice", new, append=False).problems)
    assert (problem.code, problem.overridable) == ("inconsistent", True)
    assert "the 1 samples that they would replace (score 0.500" in problem.message


def test_who_would_be_enrolled_by_a_dry_run_counts_as_enrolled(desk: Desk) -> None:
    plan = Plan()
    plan.add("alice", [clip(ALICE, "a")])
    assert (
        desk.problems("Alice", clip(ALICE, "b", net_speech_s=1.0), planned=plan.at("Alice")) == []
    )
    assert desk.problems("alice", clip(ALICE, "a", net_speech_s=4.0), planned=plan.at("alice")) == [
        ("duplicate_clip", "a.wav"),
        ("too_little_speech", None),
    ]
    for parts, expected in ((ALICE, "already_enrolled"), (HALF_ALICE, None)):
        found = desk.problems("carol", clip(parts, "c", net_speech_s=4.0), planned=plan.at("carol"))
        assert [code for code, _ in found] == ([] if expected is None else [expected])
    assert desk.problems("carol", clip(ALICE, "a", net_speech_s=4.0), planned=plan.at("carol"))[
        0
    ] == (("clip_of_other", "a.wav"))
