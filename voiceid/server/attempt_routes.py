"""Failed attempts: who is locked, and unlocking."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from voiceid.server.callers import Admin
from voiceid.server.name_paths import NAME
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import Vid

ROUTES = APIRouter(prefix="/attempts", tags=["attempts"], route_class=OnceRoute)


@ROUTES.get("")
def list_attempts(vid: Vid, _: Admin) -> dict[str, Any]:
    """List the names and the callers with failed attempts, and until when they are locked."""
    return {"attempts": [one.to_dict() for one in vid.attempts.list()]}


@ROUTES.delete(f"/speakers/{NAME}")
def unlock(vid: Vid, name: str, _: Admin) -> dict[str, Any]:
    """Forget the failed attempts to be accepted as a name."""
    return {"forgotten": vid.attempts.unlock(name)}


@ROUTES.delete(f"/callers/{NAME}")
def unlock_caller(vid: Vid, name: str, _: Admin) -> dict[str, Any]:
    """Forget the failed attempts of a caller."""
    return {"forgotten": vid.attempts.unlock_caller(name)}
