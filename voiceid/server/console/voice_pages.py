"""Pages that hear: enrolling, and trying a voice."""

from __future__ import annotations

from functools import partial
from typing import Annotated, cast

from fastapi import APIRouter
from starlette.responses import Response

from voiceid.domain import Decision, EnrollmentReport, Scope, SpeakerDetails
from voiceid.errors import EnrollmentRefused
from voiceid.server.consent_fields import ConsentFields, Expiry
from voiceid.server.console.drawings import scale_of
from voiceid.server.console.visits import Adding, Asking, Blank, Fields, Listed, PageRoute
from voiceid.server.problems import problem_of
from voiceid.server.reach import joined_groups, require_reached
from voiceid.server.request_clips import received
from voiceid.server.shown import shown, shown_report

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


class EnrollFields(ConsentFields):
    """The fields of an enrolment."""

    token: str = ""
    name: str
    label: str = ""
    groups: Annotated[tuple[str, ...], Listed] = ()
    expires: Annotated[Expiry | None, Blank] = None
    consent: Annotated[str | None, Blank] = None
    purpose: Annotated[tuple[str, ...], Listed] = ()
    until: Annotated[Expiry | None, Blank] = None
    mode: str = "append"
    force: bool = False
    check: bool = False


class TryFields(Fields):
    """The fields of a question."""

    speaker: str = ""
    group: str = ""
    challenge: str = ""


@ROUTES.get("/enroll")
async def ask_enrolment(visit: Adding, name: str = "") -> Response:
    """Ask for a name and recordings."""
    return visit.page("enroll.html", name=name, report=None)


@ROUTES.post("/enroll")
async def enroll(visit: Adding) -> Response:
    """Enrol recordings, or show what is missing."""
    async with received(visit.request, EnrollFields, (1, visit.parts.limits.max_clips)) as (
        clips,
        fields,
    ):
        visit.require_token(fields.token)
        if fields.force or fields.mode != "append":
            visit.person.require(Scope.ADMIN)
        details = SpeakerDetails(
            groups=joined_groups(fields.groups, visit.person.groups),
            expires_at=fields.expires,
            consents=fields.consents(visit.person),
        )

        def enrolled() -> EnrollmentReport:
            require_reached(visit.vid, fields.name, visit.person.groups)
            return visit.vid.enroll(
                fields.name,
                clips,
                label=fields.label.strip(),
                details=details,
                mode="replace" if fields.mode == "replace" else "append",
                force=fields.force,
                dry_run=fields.check,
            )

        try:
            report, status = await visit.parts.places.run(visit.request, enrolled), 200
        except EnrollmentRefused as error:
            report = cast("EnrollmentReport", error.report)
            status = 200 if fields.check else problem_of(error).status
    return visit.page(
        "enroll.html",
        status=status,
        part="_report.html",
        name=fields.name,
        report=shown_report(report, visit.person),
    )


@ROUTES.get("/try")
async def ask_voice(visit: Asking, speaker: str = "") -> Response:
    """Ask for a voice."""
    return visit.page("try.html", speaker=speaker, decision=None, scale=None)


@ROUTES.post("/try")
async def try_voice(visit: Asking) -> Response:
    """Decide who speaks, and explain it."""
    async with received(visit.request, TryFields, (1, 1)) as ([clip], fields):
        visit.require_token(fields.token)
        claimed = fields.speaker.strip()
        of_one = bool(claimed or fields.challenge)  # a code without a name is refused
        visit.person.require(Scope.VERIFY if of_one else Scope.IDENTIFY)
        group = visit.person.group(fields.group.strip() or None)
        ask = partial(visit.vid.identify, clip, group=group)
        if of_one:
            ask = partial(
                visit.vid.verify,
                claimed,
                clip,
                group=group,
                caller=visit.person.name,
                challenge=fields.challenge or None,
                blind=not visit.person.may(Scope.READ),
            )
        decision: Decision = await visit.parts.places.run(visit.request, ask)
    facts = shown(decision, visit.person, claimed=claimed or None)
    return visit.page(
        "try.html", part="_decision.html", speaker=claimed, decision=facts, scale=scale_of(facts)
    )
