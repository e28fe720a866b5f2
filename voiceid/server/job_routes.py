"""Long work: it is begun with a request, and asked for by its job."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.requests import Request

from voiceid.domain import Job, JobKind, Scope, tag
from voiceid.server.callers import Admin, Asking, Caller, Enrolling, Identifying
from voiceid.server.consent_fields import ConsentFields, recorder
from voiceid.server.descriptions import takes_audio
from voiceid.server.jobs import no_job
from voiceid.server.question_routes import PURPOSE, Rate
from voiceid.server.repeats import OnceRoute
from voiceid.server.request_clips import Options, Texts, received
from voiceid.server.service_parts import ServiceParts, parts_of
from voiceid.server.shown import shown_job

F = TypeVar("F", bound=Callable[..., Any])
ROUTES = APIRouter(tags=["jobs"], route_class=OnceRoute)


def _speakers(given: object) -> object:
    """Return the fewest and the most of ``2``, ``2-4`` or ``[2, 4]``."""
    if isinstance(given, int):
        return given, given
    if isinstance(given, str):
        low, dash, high = given.partition("-")
        return low, high if dash else low
    return given


def _in_order(given: tuple[int, int] | None) -> tuple[int, int] | None:
    if given is not None and given[0] > given[1]:
        raise ValueError("the lower number comes first")
    return given


Count = Annotated[int, Field(ge=1, le=1000)]
Counts = Annotated[
    tuple[Count, Count] | None, BeforeValidator(_speakers), AfterValidator(_in_order)
]


class DiarizeOptions(Options):
    """Of `diarize`."""

    speakers: Counts = Field(None, description="How many people speak: 2, or 2-4.")
    names: bool = Field(default=True, description="Look for the voices among the enrolled.")
    group: str | None = Field(None, description="Look for names among its members alone.")
    purpose: str | None = Field(None, description=PURPOSE)

    def asked(self, caller: Caller) -> dict[str, Any]:
        """Return what the job is to know."""
        return self.model_dump() | {"group": caller.group(self.group)}


class EvaluateOptions(Options):
    """Of `evaluate`."""

    manifest: str = Field(
        "", description="CSV or JSON Lines: name, path, and where known session and condition."
    )
    enroll_first: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Enrol the first so many of each speaker, and ask about the others."
    )
    source: str = Field("uploads", description="What to call the recordings.")

    def asked(self, caller: Caller) -> dict[str, Any]:
        """Return what the job is to know."""
        del caller
        return self.model_dump()


class CalibrateOptions(EvaluateOptions):
    """Of `calibrate`."""

    target_fmr: Rate | None = Field(None, description="What decisions aim at with it, e.g. 0.001.")


class EnrollmentsOptions(Options, ConsentFields):
    """Of an enrolment of many people."""

    manifest: str = Field(
        "",
        description="CSV or JSON Lines: name, path, and label, group, meta.KEY, expires, consent.",
    )
    label: str = Field("", description="Where all of the clips were recorded, e.g. phone.")
    groups: Texts = Field((), description="Groups that all of them are in.")
    force: bool = Field(default=False, description="Override problems that are judgements.")
    dry_run: bool = Field(default=False, description="Check everything, write nothing.")

    def asked(self, caller: Caller) -> dict[str, Any]:
        """Return what the job is to know."""
        if self.force:
            caller.require(Scope.ADMIN)
        named = tuple(tag("group", group) for group in self.groups)
        groups = tuple(dict.fromkeys((*named, *caller.groups)))
        consents = [consent.to_dict() for consent in self.consents(caller)]
        said = self.model_dump(exclude=set(ConsentFields.model_fields))
        who = {"reached": caller.groups, "recorded_by": recorder(caller)}
        return said | {"groups": groups, "consents": consents} | who


def _begins(path: str, options: type[Options], **clips: Any) -> Callable[[F], F]:
    """Return the decorator of a route that begins a job."""
    takes = takes_audio(options, **clips)
    return ROUTES.post(path, status_code=HTTPStatus.ACCEPTED, openapi_extra=takes)


_NAMED = {"most": 1000, "names": "alice/1.wav"}


@_begins("/diarize", DiarizeOptions)
async def diarize(request: Request, caller: Identifying) -> Response:
    """Say who speaks when in a recording of several people."""
    return await _begun(request, caller, JobKind.DIARIZE, DiarizeOptions)


@_begins("/evaluate", EvaluateOptions, **_NAMED)
async def evaluate(request: Request, caller: Admin) -> Response:
    """Measure the error rates on recordings whose speakers are known."""
    return await _begun(request, caller, JobKind.EVALUATE, EvaluateOptions)


@_begins("/calibrate", CalibrateOptions, **_NAMED)
async def calibrate(request: Request, caller: Admin) -> Response:
    """Fit a calibration to recordings whose speakers are known; it decides once it is used."""
    return await _begun(request, caller, JobKind.CALIBRATE, CalibrateOptions)


@_begins("/enrollments", EnrollmentsOptions, **_NAMED)
async def enroll_many(request: Request, caller: Enrolling) -> Response:
    """Enrol many people; one who is refused stops no other."""
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
    """Return the fewest and the most recordings of a job."""
    least = 2 if kind in {JobKind.EVALUATE, JobKind.CALIBRATE} else 1
    return least, 1 if kind is JobKind.DIARIZE else parts.limits.max_job_clips


@ROUTES.get("/jobs")
def list_jobs(request: Request, caller: Asking) -> dict[str, Any]:
    """List the caller's jobs, oldest first, without their results; those of all to an admin."""
    found = own_jobs(parts_of(request), caller)
    return {"jobs": [{**job.to_dict(), "result": None} for job in found]}


def own_jobs(parts: ServiceParts, caller: Caller) -> list[Job]:
    """Return the caller's jobs, oldest first; those of all for an admin."""
    with parts.jobs.store.read() as reader:
        return reader.jobs.list(None if caller.may(Scope.ADMIN) else caller.key_id)


@ROUTES.get("/jobs/{job_id}")
def show_job(request: Request, job_id: str, caller: Asking) -> dict[str, Any]:
    """Show a job, how far it is, and what came of it."""
    return shown_job(own_job(parts_of(request), job_id, caller), caller)


@ROUTES.delete("/jobs/{job_id}")
def end_job(request: Request, job_id: str, caller: Asking) -> dict[str, Any]:
    """Cancel a job; remove one that is over, and its result."""
    parts = parts_of(request)
    own_job(parts, job_id, caller)
    job, removed = parts.jobs.end(job_id)
    return {"removed" if removed else "cancelled": shown_job(job, caller)}


def own_job(parts: ServiceParts, job_id: str, caller: Caller) -> Job:
    """Return a job of the caller's; those of others are not there for them."""
    with parts.jobs.store.read() as reader:
        job = reader.jobs.find(job_id)
    if job is None or not (caller.may(Scope.ADMIN) or job.key_id == caller.key_id):
        raise no_job(job_id)
    return job
