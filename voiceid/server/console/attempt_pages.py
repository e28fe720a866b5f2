"""The page of failed attempts, and of the locks that they make."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from voiceid.server.console.visits import Managing, PageRoute

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


@ROUTES.get("/attempts")
async def attempts(visit: Managing) -> Response:
    """List the names and the callers with failed attempts."""
    found = await to_thread.run_sync(visit.vid.attempts.list)
    keys = {key.id: key.name for key in await to_thread.run_sync(visit.vid.keys.list)}
    limits = visit.config.attempts
    return visit.page("attempts.html", attempts=found, keys=keys, limits=limits)


@ROUTES.post("/attempts")
async def unlock(visit: Managing) -> Response:
    """Forget the failed attempts as a name, or of a caller."""
    fields, of = await visit.form(), visit.vid.attempts
    caller = str(fields.get("caller", ""))
    forget = of.unlock_caller if caller else of.unlock
    await to_thread.run_sync(forget, caller or str(fields.get("name", "")))
    return visit.go("/attempts", said="unlocked")
