"""Open-set identification over a protocol whose models are a gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid import metrics
from voiceid.evaluation.protocol import Indices
from voiceid.evaluation.report import Identified
from voiceid.evaluation.scoring import ScoredTrials
from voiceid.metrics import Rate, Searches

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Scores and thresholds, (probes, models), and whether each probe's speaker is enrolled."""

    scores: Floats
    thresholds: npt.NDArray[np.float64]
    own: Indices
    """(probes,) the model of the probe's speaker, -1 for a stranger."""
    speakers: Indices
    """(probes,) who speaks."""


def searches(scored: ScoredTrials, speakers: Indices) -> Searches | None:
    """Return what the searches of the gallery came to; None where nobody or everybody is mated.

    Parameters
    ----------
    scored : ScoredTrials
        Of a protocol whose models are a gallery.
    speakers : (n, 2) int64
        Numbers of the speakers of both sides of each trial.
    """
    return _searches(_grid(scored, speakers))


def _searches(grid: _Grid) -> Searches | None:
    mated = grid.own >= 0
    if not mated.any() or mated.all() or grid.scores.shape[1] < 1:
        return None
    scores, own = grid.scores[mated], grid.own[mated]
    others = scores.copy()
    np.put_along_axis(others, own[:, None], -np.inf, axis=1)
    return Searches(
        own=np.take_along_axis(scores, own[:, None], axis=1)[:, 0],
        rank=metrics.rank_of_own(scores, own),
        best_other=others.max(axis=1),
        non_mated=grid.scores[~mated].max(axis=1),
        mated_speakers=grid.speakers[mated],
        non_mated_speakers=grid.speakers[~mated],
    )


def identified(scored: ScoredTrials, speakers: Indices, margin: float) -> Identified | None:
    """Return how the product would have named the probes, with its thresholds and its margin.

    None where nobody, or everybody, is mated.
    """
    grid = _grid(scored, speakers)
    found = _searches(grid)
    if found is None:
        return None
    best = grid.scores.argmax(axis=1)
    rows = np.arange(len(best))
    reached = grid.scores[rows, best] >= grid.thresholds[rows, best]  # NaN is no threshold
    clear = np.ones(len(best), dtype=bool)
    if grid.scores.shape[1] > 1:
        first_two = np.partition(grid.scores, -2, axis=1)[:, -2:]
        clear = first_two[:, 1] - first_two[:, 0] >= margin
    named = reached & clear
    mated, right = grid.own >= 0, best == grid.own
    return Identified(
        gallery_size=grid.scores.shape[1],
        fpir=Rate.of(int(named[~mated].sum()), int((~mated).sum())),
        fnir=Rate.of(int((~(named & right))[mated].sum()), int(mated.sum())),
        wrong_names=int((named & ~right)[mated].sum()),
        inconclusive=int((reached & ~clear).sum()),
        rank_rates=tuple(
            float(rate)
            for rate in metrics.identification_rates_by_rank(found, min(10, grid.scores.shape[1]))
        ),
    )


def _grid(scored: ScoredTrials, speakers: Indices) -> _Grid:
    models, of_model = np.unique(scored.trials[:, 0], return_inverse=True)
    probes, of_probe = np.unique(scored.trials[:, 1], return_inverse=True)
    shape = (len(probes), len(models))
    scores, thresholds = np.full(shape, -np.inf, np.float32), np.full(shape, np.nan)
    scores[of_probe, of_model] = scored.scores
    thresholds[of_probe, of_model] = scored.thresholds
    own, who = np.full(len(probes), -1), np.zeros(len(probes), dtype=np.int64)
    own[of_probe[scored.target]] = of_model[scored.target]
    who[of_probe] = speakers[:, 1]
    return _Grid(scores, thresholds, own.astype(np.int64), who)
