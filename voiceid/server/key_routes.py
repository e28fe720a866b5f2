"""The keys to the service."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from voiceid.server.callers import Admin
from voiceid.server.consent_fields import Expiry
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import parts_of

ROUTES = APIRouter(prefix="/keys", tags=["keys"], route_class=OnceRoute)


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
async def list_keys(request: Request, caller: Admin) -> dict[str, Any]:
    """List the keys, oldest first, without their secrets."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.keys.list)
    return {"keys": [key.to_dict() for key in found]}


@ROUTES.post("", status_code=HTTPStatus.CREATED)
async def create_key(request: Request, new: NewKey, caller: Admin) -> Response:
    """Make a key; its text, ``key``, is in this answer alone."""
    del caller
    create = partial(
        parts_of(request).vid.keys.create,
        new.name,
        new.scopes,
        groups=new.groups,
        networks=new.networks,
        requests_per_minute=new.requests_per_minute,
        expires_at=new.expires,
    )
    made = await to_thread.run_sync(create)
    facts = {**made.key.to_dict(), "key": made.text}
    return JSONResponse(facts, HTTPStatus.CREATED, {"Cache-Control": "no-store"})


@ROUTES.delete("/{key_id}")
async def remove_key(request: Request, key_id: str, caller: Admin) -> dict[str, Any]:
    """Remove a key, which is refused from now on."""
    del caller
    key = await to_thread.run_sync(parts_of(request).vid.keys.remove, key_id)
    return {"removed": {"id": key_id} if key is None else key.to_dict()}
