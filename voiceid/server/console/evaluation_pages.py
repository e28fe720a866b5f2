"""The page that measures, and calibrates, on recordings whose speakers are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, BinaryIO, Literal

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from voiceid.domain import JobKind
from voiceid.server.console.job_pages import begun
from voiceid.server.console.visits import Blank, Fields, Managing, PageRoute
from voiceid.server.job_routes import n_clips
from voiceid.server.question_routes import Rate
from voiceid.server.request_clips import received

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)

_SPEAKER_CLIP = 2
"""Parts of the name of a recording: SPEAKER/CLIP."""


class EvaluationFields(Fields):
    """Of labelled recordings."""

    kind: Literal["evaluate", "calibrate"] = "evaluate"
    manifest: str = ""
    source: str = ""
    target_fmr: Annotated[Rate | None, Blank] = None


@ROUTES.get("/evaluation")
async def ask_recordings(visit: Managing) -> Response:
    """Ask for recordings whose speakers are known."""
    most = visit.parts.limits
    return visit.page(
        "evaluation.html", most_clips=most.max_job_clips, most_mb=most.max_body_bytes >> 20
    )


@ROUTES.post("/evaluation")
async def begin(visit: Managing) -> Response:
    """Begin to count the errors, or to fit a calibration."""
    many = n_clips(visit.parts, JobKind.EVALUATE)
    async with received(visit.request, EvaluationFields, many) as (clips, fields):
        visit.require_token(fields.token)
        kind = JobKind(fields.kind)
        folder = _outer_folder(clips)
        for clip in clips:
            clip.name = clip.name.removeprefix(folder)  # type: ignore[misc]  # it is ours
        request = {
            "manifest": fields.manifest,
            "enroll_first": None,
            "source": fields.source.strip() or folder.rstrip("/") or "uploads",
            "target_fmr": fields.target_fmr,
        }
        add = partial(visit.parts.jobs.add, kind, visit.person.key_id, request, clips)
        return begun(visit, await to_thread.run_sync(add))


def _outer_folder(clips: Sequence[BinaryIO]) -> str:
    """Return the folder that was chosen, with a slash: browsers put it before SPEAKER/CLIP."""
    parts = [PurePosixPath(clip.name).parts for clip in clips]
    first = {each[0] for each in parts if each}
    is_outer = len(first) == 1 and all(len(each) > _SPEAKER_CLIP for each in parts)
    return f"{first.pop()}/" if is_outer else ""
