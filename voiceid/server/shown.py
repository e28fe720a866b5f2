"""What of a decision a caller may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceid.domain import Decision, EnrollmentReport, Job, JobKind, Outcome, Reason, Scope
from voiceid.server.callers import Caller

_DETAILS = {
    Outcome.ACCEPTED: "the voice is accepted",
    Outcome.REJECTED: "the voice is not accepted",
    Outcome.INCONCLUSIVE: "it cannot be decided; one person is to speak, and longer",
}
_SAID = {Reason.MATCH, Reason.NOT_ENOUGH_SPEECH}
"""Reasons that say nothing of enrolled speakers beyond the outcome."""


def shown(decision: Decision, caller: Caller, claimed: str | None = None) -> dict[str, Any]:
    """Return the JSON of a decision: all of it, or what says nothing of other speakers.

    A caller without the scope ``read`` sees no scores, no thresholds, no other names and no size
    of the gallery: with these, voices can be tried until they fit (hill climbing, ISO/IEC 30107-1).
    """
    facts = decision.to_dict()
    return facts if caller.may(Scope.READ) else _without_others(facts, claimed)


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


def shown_job(job: Job, caller: Caller) -> dict[str, Any]:
    """Return the JSON of a job: all of it, or what says nothing of other speakers."""
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
"""Problems of an enrolment whose sentences name other speakers, or their scores."""


def shown_report(report: EnrollmentReport, caller: Caller) -> dict[str, Any]:
    """Return the JSON of an enrolment: all of it, or what says nothing of other speakers."""
    facts = report.to_dict()
    return facts if caller.may(Scope.READ) else _report_without_others(facts)


def _report_without_others(facts: Mapping[str, Any]) -> dict[str, Any]:
    problems = [
        {**problem, "message": "" if problem["code"] in _OF_OTHERS else problem["message"]}
        for problem in facts["problems"]
    ]
    names = ("name", "status", "enrolled", "dry_run", "mode", "net_speech_s", "missing_speech_s")
    return {**{name: facts[name] for name in names}, "problems": problems}
