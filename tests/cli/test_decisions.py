"""The words of decisions and enrolments, whatever led to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from voiceid.cli.console import Console, Settings
from voiceid.cli.decision_text import decision_text, tell, warning_text
from voiceid.cli.enrollment_text import problem_lines, report_text
from voiceid.domain import (
    Candidate,
    Decision,
    EmbeddingSpace,
    EnrollmentClip,
    EnrollmentProblem,
    EnrollmentReport,
    Outcome,
    QualityReport,
    Reason,
    SpeakerRef,
    Task,
    Threshold,
)

SPACE = EmbeddingSpace("campplus", 192, "00", "fbank", "whole", "silero")
QUALITY = QualityReport(5.0, 4.2, 21.0, 0.0, 7900.0, 16000, -20.0)
ALICE, BOB = SpeakerRef(1, "alice"), SpeakerRef(2, "bob")
ACCEPTED = Decision(
    task=Task.IDENTIFY,
    outcome=Outcome.ACCEPTED,
    reason=Reason.MATCH,
    speaker=ALICE,
    score=0.812,
    threshold=Threshold(0.55, "card campplus"),
    llr=8.3,
    calibration=None,
    margin=0.31,
    runner_up=Candidate(BOB, 0.502),
    candidates=(Candidate(ALICE, 0.812), Candidate(BOB, 0.502)),
    quality=QUALITY,
    embedding_space=SPACE,
    gallery_size=2,
    group=None,
    elapsed_ms=23.4,
    detail="score 0.812 >= threshold 0.55 (card campplus)",
)


def test_an_acceptance_says_who_and_why_and_by_how_much() -> None:
    assert decision_text(ACCEPTED).split("\n") == [
        "accepted  alice",
        "          score 0.812 >= threshold 0.55 (card campplus)",
        "          LLR 8.3   margin 0.310 over bob   net speech 4.2 s   2 enrolled   23 ms",
        "",
        "rank  speaker  score",
        "   1  alice    0.812",
        "   2  bob      0.502",
    ]


def test_without_an_llr_there_is_no_word_of_it() -> None:
    assert "LLR" not in decision_text(replace(ACCEPTED, llr=None))


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize(
    ("outcome", "code"), [(Outcome.ACCEPTED, 0), (Outcome.REJECTED, 10), (Outcome.INCONCLUSIVE, 11)]
)
def test_every_outcome_of_every_task_has_its_words_and_its_exit_code(
    task: Task, outcome: Outcome, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    speaker = ALICE if task is not Task.COMPARE else None
    decision = replace(ACCEPTED, task=task, outcome=outcome, speaker=speaker, candidates=())
    assert tell(decision, Console(Settings())) == code
    first = capsys.readouterr().out.split("\n")[0]
    assert first.startswith(f"{outcome}  ")
    assert (first == "accepted  alice") == (
        outcome is Outcome.ACCEPTED and task is not Task.COMPARE
    )


def test_every_outcome_there_is_has_an_exit_code() -> None:
    from voiceid.cli.decision_text import _EXIT_CODES

    assert set(_EXIT_CODES) == {outcome.value for outcome in Outcome}


def test_a_name_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = SpeakerRef(1, "\x1b[2Jalice\naccepted  mallory")
    decision = replace(ACCEPTED, outcome=Outcome.REJECTED, speaker=evil, task=Task.VERIFY)
    decision = replace(decision, candidates=(Candidate(evil, 0.1), Candidate(BOB, 0.0)))
    tell(decision, Console(Settings()))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not any(line.startswith("accepted") for line in out.split("\n"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("narrowband", "nothing above 3.6 kHz"),
        ("noisy", "only 3 dB"),
        ("clipped", "2.0%"),
        ("truncated", "damaged"),
        ("too_short", "0.40 s"),
        ("some_new_warning", "some new warning"),
    ],
)
def test_quality_warnings_have_words_and_numbers(code: str, words: str) -> None:
    quality = QualityReport(1.0, 0.4, 3.0, 0.02, 3600.0, 8000, -30.0, (code,))
    assert words in warning_text(code, quality)
    bare = replace(quality, snr_db=None, bandwidth_hz=None)
    assert code.split("_", maxsplit=1)[0][:4] in warning_text(code, bare)


def report(**changes: Any) -> EnrollmentReport:
    values: dict[str, Any] = {
        "name": "alice",
        "speaker": None,
        "enrolled": False,
        "dry_run": True,
        "mode": "append",
        "clips": (
            EnrollmentClip("a1.wav", "00", QUALITY, 0.81),
            EnrollmentClip("broken.wav", None, None, None),
        ),
        "net_speech_s": 4.2,
        "missing_speech_s": 1.8,
        "problems": (
            EnrollmentProblem("unreadable", "broken.wav", "not audio", overridable=False),
            EnrollmentProblem("inconsistent", "a1.wav", "another voice?", overridable=True),
            EnrollmentProblem(
                "already_enrolled", None, "this is bob", overridable=True, overridden=True
            ),
        ),
        "embedding_space": SPACE,
        "elapsed_ms": 12.0,
    }
    return EnrollmentReport(**(values | changes))


def test_an_enrolment_shows_every_clip_and_what_is_missing() -> None:
    assert report_text(report()).split("\n") == [
        "clip        net speech    SNR  agreement  warnings",
        "a1.wav           4.2 s  21 dB      0.810  -",
        "broken.wav           -      -          -  unreadable",
        "",
        (
            "dry run  alice could be enrolled: 2 clips, 4.2 s of net speech in all,"
            " 1.8 s missing; nothing was changed   12 ms"
        ),
    ]


def test_every_problem_says_whether_force_helps() -> None:
    assert problem_lines(report()) == [
        "problem: broken.wav: not audio [unreadable]",
        "problem (--force overrides): a1.wav: another voice? [inconsistent]",
        "overridden: this is bob [already_enrolled]",
    ]
