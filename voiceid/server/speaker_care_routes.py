"""Making two speakers one, and giving samples of one to another."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from voiceid.server.callers import Admin
from voiceid.server.etags import require_seen
from voiceid.server.name_paths import NAME
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import parts_of
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
async def merge_speakers(
    request: Request, name: str, asked: SpeakerMerge, caller: Admin
) -> dict[str, Any]:
    """Give all samples of another speaker to this one, and remove the other."""
    del caller
    speakers = parts_of(request).vid.speakers

    def merged() -> dict[str, Any]:
        require_seen(request, speakers.get(name))
        how = partial(speakers.merge, force=asked.force, dry_run=asked.dry_run)
        return how(name, asked.other).to_dict()

    return await to_thread.run_sync(merged)


@ROUTES.post(f"/{NAME}/split")
async def split_speaker(
    request: Request, name: str, asked: SpeakerSplit, caller: Admin
) -> dict[str, Any]:
    """Give samples of a speaker to a new one: those that are named, or those that do not fit."""
    del caller
    speakers = parts_of(request).vid.speakers

    def split() -> dict[str, Any]:
        require_seen(request, speakers.get(name))
        how = partial(speakers.split, force=asked.force, dry_run=asked.dry_run)
        return how(name, asked.new_name, asked.samples).to_dict()

    return await to_thread.run_sync(split)
