"""Whether the service lives, is ready, and how it stands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from starlette.requests import Request

from voiceid.errors import StoreError
from voiceid.server.callers import Reading
from voiceid.server.problems import Problem
from voiceid.server.service_parts import Vid, parts_of

LIVENESS = APIRouter(tags=["health"])
"""Outside of /v1, without a key, as probes ask."""
ROUTES = APIRouter(tags=["health"])


@LIVENESS.get("/healthz")
async def healthz() -> dict[str, Any]:
    """Answer as long as the process lives."""
    return {"status": "ok"}


@LIVENESS.get("/readyz")
async def readyz(request: Request) -> dict[str, Any]:
    """Answer once the models are in memory, and while the database can be read."""
    parts = parts_of(request)
    why = "" if parts.is_ready else "the models are loading"
    if parts.is_ready:
        try:
            await to_thread.run_sync(parts.vid.keys.any, limiter=parts.doors)
        except StoreError:  # who asks has no key: where the database is, the log says
            why = "the database cannot be read"
    if why:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "NotReady", why, retry_after_s=1)
    return {"status": "ready"}


@LIVENESS.get("/metrics", response_class=PlainTextResponse)
def metrics(vid: Vid, _: Reading) -> Response:
    """Return the counters and latencies of this process as Prometheus text."""
    text = vid.events.stats().to_prometheus()
    return Response(text, media_type="text/plain; version=0.0.4")


@ROUTES.get("/stats")
def stats(vid: Vid, _: Reading) -> dict[str, Any]:
    """Return what is in the gallery, and how its files stand."""
    return vid.events.gallery().to_dict()


@ROUTES.get("/health")
def health(vid: Vid, _: Reading) -> list[dict[str, Any]]:
    """Return what an examination of the whole installation finds."""
    return [one.to_dict() for one in vid.events.examine()]
