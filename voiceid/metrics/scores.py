"""Scores as the measures need them: checked, in order, and not copied without need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Scores: TypeAlias = npt.NDArray[np.floating]
"""(n,) scores, any float type; larger means more alike."""

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Scored comparisons, and whose voices each compares.

    - `scores` (n,) float.
    - `speakers` (n, 2) int: numbers of the two speakers: the same number twice in a genuine trial.
    """

    scores: Scores
    speakers: npt.NDArray[np.integer]


def floats(scores: Scores, side: str) -> Scores:
    """Return (n,) scores as they are, if float32 or float64, else as float64."""
    values = np.asarray(scores).ravel()
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if values.size == 0:
        raise ValueError(f"there are no {side} scores")
    if np.isnan(np.min(values)):  # the least is NaN if any is, so no mask is needed
        raise ValueError(f"a {side} score is not a number")
    return values


def finite(scores: Scores, side: str, *, refused: bool = False) -> Scores:
    """Return the scores like `floats`; minus infinity passes where it means ``refused``."""
    values = floats(scores, side)
    if np.max(values) == np.inf or (np.min(values) == -np.inf and not refused):
        raise ValueError(f"a {side} score is not finite")
    return values


def in_order(values: Scores) -> Scores:
    """Return the values in ascending order: themselves, if they are."""
    return values if np.all(values[:-1] <= values[1:]) else np.sort(values)


def both_in_order(
    genuine: Scores, impostor: Scores, *, refused: bool = False
) -> tuple[Scores, Scores]:
    """Return both sides finite, in order and of one type, so that a search copies neither."""
    same = in_order(finite(genuine, "genuine", refused=refused))
    other = in_order(finite(impostor, "impostor", refused=refused))
    if same.dtype != other.dtype:
        same, other = same.astype(np.float64), other.astype(np.float64)
    return same, other
