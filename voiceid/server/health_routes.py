"""The service's liveness, readiness and state."""

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
"""Outside /v1 and without a key, for probes."""
ROUTES = APIRouter(tags=["health"])


@LIVENESS.get("/healthz")
async def healthz() -> dict[str, Any]:
    """Answer while the process lives."""
    return {"status": "ok"}


@LIVENESS.get("/readyz")
async def readyz(request: Request) -> dict[str, Any]:
    """Answer when the models are in memory and the database can be read."""
    parts = parts_of(request)
    reason = "" if parts.is_ready else "the models are loading"
    if parts.is_ready:
        try:
            await to_thread.run_sync(parts.vid.keys.any, limiter=parts.doors)
        except StoreError:  # a caller without a key must not learn where it is; the log says
            reason = "the database cannot be read"
    if reason:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "NotReady", reason, retry_after_s=1)
    return {"status": "ready"}


@LIVENESS.get("/metrics", response_class=PlainTextResponse)
def metrics(vid: Vid, _: Reading) -> Response:
    """Return the counters and latencies of this process as Prometheus text."""
    text = vid.events.stats().to_prometheus()
    return Response(text, media_type="text/plain; version=0.0.4")


@ROUTES.get("/stats")
def stats(vid: Vid, _: Reading) -> dict[str, Any]:
    """Return the content of the gallery, and the state of its files."""
    return vid.events.gallery().to_dict()


@ROUTES.get("/health")
def health(vid: Vid, _: Reading) -> list[dict[str, Any]]:
    """Return the findings of an examination of the whole installation."""
    return [finding.to_dict() for finding in vid.events.examine()]
