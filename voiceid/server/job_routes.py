"""Long work: a request begins a job, and other requests ask for its state."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.requests import Request

from voiceid.domain import Job, JobKind, Scope
from voiceid.server.callers import Admin, Asking, Caller, Enrolling, Identifying
from voiceid.server.consent_fields import ConsentFields, recorder
from voiceid.server.descriptions import takes_audio
from voiceid.server.jobs import no_job
from voiceid.server.question_routes import PURPOSE, Rate
from voiceid.server.reach import joined_groups
from voiceid.server.repeats import OnceRoute
from voiceid.server.request_clips import Options, Texts, received
from voiceid.server.service_parts import ServiceParts, parts_of
from voiceid.server.shown import shown_job

F = TypeVar("F", bound=Callable[..., Any])
ROUTES = APIRouter(tags=["jobs"], route_class=OnceRoute)


def _speakers(value: object) -> object:
    """Return the minimum and the maximum of ``2``, ``2-4`` or ``[2, 4]``."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, str):
        low, dash, high = value.partition("-")
        return low, high if dash else low
    return value


def _in_order(counts: tuple[int, int] | None) -> tuple[int, int] | None:
    if counts is not None and counts[0] > counts[1]:
        raise ValueError("the lower number comes first")
    return counts


Count = Annotated[int, Field(ge=1, le=1000)]
Counts = Annotated[
    tuple[Count, Count] | None, BeforeValidator(_speakers), AfterValidator(_in_order)
]


class DiarizeOptions(Options):
    """The options of `diarize`."""

    speakers: Counts = Field(None, description="The number of people: 2, or 2-4.")
    names: bool = Field(default=True, description="Look for enrolled speakers among the voices.")
    group: str | None = Field(None, description="Look for names only among its members.")
    purpose: str | None = Field(None, description=PURPOSE)

    def asked(self, caller: Caller) -> dict[str, Any]:
        """Return the request of the job."""
        return self.model_dump() | {"group": caller.group(self.group)}


class EvaluateOptions(Options):
    """The options of `evaluate`."""

    manifest: str = Field(
        "", description="CSV or JSON Lines: name, path, and session and condition if known."
    )
    enroll_first: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Enrol the first N of each speaker, and test with the others."
    )
    source: str = Field("uploads", description="A name for the recordings.")

    def asked(self, _: Caller) -> dict[str, Any]:
        """Return the request of the job."""
        return self.model_dump()


class CalibrateOptions(EvaluateOptions):
    """The options of `calibrate`."""

    target_fmr: Rate | None = Field(None, description="The target FMR of decisions, e.g. 0.001.")


class EnrollmentsOptions(ConsentFields):
    """The options of an enrolment of many people."""

    manifest: str = Field(
        "",
        description="CSV or JSON Lines: name, path, and label, group, meta.KEY, expires, consent.",
    )
    label: str = Field("", description="Where the clips were recorded, e.g. phone.")
    groups: Texts = Field((), description="Groups of all these people.")
    force: bool = Field(default=False, description="Enrol despite problems that are judgements.")
    dry_run: bool = Field(default=False, description="Check everything, write nothing.")

    def asked(self, caller: Caller) -> dict[str, Any]:
        """Return the request of the job."""
        if self.force:
            caller.require(Scope.ADMIN)
        groups = joined_groups(self.groups, caller.groups)
        consents = [consent.to_dict() for consent in self.consents(caller)]
        fields = self.model_dump(exclude=set(ConsentFields.model_fields))
        recorded = {"reached": caller.groups, "recorded_by": recorder(caller)}
        return fields | {"groups": groups, "consents": consents} | recorded


def _begins(path: str, options: type[Options], **clips: Any) -> Callable[[F], F]:
    """Return the decorator of a route that begins a job."""
    takes = takes_audio(options, **clips)
    return ROUTES.post(path, status_code=HTTPStatus.ACCEPTED, openapi_extra=takes)


_NAMED = {"most": 1000, "names": "alice/1.wav"}


@_begins("/diarize", DiarizeOptions)
async def diarize(request: Request, caller: Identifying) -> Response:
    """Find who speaks when in a recording of several people."""
    return await _begun(request, caller, JobKind.DIARIZE, DiarizeOptions)


@_begins("/evaluate", EvaluateOptions, **_NAMED)
async def evaluate(request: Request, caller: Admin) -> Response:
    """Measure the error rates on labelled recordings."""
    return await _begun(request, caller, JobKind.EVALUATE, EvaluateOptions)


@_begins("/calibrate", CalibrateOptions, **_NAMED)
async def calibrate(request: Request, caller: Admin) -> Response:
    """Fit a calibration to labelled recordings; it decides only after `use`."""
    return await _begun(request, caller, JobKind.CALIBRATE, CalibrateOptions)


@_begins("/enrollments", EnrollmentsOptions, **_NAMED)
async def enroll_many(request: Request, caller: Enrolling) -> Response:
    """Enrol many people; a refused person does not stop the others."""
    return await _begun(request, caller, JobKind.ENROLL, EnrollmentsOptions)


async def _begun(request: Request, caller: Caller, kind: JobKind, options_of: Any) -> Response:
    parts = parts_of(request)
    async with received(request, options_of, n_clips(parts, kind)) as (clips, options):
        job = await to_thread.run_sync(
            parts.jobs.add, kind, caller.key_id, options.asked(caller), clips
        )
    answer = JSONResponse(shown_job(job, caller), HTTPStatus.ACCEPTED)
    answer.headers["Location"] = f"/v1/jobs/{job.id}"
    return answer


def n_clips(parts: ServiceParts, kind: JobKind) -> tuple[int, int]:
    """Return the minimum and the maximum number of recordings of a job."""
    least = 2 if kind in {JobKind.EVALUATE, JobKind.CALIBRATE} else 1
    return least, 1 if kind is JobKind.DIARIZE else parts.limits.max_job_clips


@ROUTES.get("/jobs")
def list_jobs(request: Request, caller: Asking) -> dict[str, Any]:
    """List the caller's jobs, oldest first, without results; an admin sees all jobs."""
    jobs = own_jobs(parts_of(request), caller)
    return {"jobs": [{**job.to_dict(), "result": None} for job in jobs]}


def own_jobs(parts: ServiceParts, caller: Caller) -> list[Job]:
    """Return the caller's jobs, oldest first; all jobs for an admin."""
    with parts.jobs.store.read() as reader:
        return reader.jobs.list(None if caller.may(Scope.ADMIN) else caller.key_id)


@ROUTES.get("/jobs/{job_id}")
def show_job(request: Request, job_id: str, caller: Asking) -> dict[str, Any]:
    """Show a job, its progress and its result."""
    return shown_job(own_job(parts_of(request), job_id, caller), caller)


@ROUTES.delete("/jobs/{job_id}")
def end_job(request: Request, job_id: str, caller: Asking) -> dict[str, Any]:
    """Cancel a job; remove a finished job and its result."""
    parts = parts_of(request)
    own_job(parts, job_id, caller)
    job, removed = parts.jobs.end(job_id)
    return {"removed" if removed else "cancelled": shown_job(job, caller)}


def own_job(parts: ServiceParts, job_id: str, caller: Caller) -> Job:
    """Return a job of the caller; raises Problem for another caller's job."""
    with parts.jobs.store.read() as reader:
        job = reader.jobs.find(job_id)
    if job is None or not (caller.may(Scope.ADMIN) or job.key_id == caller.key_id):
        raise no_job(job_id)
    return job
