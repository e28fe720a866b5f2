"""Bounds of 95 %: from resampled speakers, and by the rule of three if a count is 0.

A bootstrap of no errors shows no uncertainty, so it is never used there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid import metrics
from voiceid.metrics import Interval, Rate, Resampled, Trials

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost, and its 95 % bounds: None where there are too few speakers."""

    value: float
    bounds: Interval | None


def costs_to_dict(name: str, costs: Mapping[float, Cost]) -> dict[str, Any]:
    """Return costs by prior, and their bounds, ready for JSON."""
    return {
        name: {f"{prior:g}": cost.value for prior, cost in costs.items()},
        f"{name}_bounds_95": {f"{prior:g}": cost.bounds for prior, cost in costs.items()},
    }


def rate_by_speaker(wrong: Bools, speakers: Indices) -> Rate:
    """Return the share of wrong trials, searches or recordings, with its bounds.

    - `speakers` (n, 2) or (n,) int64: the two speakers of each trial, or the speaker.
    """
    both = speakers if speakers.ndim == 2 else np.stack([speakers, speakers], axis=1)  # noqa: PLR2004 - axes
    interval = None
    if wrong.any() and not wrong.all() and several(both):
        interval = metrics.false_match_interval(wrong, both)
    return Rate.of(int(wrong.sum()), len(wrong), interval)


def drawn_again(
    genuine: Trials, impostor: Trials, thresholds: Sequence[float], *, llr: bool = False
) -> Resampled | None:
    """Resample the speakers; None for a single speaker, who cannot be drawn differently."""
    if not several(np.concatenate([genuine.speakers, impostor.speakers])):
        return None
    return metrics.resample_speakers(genuine, impostor, thresholds=thresholds, llr=llr)


def rates_at(
    drawn: Resampled | None, threshold: float, wrong: tuple[int, int], trials: tuple[int, int]
) -> tuple[Rate, Rate]:
    """Return FMR and FNMR at a threshold that was asked for, of counts of both."""
    bounds = (None, None) if drawn is None else (drawn.fmr_at(threshold), drawn.fnmr_at(threshold))
    return Rate.of(wrong[0], trials[0], bounds[0]), Rate.of(wrong[1], trials[1], bounds[1])


def ordered(scores: npt.NDArray[np.floating], speakers: Indices) -> Trials:
    """Return trials in the order of their scores, so that no measure sorts them again."""
    order = np.argsort(scores)
    return Trials(scores[order], speakers[order])


def several(speakers: npt.NDArray[np.integer]) -> bool:
    """Return whether there is more than one speaker."""
    return speakers.size > 0 and bool((speakers != speakers.flat[0]).any())


def cost_bounds(
    drawn: Interval | None, wrong: tuple[int, int], trials: tuple[int, int], p_target: float
) -> Interval | None:
    """Return the bounds of a normalized detection cost.

    - `drawn` (low, high) or None: of a bootstrap over speakers.
    - `wrong`, `trials` (int, int): False matches and false non-matches; impostor and genuine
      trials.  For a count of zero the rule of three is added to the upper bound.
    """
    if drawn is None:
        return None
    unseen = [
        metrics.rate_upper_bound(0, n) if errors == 0 else 0.0
        for errors, n in zip(wrong, trials, strict=True)
    ]
    more = metrics.normalized_cost(*unseen, p_target=p_target)
    most = metrics.normalized_cost(1.0, 1.0, p_target=p_target)
    return drawn[0], min(drawn[1] + float(more), float(most))
