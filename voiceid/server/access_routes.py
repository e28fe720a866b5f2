"""Who may ask: the keys to the service, and failed attempts with the locks that they make."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from voiceid.server.callers import Admin
from voiceid.server.consent_fields import Expiry
from voiceid.server.name_paths import NAME
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import Vid

ROUTES = APIRouter(prefix="/keys", tags=["keys"], route_class=OnceRoute)
ATTEMPTS = APIRouter(prefix="/attempts", tags=["attempts"], route_class=OnceRoute)


class NewKey(BaseModel):
    """What a new key may do."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="What it is for.")
    scopes: list[str] = Field(description="Some of identify, verify, enroll, read and admin.")
    groups: list[str] = Field([], description="The only groups that it reaches.")
    networks: list[str] = Field([], description="The only addresses from which it is taken.")
    requests_per_minute: int | None = Field(None, ge=1, le=2**31 - 1)
    expires: Expiry | None = None


@ROUTES.get("")
def list_keys(vid: Vid, _: Admin) -> dict[str, Any]:
    """List the keys, oldest first, without their secrets."""
    return {"keys": [key.to_dict() for key in vid.keys.list()]}


@ROUTES.post("", status_code=HTTPStatus.CREATED)
def create_key(vid: Vid, new: NewKey, _: Admin) -> Response:
    """Make a key; its text, ``key``, is in this answer alone."""
    made = vid.keys.create(expires_at=new.expires, **new.model_dump(exclude={"expires"}))
    facts = {**made.key.to_dict(), "key": made.text}
    return JSONResponse(facts, HTTPStatus.CREATED, {"Cache-Control": "no-store"})


@ROUTES.delete("/{key_id}")
def remove_key(vid: Vid, key_id: str, _: Admin) -> dict[str, Any]:
    """Remove a key, which is refused from now on."""
    key = vid.keys.remove(key_id)
    return {"removed": {"id": key_id} if key is None else key.to_dict()}


@ATTEMPTS.get("")
def list_attempts(vid: Vid, _: Admin) -> dict[str, Any]:
    """List the names and the callers with failed attempts, and until when they are locked."""
    return {"attempts": [one.to_dict() for one in vid.attempts.list()]}


@ATTEMPTS.delete(f"/speakers/{NAME}")
def unlock(vid: Vid, name: str, _: Admin) -> dict[str, Any]:
    """Forget the failed attempts to be accepted as a name."""
    return {"forgotten": vid.attempts.unlock(name)}


@ATTEMPTS.delete(f"/callers/{NAME}")
def unlock_caller(vid: Vid, name: str, _: Admin) -> dict[str, Any]:
    """Forget the failed attempts of a caller."""
    return {"forgotten": vid.attempts.unlock_caller(name)}
