"""The page that says who spoke when in a recording."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from voiceid.domain import JobKind
from voiceid.server.console.job_pages import begun
from voiceid.server.console.visits import Blank, Fields, Hearing, PageRoute
from voiceid.server.job_routes import Counts, n_clips
from voiceid.server.request_clips import received

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


class DiarizeFields(Fields):
    """Of a recording of several people."""

    speakers: Annotated[Counts, Blank] = None
    group: str = ""


@ROUTES.get("/recording")
async def ask_recording(visit: Hearing) -> Response:
    """Ask for a recording."""
    return visit.page("recording.html")


@ROUTES.post("/recording")
async def diarize(visit: Hearing) -> Response:
    """Begin to say who spoke when; the script of the page plays it beside that."""
    kind = JobKind.DIARIZE
    async with received(visit.request, DiarizeFields, n_clips(visit.parts, kind)) as (
        clips,
        fields,
    ):
        visit.require_token(fields.token)
        group = visit.person.group(fields.group.strip() or None)
        request = {"speakers": fields.speakers, "names": True, "group": group}
        add = partial(visit.parts.jobs.add, kind, visit.person.key_id, request, clips)
        return begun(visit, await to_thread.run_sync(add))
