"""Pages of long work: its start, its progress, its result, and its end.

Recordings of several people are diarized; labelled recordings are used to count errors or to fit
calibrations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated, Any, BinaryIO, Literal

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from voiceid.domain import Job, JobKind, JobPicture, JobState
from voiceid.server.callers import Caller
from voiceid.server.console.visits import (
    FRAGMENT,
    Blank,
    Fields,
    Hearing,
    Managing,
    PageRoute,
    Sent,
    Visit,
    Working,
)
from voiceid.server.job_routes import Counts, n_clips, own_job, own_jobs
from voiceid.server.problems import Problem
from voiceid.server.question_routes import Rate
from voiceid.server.request_clips import received
from voiceid.server.shown import shown_job

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


_SPEAKER_CLIP = 2
"""Parts of the name of a recording: SPEAKER/CLIP."""


class DiarizeFields(Fields):
    """The fields of a recording of several people."""

    speakers: Annotated[Counts, Blank] = None
    group: str = ""


@ROUTES.get("/recording")
async def ask_recording(visit: Hearing) -> Response:
    """Ask for a recording."""
    return visit.page("recording.html")


@ROUTES.post("/recording")
async def diarize(visit: Hearing) -> Response:
    """Begin a diarization; the page's script plays the recording beside the result."""
    kind = JobKind.DIARIZE
    async with received(visit.request, DiarizeFields, n_clips(visit.parts, kind)) as (
        clips,
        fields,
    ):
        visit.require_token(fields.token)
        group = visit.person.group(fields.group.strip() or None)
        request = {"speakers": fields.speakers, "names": True, "group": group}
        return await _begun(visit, kind, request, clips)


class EvaluationFields(Fields):
    """The fields of labelled recordings."""

    kind: Literal["evaluate", "calibrate"] = "evaluate"
    manifest: str = ""
    source: str = ""
    target_fmr: Annotated[Rate | None, Blank] = None


@ROUTES.get("/evaluation")
async def ask_recordings(visit: Managing) -> Response:
    """Ask for labelled recordings."""
    most = visit.parts.limits
    return visit.page(
        "evaluation.html", most_clips=most.max_job_clips, most_mb=most.max_body_bytes >> 20
    )


@ROUTES.post("/evaluation")
async def begin(visit: Managing) -> Response:
    """Begin an evaluation, or the fit of a calibration."""
    many = n_clips(visit.parts, JobKind.EVALUATE)
    async with received(visit.request, EvaluationFields, many) as (clips, fields):
        visit.require_token(fields.token)
        folder = _outer_folder(clips)
        for clip in clips:
            clip.name = clip.name.removeprefix(folder)  # type: ignore[misc]  # `_Clip` has a name to set
        request = {
            "manifest": fields.manifest,
            "enroll_first": None,
            "source": fields.source.strip() or folder.rstrip("/") or "uploads",
            "target_fmr": fields.target_fmr,
        }
        return await _begun(visit, JobKind(fields.kind), request, clips)


def _outer_folder(clips: Sequence[BinaryIO]) -> str:
    """Return the chosen folder with a slash: browsers put it before SPEAKER/CLIP."""
    paths = [PurePosixPath(clip.name).parts for clip in clips]
    first = {path[0] for path in paths if path}
    is_outer = len(first) == 1 and all(len(path) > _SPEAKER_CLIP for path in paths)
    return f"{first.pop()}/" if is_outer else ""


@ROUTES.get("/jobs")
def jobs(visit: Working) -> Response:
    """List the person's jobs, newest first; an admin sees all jobs."""
    own = own_jobs(visit.parts, visit.person)
    return visit.page("jobs.html", jobs=[_outline(job) for job in reversed(own)])


@ROUTES.get("/job")
def show(visit: Working, id: str) -> Response:  # noqa: A002 - as the address has it
    """Show a job; the page's script reloads it while it runs."""
    job = own_job(visit.parts, id, visit.person)
    drawn = _pictures(visit, id) if job.kind in {JobKind.EVALUATE, JobKind.CALIBRATE} else {}
    return visit.page("job.html", part="_job.html", **_facts(visit.person, job, drawn))


@ROUTES.get("/job/{name}.png")
def picture(visit: Working, id: str, name: str) -> Response:  # noqa: A002
    """Return a picture of a result."""
    drawn = _pictures(visit, id).get(f"{name}.png")
    if drawn is None:
        raise Problem(HTTPStatus.NOT_FOUND, "NotFound", "there is no such picture")
    return Response(drawn.png, media_type="image/png")


@ROUTES.post("/job/end")
def end(visit: Working, id: str, _: Sent) -> Response:  # noqa: A002
    """Cancel a job; remove a finished job and its result."""
    own_job(visit.parts, id, visit.person)
    is_removed = visit.parts.jobs.end(id)[1]
    return visit.go("/jobs", said="job-removed") if is_removed else visit.go("/job", id=id)


async def _begun(
    visit: Visit, kind: JobKind, request: Mapping[str, Any], clips: Sequence[BinaryIO]
) -> Response:
    """Begin the job of a form, and return its page, or its progress."""
    add = visit.parts.jobs.add
    job = await to_thread.run_sync(add, kind, visit.person.key_id, request, clips)
    if FRAGMENT not in visit.request.headers:
        return RedirectResponse(f"/job?id={job.id}", HTTPStatus.SEE_OTHER)
    answer = visit.page("_job.html", status=HTTPStatus.ACCEPTED, **_facts(visit.person, job))
    answer.headers["Location"] = f"/job?id={job.id}"
    return answer


def _facts(
    caller: Caller, job: Job, drawn: Mapping[str, JobPicture] | None = None
) -> dict[str, Any]:
    return {
        "job": _outline(job),
        "result": shown_job(job, caller)["result"],
        "problem": job.result if job.state is JobState.FAILED else None,
        "pictures": {name: picture.title for name, picture in (drawn or {}).items()},
    }


def _pictures(visit: Visit, job_id: str) -> dict[str, JobPicture]:
    own_job(visit.parts, job_id, visit.person)
    with visit.parts.jobs.store.read() as reader:
        return reader.jobs.pictures(job_id)


def _outline(job: Job) -> dict[str, Any]:
    """Return the facts of a job for the pages."""
    names = [name for _, name in job.request.get("clips", ())]  # only until it ends
    result = job.result if isinstance(job.result, dict) else {}
    names = names or [result[of] for of in ("clip", "source") if of in result]
    return {
        "id": job.id,
        "kind": job.kind.value,
        "state": job.state.value,
        "is_over": job.state.is_over,
        "is_forgotten": job.is_forgotten,
        "done": job.done,
        "total": job.total,
        "unit": job.to_dict()["progress"]["unit"],
        "created_at": job.created_at,
        "clips": names,
    }
