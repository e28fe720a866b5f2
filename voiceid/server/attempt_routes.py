"""Failed attempts: who is locked, and unlocking."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.requests import Request

from voiceid.server.callers import Admin
from voiceid.server.name_paths import NAME
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import parts_of

ROUTES = APIRouter(prefix="/attempts", tags=["attempts"], route_class=OnceRoute)


@ROUTES.get("")
async def list_attempts(request: Request, caller: Admin) -> dict[str, Any]:
    """List the names and the callers with failed attempts, and until when they are locked."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.attempts.list)
    return {"attempts": [one.to_dict() for one in found]}


@ROUTES.delete(f"/speakers/{NAME}")
async def unlock(request: Request, name: str, caller: Admin) -> dict[str, Any]:
    """Forget the failed attempts to be accepted as a name."""
    del caller
    return {"forgotten": await to_thread.run_sync(parts_of(request).vid.attempts.unlock, name)}


@ROUTES.delete(f"/callers/{NAME}")
async def unlock_caller(request: Request, name: str, caller: Admin) -> dict[str, Any]:
    """Forget the failed attempts of a caller."""
    del caller
    vid = parts_of(request).vid
    return {"forgotten": await to_thread.run_sync(vid.attempts.unlock_caller, name)}
