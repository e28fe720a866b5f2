"""The parts of a decision that a caller may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceid.domain import (
    Decision,
    EnrollmentReport,
    Job,
    JobKind,
    LiveEvent,
    LiveEventKind,
    Outcome,
    Reason,
    Scope,
)
from voiceid.errors import EnrollmentRefused
from voiceid.server.callers import Caller
from voiceid.server.problems import Problem, problem_of

_DETAILS = {
    Outcome.ACCEPTED: "the voice is accepted",
    Outcome.REJECTED: "the voice is not accepted",
    Outcome.INCONCLUSIVE: "no decision is possible; one person should speak, and longer",
}
_SAID = {Reason.MATCH, Reason.NOT_ENOUGH_SPEECH}
"""Reasons that reveal nothing about enrolled speakers beyond the outcome."""


def shown(decision: Decision, caller: Caller, claimed: str | None = None) -> dict[str, Any]:
    """Return the JSON of a decision: all, or only what reveals nothing about other speakers.

    A caller without the scope ``read`` sees no scores, thresholds, other names or gallery size:
    with these, voices could be tried until they fit (hill climbing, ISO/IEC 30107-1).
    """
    return decision.to_dict() if caller.may(Scope.READ) else outline(decision, claimed)


def outline(decision: Decision, claimed: str | None = None) -> dict[str, Any]:
    """Return the parts of a decision that reveal nothing about other speakers."""
    return _without_others(decision.to_dict(), claimed)


def _without_others(facts: Mapping[str, Any], claimed: str | None = None) -> dict[str, Any]:
    outcome, speaker = Outcome(facts["outcome"]), claimed
    if claimed is None and outcome is Outcome.ACCEPTED and facts["speaker"] is not None:
        speaker = facts["speaker"]["name"]
    return {
        "task": facts["task"],
        "outcome": outcome.value,
        "reason": facts["reason"] if facts["reason"] in _SAID else None,
        "speaker": None if speaker is None else {"name": speaker},
        "group": facts["group"],
        "detail": _DETAILS[outcome],
    }


def shown_event(event: LiveEvent, caller: Caller, claimed: str | None) -> dict[str, Any]:
    """Return the JSON of an event: all, or only what reveals nothing about other speakers."""
    facts = event.to_dict()
    if caller.may(Scope.READ):
        return facts
    if event.decision is not None:
        facts["decision"] = outline(event.decision, claimed)
    elif event.kind is LiveEventKind.TURN:  # the detail is an error message
        facts["detail"] = "no decision was made"
    return facts


def shown_job(job: Job, caller: Caller) -> dict[str, Any]:
    """Return the JSON of a job: all, or only what reveals nothing about other speakers."""
    facts = job.to_dict()
    if caller.may(Scope.READ) or facts["result"] is None:
        return facts
    if job.kind is JobKind.ENROLL:
        facts["result"] = [_report_without_others(report) for report in facts["result"]]
    elif job.kind is JobKind.DIARIZE:
        for voice in facts["result"]["voices"]:
            voice["decision"] = voice["decision"] and _without_others(voice["decision"])
    return facts


_OF_OTHERS = {"already_enrolled", "clip_of_other", "look_alike", "inconsistent"}
"""Problems of an enrolment whose messages have names or scores of other speakers."""


def shown_refusal(error: EnrollmentRefused, caller: Caller, name: str) -> Problem:
    """Return the problem for a refused enrolment; without ``read`` it names no other speakers."""
    problem = problem_of(error)
    if not caller.may(Scope.READ):
        problem.detail = f"the recordings do not make a safe enrolment of {name!r}"
    return problem


def shown_report(report: EnrollmentReport, caller: Caller) -> dict[str, Any]:
    """Return the JSON of an enrolment: all, or only what reveals nothing about others."""
    facts = report.to_dict()
    return facts if caller.may(Scope.READ) else _report_without_others(facts)


def _report_without_others(facts: Mapping[str, Any]) -> dict[str, Any]:
    problems = [
        {**problem, "message": "" if problem["code"] in _OF_OTHERS else problem["message"]}
        for problem in facts["problems"]
    ]
    names = ("name", "status", "enrolled", "dry_run", "mode", "net_speech_s", "missing_speech_s")
    return {**{name: facts[name] for name in names}, "problems": problems}
