"""The other parts of a gallery: groups, calibrations, adaptations and models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from voiceid.server.callers import Admin, Reading
from voiceid.server.repeats import OnceRoute
from voiceid.server.request_clips import Options
from voiceid.server.service_parts import Vid
from voiceid.server.speaker_routes import Number

ROUTES = APIRouter(tags=["gallery"], route_class=OnceRoute)


class Chosen(Options):
    """The one that decides from now on; null: none."""

    id: Number | None


@ROUTES.get("/groups")
def list_groups(vid: Vid, caller: Reading) -> dict[str, Any]:
    """List the groups by name, with their numbers of speakers."""
    sizes = vid.speakers.group_sizes()
    reached = {g: n for g, n in sizes.items() if not caller.groups or g in caller.groups}
    return {"groups": [{"name": g, "speakers": n} for g, n in sorted(reached.items())]}


@ROUTES.get("/calibrations")
def list_calibrations(vid: Vid, _: Reading) -> dict[str, Any]:
    """List the calibrations, oldest first."""
    return {"calibrations": [calibration.to_dict() for calibration in vid.calibrations.list()]}


@ROUTES.get("/calibrations/{number}")
def show_calibration(vid: Vid, number: Number, _: Reading) -> dict[str, Any]:
    """Show a calibration: its measured quality, and the threshold of each target."""
    return vid.calibrations.get(number).to_dict()


@ROUTES.delete("/calibrations/{number}")
def remove_calibration(vid: Vid, number: Number, _: Admin) -> dict[str, Any]:
    """Remove a calibration that is not in use."""
    return {"removed": vid.calibrations.remove(number).to_dict()}


@ROUTES.put("/calibrations/in_use")
def use_calibration(vid: Vid, chosen: Chosen, _: Admin) -> dict[str, Any]:
    """Use a calibration from now on, or none: then the model's card decides."""
    calibration = vid.calibrations.use(chosen.id)
    return {"in_use": None if calibration is None else calibration.id}


@ROUTES.get("/adaptations")
def list_adaptations(vid: Vid, _: Reading) -> dict[str, Any]:
    """List the adaptations, oldest first."""
    return {"adaptations": [adaptation.to_dict() for adaptation in vid.adaptations.list()]}


@ROUTES.delete("/adaptations/{number}")
def remove_adaptation(vid: Vid, number: Number, _: Admin) -> dict[str, Any]:
    """Remove an adaptation that is not in use."""
    return {"removed": vid.adaptations.remove(number).to_dict()}


@ROUTES.put("/adaptations/in_use")
def use_adaptation(vid: Vid, chosen: Chosen, _: Admin) -> dict[str, Any]:
    """Use an adaptation from now on, or none; each has its own calibrations."""
    adaptation = vid.adaptations.use(chosen.id)
    space_id = vid.models.space.id if adaptation is None else adaptation.space_id
    return {"in_use": None if adaptation is None else adaptation.id, "embedding_space": space_id}


@ROUTES.get("/models")
def list_models(vid: Vid, _: Reading) -> dict[str, Any]:
    """List the known models, and which are installed; ``in_use`` is the active one."""
    models = [status.to_dict() for status in vid.models.list()]
    for facts in models:
        del facts["path"]  # private to this host
    return {"models": models, "in_use": vid.models.card.name}
