"""Drawings of the pages: a decision on a scale of scores, and a calibration's error rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voiceid.decision.calibration import CalibratedPoint
from voiceid.decision.rule import percent

_LEFT, _CURVE_LEFT, _RIGHT, _TOP, _BOTTOM = 16.0, 56.0, 384.0, 12.0, 168.0
_NAME_CHARS = 22


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark on the scale, and the text beside it.

    - `x`: the place of the text; `at`: the place of the mark.
    - `anchor`: start, middle or end, so that the text stays within the picture.
    """

    at: float
    x: float
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale of cosines, up to 1 at the right; see ``_scale.html``."""

    ticks: tuple[Mark, ...]
    score: Mark
    threshold: Mark
    runner_up: Mark | None
    others: tuple[float, ...]
    accepted: bool
    words: str


def scale_of(decision: Mapping[str, Any]) -> Scale | None:
    """Return the scale of a decision's JSON; None: no score, or it is hidden."""
    score, threshold = decision.get("score"), decision.get("threshold")
    if score is None or threshold is None:
        return None
    candidates = [(c["speaker"]["name"], c["score"]) for c in decision.get("candidates") or []]
    best = candidates[0][0] if candidates else (decision.get("speaker") or {}).get("name", "")
    runner_up = decision.get("runner_up")
    values = [0.0, score, threshold, *(value for _, value in candidates)]
    if runner_up is not None:
        values.append(runner_up["score"])
    low = max(-1.0, math.floor(min(values) * 5 - 0.25) / 5)

    def mark(value: float, text: str) -> Mark:
        at = _LEFT + (value - low) / (1.0 - low) * (_RIGHT - _LEFT)
        if at < _LEFT + 90:
            return Mark(at, _LEFT - 12, "start", text)
        if at > _RIGHT - 90:
            return Mark(at, _RIGHT + 12, "end", text)
        return Mark(at, at, "middle", text)

    steps = range(round(low * 5), 6)
    second = None
    if runner_up is not None:
        second = mark(runner_up["score"], _label(runner_up["speaker"]["name"], runner_up["score"]))
    words = f"score {score:.3f}, threshold {threshold:.3f}"
    if runner_up is not None:
        words += f", runner-up {runner_up['speaker']['name']} at {runner_up['score']:.3f}"
    return Scale(
        ticks=tuple(mark(step / 5, f"{step / 5:g}".replace("-", "−")) for step in steps),  # noqa: RUF001
        score=mark(score, _label(best, score)),
        threshold=mark(threshold, f"threshold {threshold:.3f}"),
        runner_up=second,
        others=tuple(mark(value, "").at for _, value in candidates[1:]),
        accepted=decision["outcome"] == "accepted",
        words=words,
    )


def _label(name: str, score: float) -> str:
    short = name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…"
    return f"{short} {score:.3f}".replace("-", "−").strip()  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Point:
    """A rate that can be requested: its place, and the ends of its 95 % bounds."""

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
    """Return the curve of a calibration's points, or None without points."""
    if not points:
        return None
    ordered = sorted(points, key=lambda point: point.fmr)
    low = math.floor(math.log10(ordered[0].fmr))
    decades = range(low, max(low, math.floor(math.log10(ordered[-1].fmr))) + 2)
    top = max(0.01, *(point.fnmr_bounds[1] for point in ordered))

    def x(fmr: float) -> float:
        return _CURVE_LEFT + (math.log10(fmr) - low) / (len(decades) - 1) * (_RIGHT - _CURVE_LEFT)

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
