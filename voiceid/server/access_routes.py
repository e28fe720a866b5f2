"""Access: the keys of the service, and failed attempts with the locks that they cause."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from voiceid.server.callers import Admin
from voiceid.server.consent_fields import Expiry
from voiceid.server.name_paths import NAME
from voiceid.server.repeats import OnceRoute
from voiceid.server.request_clips import Options
from voiceid.server.service_parts import Vid

ROUTES = APIRouter(prefix="/keys", tags=["keys"], route_class=OnceRoute)
ATTEMPTS = APIRouter(prefix="/attempts", tags=["attempts"], route_class=OnceRoute)


class NewKey(Options):
    """The rights of a new key."""

    name: str = Field(description="The purpose of the key.")
    scopes: list[str] = Field(description="Some of identify, verify, enroll, read and admin.")
    groups: list[str] = Field([], description="The only groups that the key reaches.")
    networks: list[str] = Field([], description="The only addresses that may use the key.")
    requests_per_minute: int | None = Field(None, ge=1, le=2**31 - 1)
    expires: Expiry | None = None


@ROUTES.get("")
def list_keys(vid: Vid, _: Admin) -> dict[str, Any]:
    """List the keys, oldest first, without their secrets."""
    return {"keys": [key.to_dict() for key in vid.keys.list()]}


@ROUTES.post("", status_code=HTTPStatus.CREATED)
def create_key(vid: Vid, new: NewKey, _: Admin) -> Response:
    """Create a key; only this answer has its text, ``key``."""
    new_key = vid.keys.create(expires_at=new.expires, **new.model_dump(exclude={"expires"}))
    facts = {**new_key.key.to_dict(), "key": new_key.text}
    return JSONResponse(facts, HTTPStatus.CREATED, {"Cache-Control": "no-store"})


@ROUTES.delete("/{key_id}")
def remove_key(vid: Vid, key_id: str, _: Admin) -> dict[str, Any]:
    """Remove a key; it is refused from now on."""
    key = vid.keys.remove(key_id)
    return {"removed": {"id": key_id} if key is None else key.to_dict()}


@ATTEMPTS.get("")
def list_attempts(vid: Vid, _: Admin) -> dict[str, Any]:
    """List the names and callers with failed attempts, and the end of their locks."""
    return {"attempts": [attempt.to_dict() for attempt in vid.attempts.list()]}


@ATTEMPTS.delete(f"/speakers/{NAME}")
def unlock(vid: Vid, name: str, _: Admin) -> dict[str, Any]:
    """Forget the failed attempts to be accepted as a name."""
    return {"forgotten": vid.attempts.unlock(name)}


@ATTEMPTS.delete(f"/callers/{NAME}")
def unlock_caller(vid: Vid, name: str, _: Admin) -> dict[str, Any]:
    """Forget the failed attempts of a caller."""
    return {"forgotten": vid.attempts.unlock_caller(name)}
