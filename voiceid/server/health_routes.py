"""Whether the service lives, is ready, and how it stands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from starlette.requests import Request

from voiceid.server.callers import Reading
from voiceid.server.problems import Problem
from voiceid.server.service_parts import parts_of

LIVENESS = APIRouter(tags=["health"])
"""Outside of /v1, without a key, as probes ask."""
ROUTES = APIRouter(tags=["health"])


@LIVENESS.get("/healthz")
async def healthz() -> dict[str, Any]:
    """Answer as long as the process lives."""
    return {"status": "ok"}


@LIVENESS.get("/readyz")
async def readyz(request: Request) -> dict[str, Any]:
    """Answer once the models are in memory: then a first question takes no longer than others."""
    if not parts_of(request).is_ready:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "NotReady", "the models are loading", retry_after_s=1
        )
    return {"status": "ready"}


@LIVENESS.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request, caller: Reading) -> Response:
    """Return the counters and latencies of this process as Prometheus text."""
    del caller
    vid = parts_of(request).vid
    text = await to_thread.run_sync(lambda: vid.events.stats().to_prometheus())
    return Response(text, media_type="text/plain; version=0.0.4")


@ROUTES.get("/stats")
async def stats(request: Request, caller: Reading) -> dict[str, Any]:
    """Return what is in the gallery, and how its files stand."""
    del caller
    vid = parts_of(request).vid
    found: dict[str, Any] = await to_thread.run_sync(lambda: vid.events.gallery().to_dict())
    return found


@ROUTES.get("/health")
async def health(request: Request, caller: Reading) -> list[dict[str, Any]]:
    """Return what an examination of the whole installation finds."""
    del caller
    vid = parts_of(request).vid
    return await to_thread.run_sync(lambda: [one.to_dict() for one in vid.events.examine()])
