"""The whole database, and the search index, a cache of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from voiceid.index.base import IndexStatus
from voiceid.server.callers import Admin
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import Vid

ROUTES = APIRouter(tags=["database"], route_class=OnceRoute)


@ROUTES.get("/database")
def database_status(vid: Vid, _: Admin) -> dict[str, Any]:
    """Compare the database's schema with that of this program."""
    status = vid.database.status()
    return {"current": status.current, "head": status.head, "state": str(status.state)}


@ROUTES.get("/database/check")
def check_database(vid: Vid, _: Admin) -> dict[str, Any]:
    """Check every page, sample and centroid; slow for a large database."""
    problems = vid.database.check()
    return {"ok": not problems, "problems": problems}


@ROUTES.get("/index")
def index_status(vid: Vid, _: Admin) -> dict[str, Any]:
    """Return, for each embedding space, what the index holds and whether it is current."""
    return _shown(vid.index.status())


@ROUTES.post("/index/rebuild")
def rebuild_index(vid: Vid, _: Admin) -> dict[str, Any]:
    """Rebuild every index from the database; slow for many speakers."""
    return _shown(vid.index.rebuild())


def _shown(statuses: Sequence[IndexStatus]) -> dict[str, Any]:
    indexes = [dataclasses.asdict(status) for status in statuses]
    for facts in indexes:
        del facts["path"]  # private to this host
    return {"indexes": indexes}
