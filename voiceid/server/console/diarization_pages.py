"""The page that says who spoke when in a recording."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter
from starlette.responses import Response

from voiceid.server.console.visits import Fields, Hearing, PageRoute
from voiceid.server.request_clips import received

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


class DiarizeFields(Fields):
    """Of a recording of several people."""

    group: str = ""


@ROUTES.get("/recording")
async def ask_recording(visit: Hearing) -> Response:
    """Ask for a recording."""
    return visit.page("recording.html", found=None)


@ROUTES.post("/recording")
async def diarize(visit: Hearing) -> Response:
    """Say who spoke when; the script of the page plays it beside that."""
    async with received(visit.request, DiarizeFields, (1, 1)) as ([clip], fields):
        visit.require_token(fields.token)
        group = visit.person.group(fields.group.strip() or None)
        ask = partial(visit.vid.diarize, clip, group=group)
        found = await visit.parts.places.run(visit.request, ask)
    return visit.page("recording.html", part="_turns.html", found=found)
