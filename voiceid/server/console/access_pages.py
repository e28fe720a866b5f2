"""Pages of access: keys of the service, failed attempts, and the locks that they cause."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.responses import Response

from voiceid.domain import Scope, expiry
from voiceid.errors import ApiKeyInvalid
from voiceid.resources.keys import NewApiKey
from voiceid.server.console.visits import Managing, PageRoute, Sent, Visit, written

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


@ROUTES.get("/keys")
def keys(visit: Managing) -> Response:
    """List the keys."""
    return _listed(visit)


@ROUTES.post("/keys")
def create(visit: Managing, fields: Sent) -> Response:
    """Create a key, and show it once."""
    return _listed(visit, _made(visit, fields))


def _listed(visit: Visit, made: NewApiKey | None = None) -> Response:
    return visit.page("keys.html", keys=visit.vid.keys.list(), made=made, scopes=list(Scope))


def _made(visit: Visit, fields: FormData) -> NewApiKey:
    rate, expires = written(fields, "rate"), written(fields, "expires")
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
    return [text.strip() for text in written(fields, name).split(",") if text.strip()]


@ROUTES.get("/keys/remove")
def ask_removal(visit: Managing, key: str) -> Response:
    """Ask for confirmation to remove a key."""
    return visit.page("confirm.html", what="remove_key", key=visit.vid.keys.get(key))


@ROUTES.post("/keys/remove")
def remove(visit: Managing, key: str, _: Sent) -> Response:
    """Remove a key."""
    visit.vid.keys.remove(key)
    return visit.go("/keys", said="key-removed")


@ROUTES.get("/attempts")
def attempts(visit: Managing) -> Response:
    """List the names and the callers with failed attempts."""
    names = {key.id: key.name for key in visit.vid.keys.list()}
    failed, limits = visit.vid.attempts.list(), visit.parts.config.attempts
    return visit.page("attempts.html", attempts=failed, keys=names, limits=limits)


@ROUTES.post("/attempts")
def unlock(visit: Managing, fields: Sent) -> Response:
    """Forget the failed attempts as a name, or of a caller."""
    if caller := str(fields.get("caller", "")):
        visit.vid.attempts.unlock_caller(caller)
    else:
        visit.vid.attempts.unlock(str(fields.get("name", "")))
    return visit.go("/attempts", said="unlocked")
