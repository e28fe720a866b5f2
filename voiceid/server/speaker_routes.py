"""The enrolled speakers and their samples."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator, Field
from starlette.requests import Request

from voiceid.client import VoiceID
from voiceid.domain import Scope, Speaker, SpeakerDetails
from voiceid.errors import EnrollmentRefused
from voiceid.listing import json_in
from voiceid.server.callers import Admin, Caller, Enrolling, Reading, reached_speaker
from voiceid.server.consent_fields import ConsentFields, Expiry
from voiceid.server.descriptions import takes_audio
from voiceid.server.etags import require_seen, tagged
from voiceid.server.name_paths import NAME
from voiceid.server.problems import problem_answer
from voiceid.server.reach import joined_groups, require_reached
from voiceid.server.repeats import OnceRoute
from voiceid.server.request_clips import Texts, received
from voiceid.server.service_parts import Vid, parts_of
from voiceid.server.shown import shown_refusal, shown_report

ROUTES = APIRouter(prefix="/speakers", tags=["speakers"], route_class=OnceRoute)


_Object = BeforeValidator(lambda value: json_in(value) if isinstance(value, str) else value)
"""A validator for an object, which a query or a form has as JSON."""
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class EnrollOptions(ConsentFields):
    """The options of an enrolment; the groups of the key, if any, are added."""

    label: str = Field("", description="Where the clips were recorded, e.g. phone.")
    groups: Texts = Field((), description="Groups of the speaker from now on.")
    metadata: Annotated[dict[str, str], _Object] = Field(
        default_factory=dict, description="Metadata for the operator; JSON in a form or a query."
    )
    expires: Expiry | None = Field(None, description="A date, a time, or days from now: 90d.")
    force: bool = Field(default=False, description="Enrol despite problems that are judgements.")
    dry_run: bool = Field(default=False, description="Check everything, write nothing.")
    start_s: float | None = Field(None, description="Enrol the recording from here, in s.")
    end_s: float | None = Field(None, description="Enrol the recording until here, in s.")
    voice: str | None = Field(
        None, description="A voice in the recording, as diarize names it; or solo."
    )

    @property
    def part(self) -> tuple[float, float] | str | None:
        """The part of the recording to enrol, as the library takes it."""
        if self.start_s is not None and self.end_s is not None:
            return self.start_s, self.end_s
        return self.voice


class SpeakerEdit(ConsentFields):
    """The new details of a speaker; omitted fields stay unchanged."""

    name: str | None = Field(None, description="A new name.")
    groups: tuple[str, ...] = ()
    not_groups: tuple[str, ...] = ()
    metadata: dict[str, str | None] = Field(default_factory=dict)
    expires: Expiry | None = None
    never_expires: bool = False
    enabled: bool | None = None
    force: bool = Field(default=False, description="Allow a name that looks like another.")

    def details(self, caller: Caller) -> SpeakerDetails:
        """Return the details as the library takes them."""
        names = {"groups", "not_groups", "metadata", "never_expires", "enabled"}
        fields = self.model_dump(include=names)
        return SpeakerDetails(expires_at=self.expires, consents=self.consents(caller), **fields)


@ROUTES.get("")
def list_speakers(
    vid: Vid,
    caller: Reading,
    after: Annotated[str | None, Query(description="Begin after this name.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most this many.")] = 100,
    group: Annotated[str | None, Query(description="Only members of this group.")] = None,
) -> dict[str, Any]:
    """List the enrolled speakers by name, a page at a time; ``next`` begins the next page."""
    reached = caller.group(group) if group else None
    speakers, last = members(vid, after, limit, reached, caller)
    return {"speakers": [speaker.to_dict() for speaker in speakers], "next": last}


def members(
    vid: VoiceID, after: str | None, limit: int, group: str | None, caller: Caller
) -> tuple[list[Speaker], str | None]:
    """Return the next speakers that the caller reaches, and the name after which more may come."""
    speakers: list[Speaker] = []
    for page in vid.speakers.pages(after):
        for speaker in page:
            if caller.reaches(speaker) and (group is None or group in speaker.groups):
                speakers.append(speaker)
            if len(speakers) == limit:
                return speakers, speaker.name
    return speakers, None


@ROUTES.get(f"/{NAME}")
def show_speaker(request: Request, vid: Vid, name: str, caller: Reading) -> Response:
    """Show one speaker."""
    return tagged(reached_speaker(vid, name, caller), request)


@ROUTES.patch(f"/{NAME}")
def edit_speaker(
    request: Request, vid: Vid, name: str, edit: SpeakerEdit, caller: Admin
) -> Response:
    """Change a speaker's details or name."""
    expect = partial(require_seen, request)
    edited = vid.speakers.edit(
        name, edit.details(caller), new_name=edit.name, force=edit.force, expect=expect
    )
    return tagged(edited, request)


