"""The rights of the people whose voices are kept: withdrawal, report, erasure with a receipt."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query
from starlette.requests import Request

from voiceid.server.callers import Admin
from voiceid.server.consent_fields import recorder
from voiceid.server.etags import require_seen
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import parts_of

ROUTES = APIRouter(prefix="/speakers/{name}", tags=["speakers"], route_class=OnceRoute)


@ROUTES.post("/withdrawal")
async def withdraw_consent(request: Request, name: str, caller: Admin) -> dict[str, Any]:
    """Withdraw the consent of a speaker, who is disabled at once and erased by schedule."""
    vid, expect = parts_of(request).vid, partial(require_seen, request)
    withdraw = partial(vid.speakers.withdraw, name, recorder(caller), expect=expect)
    return (await to_thread.run_sync(withdraw)).to_dict()


@ROUTES.get("/report")
async def report_person(
    request: Request,
    name: str,
    caller: Admin,
    days: Annotated[int, Query(ge=1, le=36_500, description="Of uses, so many days.")] = 30,
    vectors: Annotated[bool, Query(description="The vectors of the samples too.")] = False,
) -> dict[str, Any]:
    """Give everything that is kept of a person."""
    del caller
    vid = parts_of(request).vid

    def report() -> dict[str, Any]:
        return vid.privacy.report(name, days=days).to_dict(vectors=vectors)

    return await to_thread.run_sync(report)


@ROUTES.post("/erasure")
async def erase_person(request: Request, name: str, caller: Admin) -> dict[str, Any]:
    """Erase a speaker, and give the signed receipt of it."""
    vid, expect = parts_of(request).vid, partial(require_seen, request)
    erase = partial(vid.privacy.erase, name, erased_by=recorder(caller), expect=expect)
    return (await to_thread.run_sync(erase)).to_dict()
