"""What the routes of a service share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, cast

from anyio import CapacityLimiter
from fastapi import Depends
from starlette.requests import HTTPConnection

from voiceid.client import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.server.decision_feeds import DecisionFeeds
from voiceid.server.jobs import Jobs
from voiceid.server.places import LiveStreams, Places


@dataclass(slots=True)
class ServiceParts:
    """The gallery that is asked, the places in front of it, and the jobs behind it.

    - `streams`: the clients that are heard live; `feeds`: those that watch the decisions.
    - `is_ready`: whether the models are in memory.
    - `doors`: threads in which it is asked who calls: slow requests are in others.
    """

    vid: VoiceID
    places: Places
    limits: ServiceLimits
    streams: LiveStreams
    feeds: DecisionFeeds
    jobs: Jobs
    is_ready: bool = False
    doors: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(40))


def parts_of(connection: HTTPConnection) -> ServiceParts:
    """Return what the routes share."""
    return cast("ServiceParts", connection.app.state.parts)


async def _vid(connection: HTTPConnection) -> VoiceID:
    return parts_of(connection).vid


Vid = Annotated[VoiceID, Depends(_vid)]
"""The gallery.  A route that is no coroutine runs in a thread, and may ask it at once."""
