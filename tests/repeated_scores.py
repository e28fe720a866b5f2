"""The bootstrap over speakers as it is written in books: the scores themselves are repeated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voiceid.metrics import Interval, Scores, Trials, expanded_interval
from voiceid.metrics.bootstrap import _draws, _numbered, _weights


def bootstrap_by_speaker(
    statistic: Callable[[Scores, Scores], float],
    genuine: Trials,
    impostor: Trials,
    *,
    resamples: int = 500,
    seed: int = 0,
) -> Interval:
    """Return a 95 % percentile confidence interval of ``statistic(genuine, impostor)``.

    The oracle of `resample_speakers`: the same seed gives the same draws.

    - `statistic`: takes (n,) genuine and (m,) impostor scores.
    """
    units, sides = _numbered([genuine.speakers, impostor.speakers])
    values = [
        statistic(
            *(
                np.repeat(trials.scores, _weights(draw, *pair))
                for trials, pair in zip((genuine, impostor), sides, strict=True)
            )
        )
        for draw in _draws(units, sides, resamples, seed)
    ]
    return expanded_interval(np.array(values), units)
