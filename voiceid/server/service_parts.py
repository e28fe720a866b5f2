"""The objects that the routes of a service share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias, cast

from anyio import CapacityLimiter
from fastapi import Depends
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from voiceid.client import VoiceID
from voiceid.config import Config
from voiceid.domain import ServiceLimits
from voiceid.server.decision_feeds import DecisionFeeds
from voiceid.server.jobs import Jobs
from voiceid.server.places import LiveStreams, Places

Handle: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
"""The function of a route that answers a request."""


@dataclass(slots=True)
class ServiceParts:
    """The gallery, the places for requests, and the jobs.

    - `streams`: the live clients; `feeds`: the clients that watch the decisions.
    - `is_ready`: whether the models are in memory.
    - `doors`: threads that identify callers: slow requests run in other threads.
    """

    vid: VoiceID
    places: Places
    limits: ServiceLimits
    streams: LiveStreams
    feeds: DecisionFeeds
    jobs: Jobs
    is_ready: bool = False
    doors: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(40))

    @property
    def config(self) -> Config:
        """The settings."""
        return self.jobs.config


def parts_of(connection: HTTPConnection) -> ServiceParts:
    """Return the shared objects."""
    return cast("ServiceParts", connection.app.state.parts)


async def _vid(connection: HTTPConnection) -> VoiceID:
    return parts_of(connection).vid


Vid = Annotated[VoiceID, Depends(_vid)]
"""The gallery.  A route that is not a coroutine runs in a thread, and may use it directly."""
