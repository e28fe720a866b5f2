"""Pages of the groups with their settings, and of live decisions."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from voiceid.decision.aims import Aim
from voiceid.decision.rule import percent
from voiceid.server.console.visits import Looking, PageRoute

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


@ROUTES.get("/groups")
def groups(visit: Looking) -> Response:
    """List the groups that the person reaches, and the groups in the settings."""
    sizes, aims = visit.vid.speakers.group_sizes(), visit.parts.config.groups
    reached = visit.person.groups or sorted({*sizes, *aims})
    rows = [(name, sizes.get(name, 0), _policy(aims.get(name, Aim()))) for name in reached]
    return visit.page("groups.html", groups=rows)


@ROUTES.get("/events")
def events(visit: Looking) -> Response:
    """Show live decisions; the page's script reads them from ``/v1/events``."""
    return visit.page("events.html")


def _policy(aim: Aim) -> list[str]:
    """Return the settings of a group in words."""
    words = []
    if aim.target_fmr is not None:
        words.append(f"FMR {percent(aim.target_fmr)}")
    if aim.target_fpir is not None:
        words.append(f"FPIR {percent(aim.target_fpir)}")
    for net_speech_s, cosine in () if aim.threshold is None else aim.threshold.steps:
        since = f" from {net_speech_s:g} s" if net_speech_s else ""
        words.append(f"threshold {cosine:.3f}{since}")
    if aim.margin is not None:
        words.append(f"lead {aim.margin:.3f}")
    if aim.solo is not None:
        words.append(f"several voices: {aim.solo}")
    if aim.allow_replayed:
        words.append("enrolled recordings are accepted")
    return words
