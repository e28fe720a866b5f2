"""The database as a whole, and the search index, a cache of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.requests import Request

from voiceid.index.base import IndexStatus
from voiceid.server.callers import Admin
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import parts_of

ROUTES = APIRouter(tags=["database"], route_class=OnceRoute)


@ROUTES.get("/database")
async def database_status(request: Request, caller: Admin) -> dict[str, Any]:
    """Return how the database's schema stands to that of this program."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.database.status)
    return {"current": found.current, "head": found.head, "state": str(found.state)}


@ROUTES.get("/database/check")
async def check_database(request: Request, caller: Admin) -> dict[str, Any]:
    """Check every page, sample and centroid; it takes long where there are many."""
    del caller
    problems = await to_thread.run_sync(parts_of(request).vid.database.check)
    return {"ok": not problems, "problems": problems}


@ROUTES.get("/index")
async def index_status(request: Request, caller: Admin) -> dict[str, Any]:
    """Return, for each embedding space, what the index holds and whether it is current."""
    del caller
    return _shown(await to_thread.run_sync(parts_of(request).vid.index.status))


@ROUTES.post("/index/rebuild")
async def rebuild_index(request: Request, caller: Admin) -> dict[str, Any]:
    """Make every index again from the database; it takes long where there are many speakers."""
    del caller
    return _shown(await to_thread.run_sync(parts_of(request).vid.index.rebuild))


def _shown(statuses: Sequence[IndexStatus]) -> dict[str, Any]:
    found = [dataclasses.asdict(status) for status in statuses]
    for facts in found:
        del facts["path"]  # of this host
    return {"indexes": found}
