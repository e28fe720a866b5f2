"""The service put together: one application over one `VoiceID`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import create_task_group, to_thread
from fastapi import FastAPI

import voiceid
from voiceid.client import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.server import (
    gallery_routes,
    health_routes,
    job_routes,
    key_routes,
    question_routes,
    speaker_routes,
)
from voiceid.server.bodies import BoundedBodies
from voiceid.server.descriptions import describe
from voiceid.server.jobs import Jobs
from voiceid.server.places import Places
from voiceid.server.problems import answer_problems
from voiceid.server.service_parts import ServiceParts

_ROUTERS = (
    question_routes.ROUTES,
    job_routes.ROUTES,
    speaker_routes.ROUTES,
    gallery_routes.ROUTES,
    key_routes.ROUTES,
    health_routes.ROUTES,
)


def make_service(vid: VoiceID, workers: int, limits: ServiceLimits | None = None) -> FastAPI:
    """Return the application; ``workers`` recordings are heard at once."""
    limits = limits or ServiceLimits()
    parts = ServiceParts(vid, Places(workers, limits.max_waiting), limits, Jobs(vid, limits))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with create_task_group() as tasks:
            tasks.start_soon(_warm_up, parts)
            yield
            await to_thread.run_sync(parts.jobs.stop)
            tasks.cancel_scope.cancel()

    app = FastAPI(
        title="voiceid",
        version=voiceid.__version__,
        summary="Enrol people by voice and tell who is speaking",
        lifespan=lifespan,
        docs_url=None,  # their pages load programs from elsewhere
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    app.add_middleware(BoundedBodies, limits=limits)
    answer_problems(app)
    app.include_router(health_routes.LIVENESS)
    for router in _ROUTERS:
        app.include_router(router, prefix="/v1")
    describe(app)
    return app


async def _warm_up(parts: ServiceParts) -> None:
    await to_thread.run_sync(parts.vid.warm_up)
    parts.is_ready = True
    parts.jobs.start()  # after the models, whose threads would have its low priority
