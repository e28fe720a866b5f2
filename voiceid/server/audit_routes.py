"""The audit chain: the record of changes and decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from voiceid.domain import moment
from voiceid.server.callers import Admin
from voiceid.server.service_parts import Vid

ROUTES = APIRouter(prefix="/audit", tags=["audit"])
Time = Annotated[datetime, BeforeValidator(lambda value: moment(str(value)))]
_OF_SPEAKER = "Only events about this speaker."


@ROUTES.get("")
def list_audit(
    vid: Vid,
    _: Admin,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Begin after this number.")] = 0,
    since: Annotated[Time | None, Query(description="Only since this time, ISO 8601.")] = None,
    speaker: Annotated[str | None, Query(description=_OF_SPEAKER)] = None,
    kind: Annotated[str | None, Query(pattern="^[a-z_]+$", description="Only this kind.")] = None,
) -> dict[str, Any]:
    """List the next events, oldest first, and the present end of the chain."""
    rows = vid.audit.page(after, since=since, speaker=speaker, kind=kind)
    head = vid.audit.head()
    return {
        "events": [row.to_dict() for row in rows],
        "head": {"number": head.number, "hash": head.hash},
    }