@ROUTES.delete(f"/{NAME}")
def remove_speaker(request: Request, vid: Vid, name: str, _: Admin) -> dict[str, Any]:
    """Erase a speaker: the name, every sample and every vector."""
    removed = vid.speakers.remove(name, expect=partial(require_seen, request))
    return {"removed": removed.to_dict()}


@ROUTES.get(f"/{NAME}/inspection")
def inspect_speaker(vid: Vid, name: str, caller: Reading) -> dict[str, Any]:
    """Compare a speaker's samples with each other, and the speaker with all others."""
    reached_speaker(vid, name, caller)
    return vid.speakers.inspect(name).to_dict()


@ROUTES.get(f"/{NAME}/samples")
def list_samples(vid: Vid, name: str, caller: Reading) -> dict[str, Any]:
    """List the samples of a speaker, oldest first."""
    reached_speaker(vid, name, caller)
    return {"samples": [sample.to_dict() for sample in vid.samples.list(name)]}


@ROUTES.delete(f"/{NAME}/samples/{{number}}")
def remove_sample(
    request: Request, vid: Vid, name: str, number: Number, _: Admin
) -> dict[str, Any]:
    """Erase a sample of a speaker."""
    require_seen(request, vid.speakers.get(name))
    return {"removed": vid.samples.remove(name, [number])[0].to_dict()}


@ROUTES.post(
    f"/{NAME}/samples", status_code=HTTPStatus.CREATED, openapi_extra=takes_audio(EnrollOptions, 50)
)
async def enroll(request: Request, name: str, caller: Enrolling) -> Response:
    """Enrol recordings of a voice: a new speaker, or more samples of an existing one."""
    return await _enrolled(request, name, caller, "append")


@ROUTES.put(
    f"/{NAME}/samples", status_code=HTTPStatus.CREATED, openapi_extra=takes_audio(EnrollOptions, 50)
)
async def replace(request: Request, name: str, caller: Admin) -> Response:
    """Replace a speaker's samples by recordings of a voice."""
    return await _enrolled(request, name, caller, "replace")


async def _enrolled(
    request: Request, name: str, caller: Caller, mode: Literal["append", "replace"]
) -> Response:
    parts = parts_of(request)
    async with received(request, EnrollOptions, (1, parts.limits.max_clips)) as (clips, options):
        if options.force:
            caller.require(Scope.ADMIN)
        details = SpeakerDetails(
            groups=joined_groups(options.groups, caller.groups),
            metadata=options.metadata,
            expires_at=options.expires,
            consents=options.consents(caller),
        )

        def enrolled() -> Response:
            if "if-match" in request.headers:
                require_seen(request, reached_speaker(parts.vid, name, caller))
            else:
                require_reached(parts.vid, name, caller.groups)
            report = parts.vid.enroll(
                name,
                clips,
                label=options.label,
                details=details,
                mode=mode,
                force=options.force,
                dry_run=options.dry_run,
                part=options.part,
            )
            status = HTTPStatus.CREATED if report.enrolled else HTTPStatus.OK
            return JSONResponse(shown_report(report, caller), status.value)

        try:
            return await parts.places.run(request, enrolled)
        except EnrollmentRefused as error:
            report: Any = error.report
            problem = shown_refusal(error, caller, name)
            return problem_answer(problem, report=shown_report(report, caller))
