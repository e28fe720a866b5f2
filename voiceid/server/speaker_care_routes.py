"""Operations on a whole speaker.

Merging two speakers, splitting one, and the rights of a person: withdrawal, report, erasure with a
receipt.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request

from voiceid.server.callers import Admin
from voiceid.server.consent_fields import recorder
from voiceid.server.etags import require_seen
from voiceid.server.name_paths import NAME
from voiceid.server.repeats import OnceRoute
from voiceid.server.request_clips import Options
from voiceid.server.service_parts import Vid
from voiceid.server.speaker_routes import Number

ROUTES = APIRouter(prefix="/speakers", tags=["speakers"], route_class=OnceRoute)


class SpeakerMerge(Options):
    """The other speaker of a merge."""

    other: str = Field(description="The speaker to merge in, who is then removed.")
    force: bool = Field(default=False, description="Merge even if the voices differ.")
    dry_run: bool = Field(default=False, description="Compare the voices, change nothing.")


class SpeakerSplit(Options):
    """The new speaker of a split, and the samples to move."""

    new_name: str = Field(description="The name of the new speaker.")
    samples: tuple[Number, ...] = Field(
        (), description="By number; default: those that do not fit."
    )
    force: bool = Field(default=False, description="Allow a name that looks like another.")
    dry_run: bool = Field(default=False, description="Report the samples to move, change nothing.")


@ROUTES.post(f"/{NAME}/merge")
def merge_speakers(
    request: Request, vid: Vid, name: str, merge: SpeakerMerge, _: Admin
) -> dict[str, Any]:
    """Give all samples of another speaker to this one, and remove the other."""
    require_seen(request, vid.speakers.get(name))
    return vid.speakers.merge(name, **merge.model_dump()).to_dict()


@ROUTES.post(f"/{NAME}/split")
def split_speaker(
    request: Request, vid: Vid, name: str, split: SpeakerSplit, _: Admin
) -> dict[str, Any]:
    """Move samples of a speaker to a new one: the named samples, or those that do not fit."""
    require_seen(request, vid.speakers.get(name))
    flags = {"force": split.force, "dry_run": split.dry_run}
    return vid.speakers.split(name, split.new_name, split.samples, **flags).to_dict()


@ROUTES.post(f"/{NAME}/withdrawal")
def withdraw_consent(request: Request, vid: Vid, name: str, caller: Admin) -> dict[str, Any]:
    """Withdraw a speaker's consent; the speaker is disabled now and erased on schedule."""
    expect = partial(require_seen, request)
    return vid.speakers.withdraw(name, recorder(caller), expect=expect).to_dict()


@ROUTES.get(f"/{NAME}/report")
def report_person(
    vid: Vid,
    name: str,
    _: Admin,
    days: Annotated[int, Query(ge=1, le=36_500, description="The days of uses to report.")] = 30,
    vectors: Annotated[bool, Query(description="Include the vectors of the samples.")] = False,
) -> dict[str, Any]:
    """Return all stored data of a person."""
    return vid.privacy.report(name, days=days).to_dict(vectors=vectors)


@ROUTES.post(f"/{NAME}/erasure")
def erase_person(request: Request, vid: Vid, name: str, caller: Admin) -> dict[str, Any]:
    """Erase a speaker, and return the signed receipt."""
    expect = partial(require_seen, request)
    return vid.privacy.erase(name, erased_by=recorder(caller), expect=expect).to_dict()
