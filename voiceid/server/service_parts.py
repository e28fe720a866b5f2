"""What the routes of a service share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import HTTPConnection

from voiceid.client import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.server.jobs import Jobs
from voiceid.server.places import Places


@dataclass(slots=True)
class ServiceParts:
    """The gallery that is asked, the places in front of it, and the jobs behind it.

    - `is_ready`: whether the models are in memory.
    """

    vid: VoiceID
    places: Places
    limits: ServiceLimits
    jobs: Jobs
    is_ready: bool = False


def parts_of(connection: HTTPConnection) -> ServiceParts:
    """Return what the routes share."""
    return cast("ServiceParts", connection.app.state.parts)
