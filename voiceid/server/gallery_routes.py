"""What a gallery has beside speakers: groups, calibrations, adaptations and models."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from voiceid.server.callers import Admin, Reading
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import parts_of
from voiceid.server.speaker_routes import Number

ROUTES = APIRouter(tags=["gallery"], route_class=OnceRoute)


class Chosen(BaseModel):
    """Which one decides from now on; null: none."""

    model_config = ConfigDict(extra="forbid")

    id: Number | None


@ROUTES.get("/groups")
async def list_groups(request: Request, caller: Reading) -> dict[str, Any]:
    """List the groups by name, with how many speakers are in each."""
    sizes = await to_thread.run_sync(parts_of(request).vid.speakers.group_sizes)
    reached = {g: n for g, n in sizes.items() if not caller.groups or g in caller.groups}
    return {"groups": [{"name": g, "speakers": n} for g, n in sorted(reached.items())]}


@ROUTES.get("/calibrations")
async def list_calibrations(request: Request, caller: Reading) -> dict[str, Any]:
    """List the calibrations, oldest first."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.calibrations.list)
    return {"calibrations": [one.to_dict() for one in found]}


@ROUTES.get("/calibrations/{number}")
async def show_calibration(request: Request, number: Number, caller: Reading) -> dict[str, Any]:
    """Show a calibration: what it was worth, and what each target takes."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.calibrations.get, number)
    return found.to_dict()


@ROUTES.delete("/calibrations/{number}")
async def remove_calibration(request: Request, number: Number, caller: Admin) -> dict[str, Any]:
    """Remove a calibration that is not in use."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.calibrations.remove, number)
    return {"removed": found.to_dict()}


@ROUTES.put("/calibrations/in_use")
async def use_calibration(request: Request, chosen: Chosen, caller: Admin) -> dict[str, Any]:
    """Let a calibration decide from now on, or none: the model's card decides then."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.calibrations.use, chosen.id)
    return {"in_use": None if found is None else found.id}


@ROUTES.get("/adaptations")
async def list_adaptations(request: Request, caller: Reading) -> dict[str, Any]:
    """List the adaptations, oldest first."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.adaptations.list)
    return {"adaptations": [one.to_dict() for one in found]}


@ROUTES.delete("/adaptations/{number}")
async def remove_adaptation(request: Request, number: Number, caller: Admin) -> dict[str, Any]:
    """Remove an adaptation that is not in use."""
    del caller
    found = await to_thread.run_sync(parts_of(request).vid.adaptations.remove, number)
    return {"removed": found.to_dict()}


@ROUTES.put("/adaptations/in_use")
async def use_adaptation(request: Request, chosen: Chosen, caller: Admin) -> dict[str, Any]:
    """Decide by an adaptation from now on, or by none; each has calibrations of its own."""
    del caller
    vid = parts_of(request).vid

    def used() -> dict[str, Any]:
        found = vid.adaptations.use(chosen.id)
        space_id = vid.models.space.id if found is None else found.space_id
        return {"in_use": None if found is None else found.id, "embedding_space": space_id}

    return await to_thread.run_sync(used)


@ROUTES.get("/models")
async def list_models(request: Request, caller: Reading) -> dict[str, Any]:
    """List the models that there are, and which are installed; ``in_use`` hears recordings."""
    del caller
    vid = parts_of(request).vid

    def listed() -> dict[str, Any]:
        models = [status.to_dict() for status in vid.models.list()]
        for facts in models:
            del facts["path"]  # of this host
        return {"models": models, "in_use": vid.models.card.name}

    return await to_thread.run_sync(listed)
