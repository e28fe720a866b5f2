"""Pages of calibrations, with pictures of the enrolled voices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query
from starlette.responses import Response

from voiceid.domain import Sample
from voiceid.errors import ChangeRefused, ExtraMissing
from voiceid.server.console.drawings import curve_of
from voiceid.server.console.visits import Looking, Managing, PageRoute, Sent, Visit, written
from voiceid.server.speaker_routes import members

if TYPE_CHECKING:  # pictures are an extra
    from voiceid.pictures import Picture

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)

Number = Annotated[int, Query(ge=1, le=2**31 - 1)]
_MOST_SPEAKERS = 100
"""The limit of speakers in pictures: more would be slow and unreadable."""

Drawn = list[tuple[str, Sample]]


@ROUTES.get("/accuracy")
def accuracy(visit: Looking) -> Response:
    """Show the calibrations, and pictures of the enrolled voices."""
    drawn, missing = _drawn(visit), _pictures_missing()
    return visit.page(
        "accuracy.html",
        calibrations=visit.vid.calibrations.list(),
        space_id=visit.vid.models.space.id,
        can_be_drawn=missing is None and len(drawn) > 1,
        missing=missing,
        is_cut=len({name for name, _ in drawn}) == _MOST_SPEAKERS,
        most=_MOST_SPEAKERS,
    )


@ROUTES.post("/accuracy")
def use(visit: Managing, fields: Sent) -> Response:
    """Use a calibration from now on, or none."""
    number = written(fields, "number")
    visit.vid.calibrations.use(int(number) if number.isascii() and number.isdigit() else None)
    return visit.go("/accuracy", said="saved")


@ROUTES.get("/calibration")
def calibration(visit: Looking, number: Number) -> Response:
    """Show the measured quality of a calibration."""
    fit = visit.vid.calibrations.get(number)
    return visit.page("calibration.html", calibration=fit, curve=curve_of(fit.calibration.points))


@ROUTES.get("/calibration/remove")
def ask_removal(visit: Managing, number: Number) -> Response:
    """Ask for confirmation to remove a calibration."""
    fit = visit.vid.calibrations.get(number)
    return visit.page("confirm.html", what="remove_calibration", number=number, source=fit.source)


@ROUTES.post("/calibration/remove")
def remove(visit: Managing, number: Number, _: Sent) -> Response:
    """Remove a calibration that is not in use."""
    visit.vid.calibrations.remove(number)
    return visit.go("/accuracy", said="calibration-removed")


@ROUTES.get("/accuracy/{name}.png")
async def picture(visit: Looking, name: Literal["scores", "voices"]) -> Response:
    """Draw the enrolled samples."""
    draw = {"scores": _scores, "voices": _voices}[name]
    data = await visit.parts.places.run(visit.request, lambda: _png(visit, draw))
    return Response(data, media_type="image/png")


def _drawn(visit: Visit) -> Drawn:
    """Return samples of the space in use, each with the speaker's name."""
    shown, _ = members(visit.vid, None, _MOST_SPEAKERS, None, visit.person)
    used, samples = visit.vid.models.space.id, visit.vid.samples.of(shown)
    return [(s.name, sample) for s in shown for sample in samples[s.id] if sample.space_id == used]


def _png(visit: Visit, draw: Callable[[Visit, Drawn], Picture]) -> bytes:
    from voiceid import pictures  # noqa: PLC0415 - matplotlib, an extra

    drawn = _drawn(visit)
    if len(drawn) < 2:  # noqa: PLR2004 - a pair
        raise ChangeRefused("the model in use has fewer than two samples to compare")
    return pictures.png(draw(visit, drawn))


def _scores(visit: Visit, drawn: Drawn) -> Picture:
    from voiceid import pictures  # noqa: PLC0415

    matrix = pictures.cosines(np.stack([sample.vector for _, sample in drawn]))
    genuine, impostor = pictures.pairs(matrix, [name for name, _ in drawn])
    in_use = visit.vid.calibrations.thresholds([sample.quality for _, sample in drawn])
    thresholds = {f"{t.value:.3f}, {t.source}": t.value for t in in_use}
    return pictures.score_histograms(genuine, impostor, thresholds)


def _voices(visit: Visit, drawn: Drawn) -> Picture:
    from voiceid import pictures  # noqa: PLC0415

    del visit
    vectors = np.stack([sample.vector for _, sample in drawn])
    clips = [sample.source_name for _, sample in drawn]
    return pictures.voice_map(pictures.map_voices(vectors, [name for name, _ in drawn], clips))


def _pictures_missing() -> str | None:
    try:
        from voiceid import pictures  # noqa: PLC0415
    except ExtraMissing as error:
        return error.message
    del pictures
    return None
