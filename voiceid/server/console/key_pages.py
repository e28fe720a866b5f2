"""Pages of the keys to the service, and of what happens."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.responses import Response

from voiceid.domain import Scope, expiry
from voiceid.errors import ApiKeyInvalid
from voiceid.resources.keys import NewApiKey
from voiceid.server.console.visits import Looking, Managing, PageRoute, Visit

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


@ROUTES.get("/events")
async def events(visit: Looking) -> Response:
    """Show decisions as they are made; the script of the page asks ``/v1/events`` for them."""
    return visit.page("events.html")


@ROUTES.get("/keys")
async def keys(visit: Managing) -> Response:
    """List the keys."""
    return await _listed(visit)


@ROUTES.post("/keys")
async def create(visit: Managing) -> Response:
    """Make a key, and show it this once."""
    fields = await visit.form()
    made = await to_thread.run_sync(_made, visit, fields)
    return await _listed(visit, made)


async def _listed(visit: Visit, made: NewApiKey | None = None) -> Response:
    found = await to_thread.run_sync(visit.vid.keys.list)
    return visit.page("keys.html", keys=found, made=made, scopes=list(Scope))


def _made(visit: Visit, fields: FormData) -> NewApiKey:
    rate, expires = str(fields.get("rate", "")).strip(), str(fields.get("expires", "")).strip()
    if rate and not (rate.isascii() and rate.isdigit()):
        raise ApiKeyInvalid(f"{rate!r:.40} is not a number of requests", hint="Write e.g. 60.")
    return visit.vid.keys.create(
        str(fields.get("name", "")),
        [str(scope) for scope in fields.getlist("scope")],
        groups=_list(fields, "groups"),
        networks=_list(fields, "networks"),
        requests_per_minute=int(rate) if rate else None,
        expires_at=expiry(expires) if expires else None,
    )


def _list(fields: FormData, name: str) -> list[str]:
    return [text.strip() for text in str(fields.get(name, "")).split(",") if text.strip()]


@ROUTES.get("/keys/remove")
async def ask_removal(visit: Managing, key: str) -> Response:
    """Ask whether a key is to be removed."""
    found = await to_thread.run_sync(visit.vid.keys.get, key)
    return visit.page("confirm.html", what="remove_key", key=found, back=None)


@ROUTES.post("/keys/remove")
async def remove(visit: Managing, key: str) -> Response:
    """Remove a key."""
    await visit.form()
    await to_thread.run_sync(visit.vid.keys.remove, key)
    return visit.go("/keys", said="key-removed")
