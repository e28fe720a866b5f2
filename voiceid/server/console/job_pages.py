"""Pages of long work: how far it is, what came of it, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from voiceid.domain import Job, JobKind, JobPicture, JobState
from voiceid.server.callers import Caller
from voiceid.server.console.visits import FRAGMENT, PageRoute, Visit, Working
from voiceid.server.job_routes import own_job, own_jobs
from voiceid.server.problems import Problem
from voiceid.server.shown import shown_job

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


@ROUTES.get("/jobs")
async def jobs(visit: Working) -> Response:
    """List the jobs that the person began, newest first; those of all to an admin."""
    found = await to_thread.run_sync(own_jobs, visit.parts, visit.person)
    return visit.page("jobs.html", jobs=[outline(job) for job in reversed(found)])


@ROUTES.get("/job")
async def show(visit: Working, id: str) -> Response:  # noqa: A002 - as the address has it
    """Show a job; the script of a page asks for it again while it is worked on."""
    facts = await to_thread.run_sync(_facts, visit, id)
    return visit.page("job.html", part="_job.html", **facts)


@ROUTES.get("/job/{name}.png")
async def picture(visit: Working, id: str, name: str) -> Response:  # noqa: A002
    """Return what was drawn of a result."""
    drawn = (await to_thread.run_sync(_pictures, visit, id)).get(f"{name}.png")
    if drawn is None:
        raise Problem(HTTPStatus.NOT_FOUND, "NotFound", "there is no such picture")
    return Response(drawn.png, media_type="image/png")


@ROUTES.post("/job/end")
async def end(visit: Working, id: str) -> Response:  # noqa: A002
    """Cancel a job; remove one that is over, and its result."""
    await visit.form()

    def ended() -> bool:
        own_job(visit.parts, id, visit.person)
        return visit.parts.jobs.end(id)[1]

    if await to_thread.run_sync(ended):
        return visit.go("/jobs", said="job-removed")
    return visit.go("/job", id=id)


def begun(visit: Visit, job: Job) -> Response:
    """Return the answer to a form that began a job: its page, or that it goes on."""
    if FRAGMENT not in visit.request.headers:
        return RedirectResponse(f"/job?id={job.id}", HTTPStatus.SEE_OTHER)
    answer = visit.page("_job.html", status=HTTPStatus.ACCEPTED, **_facts_of(visit.person, job))
    answer.headers["Location"] = f"/job?id={job.id}"
    return answer


def _facts(visit: Visit, job_id: str) -> dict[str, Any]:
    job = own_job(visit.parts, job_id, visit.person)
    drawn = _pictures(visit, job_id) if job.kind in {JobKind.EVALUATE, JobKind.CALIBRATE} else {}
    return _facts_of(visit.person, job, drawn)


def _facts_of(
    caller: Caller, job: Job, drawn: Mapping[str, JobPicture] | None = None
) -> dict[str, Any]:
    return {
        "job": outline(job),
        "found": shown_job(job, caller)["result"],
        "problem": job.result if job.state is JobState.FAILED else None,
        "pictures": {name: picture.title for name, picture in (drawn or {}).items()},
    }


def _pictures(visit: Visit, job_id: str) -> dict[str, JobPicture]:
    own_job(visit.parts, job_id, visit.person)
    with visit.parts.jobs.store.read() as reader:
        return reader.jobs.pictures(job_id)


def outline(job: Job) -> dict[str, Any]:
    """Return what pages show of each job."""
    names = [name for _, name in job.request.get("clips", ())]  # until it is over
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
