"""The assembled service: one application over one `VoiceID`."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from anyio import create_task_group, to_thread
from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException

import voiceid
from voiceid.client import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.errors import ConfigError
from voiceid.server import (
    access_routes,
    audit_routes,
    azure_adapter,
    challenge_routes,
    database_routes,
    event_routes,
    exchange_routes,
    gallery_routes,
    health_routes,
    job_routes,
    listen_routes,
    question_routes,
    speaker_care_routes,
    speaker_routes,
    xiaozhi_adapter,
)
from voiceid.server.bodies import BoundedBodies
from voiceid.server.console.console_pages import PAGES
from voiceid.server.console.visits import unknown_address
from voiceid.server.decision_feeds import DecisionFeeds
from voiceid.server.descriptions import describe
from voiceid.server.disclosure import answer_problems
from voiceid.server.jobs import Jobs
from voiceid.server.name_paths import EscapedSlashes
from voiceid.server.places import LiveStreams, Places
from voiceid.server.request_clips import require_once
from voiceid.server.service_parts import ServiceParts

_ROUTERS = (
    question_routes.ROUTES,
    challenge_routes.ROUTES,
    listen_routes.ROUTES,
    event_routes.ROUTES,
    job_routes.ROUTES,
    speaker_routes.ROUTES,
    speaker_care_routes.ROUTES,
    exchange_routes.ROUTES,
    gallery_routes.ROUTES,
    database_routes.ROUTES,
    access_routes.ATTEMPTS,
    audit_routes.ROUTES,
    access_routes.ROUTES,
    health_routes.ROUTES,
)

Beside = Callable[[ServiceParts], Coroutine[Any, Any, None]]
ADAPTERS = {"azure": azure_adapter.ROUTES, "xiaozhi": xiaozhi_adapter.ROUTES}
"""Protocols of other programs, by name: off unless requested (docs/compat.md)."""


def make_service(
    vid: VoiceID,
    workers: int,
    limits: ServiceLimits | None = None,
    compat: Sequence[str] = (),
    beside: Sequence[Beside] = (),
) -> FastAPI:
    """Return the application; it hears ``workers`` recordings at once.

    ``compat`` names the adapters to serve as well, and ``beside`` runs from the time when the
    models are in memory until the service ends.

    Raises ConfigError for an unknown adapter.
    """
    _require_adapters(compat)
    limits = limits or ServiceLimits()
    parts = ServiceParts(
        vid,
        Places(workers, limits.max_waiting, limits.max_wait_s),
        limits,
        LiveStreams(limits.max_streams),
        DecisionFeeds(vid, limits.max_streams),
        Jobs(vid, limits),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with create_task_group() as tasks:

            async def begin() -> None:
                await _warm_up(parts)
                for work in beside:
                    tasks.start_soon(work, parts)

            tasks.start_soon(begin)
            yield
            await to_thread.run_sync(parts.jobs.stop)
            tasks.cancel_scope.cancel()

    app = FastAPI(
        title="voiceid",
        version=voiceid.__version__,
        summary="Enrol people by voice and tell who is speaking",
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    app.add_middleware(BoundedBodies, limits=limits, places=parts.places)
    app.add_middleware(EscapedSlashes)
    answer_problems(app)
    app.include_router(health_routes.LIVENESS)
    for router in _ROUTERS:
        app.include_router(router, prefix="/v1", dependencies=[Depends(require_once)])
    for name in dict.fromkeys(compat):
        app.include_router(ADAPTERS[name], include_in_schema=False)
    describe(app)
    app.include_router(PAGES)
    app.add_exception_handler(HTTPException, unknown_address)
    return app


def _require_adapters(names: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in ADAPTERS]:
        raise ConfigError(
            f"there is no adapter {unknown[0]!r:.40}", hint=f"There are: {', '.join(ADAPTERS)}."
        )


async def _warm_up(parts: ServiceParts) -> None:
    await to_thread.run_sync(parts.vid.warm_up)
    gc.collect()
    gc.freeze()  # to look through all that stays would stop every thread for a tenth of a second
    parts.is_ready = True
    parts.jobs.start()  # after the models: their threads must not inherit its low priority
