"""What a calibration was worth: the right speakers it refuses, by the strangers it accepts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from voiceid.decision.calibration import CalibratedPoint
from voiceid.decision.rule import percent

_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 384.0, 12.0, 168.0


@dataclass(frozen=True, slots=True)
class Point:
    """A rate that can be asked for: its place, and where its bounds of 95 % end."""

    x: float
    y: float
    high_y: float
    low_y: float


@dataclass(frozen=True, slots=True)
class Curve:
    """See ``_curve.html``: false match rates from left to right, refusals upwards."""

    points: tuple[Point, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    words: str


def curve_of(points: Sequence[CalibratedPoint]) -> Curve | None:
    """Return the curve of a calibration's points; None: it has none."""
    if not points:
        return None
    ordered = sorted(points, key=lambda point: point.fmr)
    low = math.floor(math.log10(ordered[0].fmr))
    decades = range(low, max(low, math.floor(math.log10(ordered[-1].fmr))) + 2)
    top = max(0.01, *(point.fnmr_bounds[1] for point in ordered))

    def x(fmr: float) -> float:
        return _LEFT + (math.log10(fmr) - low) / (len(decades) - 1) * (_RIGHT - _LEFT)

    def y(fnmr: float) -> float:
        return _BOTTOM - fnmr / top * (_BOTTOM - _TOP)

    best = ordered[0]
    return Curve(
        points=tuple(
            Point(x(p.fmr), y(p.fnmr), y(p.fnmr_bounds[1]), y(p.fnmr_bounds[0])) for p in ordered
        ),
        x_ticks=tuple((x(10.0**decade), percent(10.0**decade)) for decade in decades),
        y_ticks=tuple((y(share * top), percent(share * top)) for share in (0.0, 0.5, 1.0)),
        words=f"{percent(best.fnmr)} refused at FMR {percent(best.fmr)}",
    )
