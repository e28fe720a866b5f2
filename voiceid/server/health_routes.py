"""Whether the service lives, is ready, and how it stands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from starlette.requests import Request

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
    """Answer once the models are in memory: then a first question takes no longer than others."""
    if not parts_of(request).is_ready:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "NotReady", "the models are loading", retry_after_s=1
        )
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
