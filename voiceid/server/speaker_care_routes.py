"""What is done with a whole speaker.

Two are made one, samples of one are given to another; and the rights of a person: withdrawal,
report, erasure with a receipt.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from voiceid.server.callers import Admin
from voiceid.server.consent_fields import recorder
from voiceid.server.etags import require_seen
from voiceid.server.name_paths import NAME
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import Vid
from voiceid.server.speaker_routes import Number

ROUTES = APIRouter(prefix="/speakers", tags=["speakers"], route_class=OnceRoute)


class SpeakerMerge(BaseModel):
    """Whose samples the speaker gets."""

    model_config = ConfigDict(extra="forbid")

    other: str = Field(description="The speaker who is removed.")
    force: bool = Field(default=False, description="Though their voices are not alike.")
    dry_run: bool = Field(default=False, description="Compare them, change nothing.")


class SpeakerSplit(BaseModel):
    """Who gets samples of the speaker, and which."""

    model_config = ConfigDict(extra="forbid")

    new_name: str = Field(description="Of the new speaker.")
    samples: tuple[Number, ...] = Field((), description="By number; none: those that do not fit.")
    force: bool = Field(default=False, description="Take a name that looks like another.")
    dry_run: bool = Field(default=False, description="Say what would be moved, change nothing.")


@ROUTES.post(f"/{NAME}/merge")
def merge_speakers(
    request: Request, vid: Vid, name: str, asked: SpeakerMerge, _: Admin
) -> dict[str, Any]:
    """Give all samples of another speaker to this one, and remove the other."""
    require_seen(request, vid.speakers.get(name))
    return vid.speakers.merge(name, **asked.model_dump()).to_dict()


@ROUTES.post(f"/{NAME}/split")
def split_speaker(
    request: Request, vid: Vid, name: str, asked: SpeakerSplit, _: Admin
) -> dict[str, Any]:
    """Give samples of a speaker to a new one: those that are named, or those that do not fit."""
    require_seen(request, vid.speakers.get(name))
    how = {"force": asked.force, "dry_run": asked.dry_run}
    return vid.speakers.split(name, asked.new_name, asked.samples, **how).to_dict()


@ROUTES.post(f"/{NAME}/withdrawal")
def withdraw_consent(request: Request, vid: Vid, name: str, caller: Admin) -> dict[str, Any]:
    """Withdraw the consent of a speaker, who is disabled at once and erased by schedule."""
    expect = partial(require_seen, request)
    return vid.speakers.withdraw(name, recorder(caller), expect=expect).to_dict()


@ROUTES.get(f"/{NAME}/report")
def report_person(
    vid: Vid,
    name: str,
    _: Admin,
    days: Annotated[int, Query(ge=1, le=36_500, description="Of uses, so many days.")] = 30,
    vectors: Annotated[bool, Query(description="The vectors of the samples too.")] = False,
) -> dict[str, Any]:
    """Give everything that is kept of a person."""
    return vid.privacy.report(name, days=days).to_dict(vectors=vectors)


@ROUTES.post(f"/{NAME}/erasure")
def erase_person(request: Request, vid: Vid, name: str, caller: Admin) -> dict[str, Any]:
    """Erase a speaker, and give the signed receipt of it."""
    expect = partial(require_seen, request)
    return vid.privacy.erase(name, erased_by=recorder(caller), expect=expect).to_dict()
