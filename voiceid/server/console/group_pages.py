"""Pages of what goes on: the groups, what decides for each, and decisions as they are made."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from voiceid.decision.aims import Aim
from voiceid.decision.rule import percent
from voiceid.server.console.visits import Looking, PageRoute

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


@ROUTES.get("/groups")
def groups(visit: Looking) -> Response:
    """List the groups that the person reaches, and those that the settings name."""
    sizes, aims = visit.vid.speakers.group_sizes(), visit.config.groups
    reached = visit.person.groups or sorted({*sizes, *aims})
    rows = [(name, sizes.get(name, 0), _policy(aims.get(name, Aim()))) for name in reached]
    return visit.page("groups.html", groups=rows)


@ROUTES.get("/events")
def events(visit: Looking) -> Response:
    """Show decisions as they are made; the script of the page asks ``/v1/events`` for them."""
    return visit.page("events.html")


def _policy(aim: Aim) -> list[str]:
    """Return in words what the settings ask for where a group is named."""
    said = []
    if aim.target_fmr is not None:
        said.append(f"FMR {percent(aim.target_fmr)}")
    if aim.target_fpir is not None:
        said.append(f"FPIR {percent(aim.target_fpir)}")
    for net_speech_s, cosine in () if aim.threshold is None else aim.threshold.steps:
        since = f" from {net_speech_s:g} s" if net_speech_s else ""
        said.append(f"threshold {cosine:.3f}{since}")
    if aim.margin is not None:
        said.append(f"lead {aim.margin:.3f}")
    if aim.solo is not None:
        said.append(f"several voices: {aim.solo}")
    if aim.allow_replayed:
        said.append("enrolled recordings are accepted")
    return said
