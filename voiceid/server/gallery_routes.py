"""What a gallery has beside speakers: groups, calibrations, adaptations and models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from voiceid.server.callers import Admin, Reading
from voiceid.server.repeats import OnceRoute
from voiceid.server.service_parts import Vid
from voiceid.server.speaker_routes import Number

ROUTES = APIRouter(tags=["gallery"], route_class=OnceRoute)


class Chosen(BaseModel):
    """Which one decides from now on; null: none."""

    model_config = ConfigDict(extra="forbid")

    id: Number | None


@ROUTES.get("/groups")
def list_groups(vid: Vid, caller: Reading) -> dict[str, Any]:
    """List the groups by name, with how many speakers are in each."""
    sizes = vid.speakers.group_sizes()
    reached = {g: n for g, n in sizes.items() if not caller.groups or g in caller.groups}
    return {"groups": [{"name": g, "speakers": n} for g, n in sorted(reached.items())]}


@ROUTES.get("/calibrations")
def list_calibrations(vid: Vid, _: Reading) -> dict[str, Any]:
    """List the calibrations, oldest first."""
    return {"calibrations": [one.to_dict() for one in vid.calibrations.list()]}


@ROUTES.get("/calibrations/{number}")
def show_calibration(vid: Vid, number: Number, _: Reading) -> dict[str, Any]:
    """Show a calibration: what it was worth, and what each target takes."""
    return vid.calibrations.get(number).to_dict()


@ROUTES.delete("/calibrations/{number}")
def remove_calibration(vid: Vid, number: Number, _: Admin) -> dict[str, Any]:
    """Remove a calibration that is not in use."""
    return {"removed": vid.calibrations.remove(number).to_dict()}


@ROUTES.put("/calibrations/in_use")
def use_calibration(vid: Vid, chosen: Chosen, _: Admin) -> dict[str, Any]:
    """Let a calibration decide from now on, or none: the model's card decides then."""
    found = vid.calibrations.use(chosen.id)
    return {"in_use": None if found is None else found.id}


@ROUTES.get("/adaptations")
def list_adaptations(vid: Vid, _: Reading) -> dict[str, Any]:
    """List the adaptations, oldest first."""
    return {"adaptations": [one.to_dict() for one in vid.adaptations.list()]}


@ROUTES.delete("/adaptations/{number}")
def remove_adaptation(vid: Vid, number: Number, _: Admin) -> dict[str, Any]:
    """Remove an adaptation that is not in use."""
    return {"removed": vid.adaptations.remove(number).to_dict()}


@ROUTES.put("/adaptations/in_use")
def use_adaptation(vid: Vid, chosen: Chosen, _: Admin) -> dict[str, Any]:
    """Decide by an adaptation from now on, or by none; each has calibrations of its own."""
    found = vid.adaptations.use(chosen.id)
    space_id = vid.models.space.id if found is None else found.space_id
    return {"in_use": None if found is None else found.id, "embedding_space": space_id}


@ROUTES.get("/models")
def list_models(vid: Vid, _: Reading) -> dict[str, Any]:
    """List the models that there are, and which are installed; ``in_use`` hears recordings."""
    models = [status.to_dict() for status in vid.models.list()]
    for facts in models:
        del facts["path"]  # of this host
    return {"models": models, "in_use": vid.models.card.name}
