"""Logistic regression whose linear function is a log-likelihood ratio."""

from __future__ import annotations

import numpy as np

from voiceid.errors import FitRefused
from voiceid.evaluation.bounds import Bools, Floats, Indices

_MOST_FITTED = 200_000
"""Impostor trials in a fit: its weights do not change beyond, and it takes a second."""
_RIDGE = 1e-6
"""Keeps weights finite where a feature separates both sides without an error."""


def logistic_regression(columns: Floats, target: Bools) -> tuple[Floats, float]:
    """Return weights (k,) and intercept of the LLR: prior-weighted logistic regression.

    Genuine and impostor trials weigh one half each, whatever their numbers, so that what is
    fitted is the log-likelihood ratio (Brümmer and du Preez 2006).  Of n trials of a kind, one is
    assumed to be of the other kind, spread over all of them, ``1 / (n + 2)`` each: so few trials
    without an error do not make overconfident LLRs (Platt, Probabilistic outputs for
    support vector machines, 1999).  Newton's method, the step halved while it does not lower the
    cost; a ridge of 1e-6 on standardised columns keeps the weights finite.

    - `columns` (n, k) float64.
    - `target` (n,) bool.

    Raises `FitRefused`: a side has no trials.
    """
    if target.all() or not target.any():
        raise FitRefused(
            "without some speakers no genuine or no impostor trials are left",
            hint="Add recordings of more speakers, several of each.",
        )
    rows = _thinned(target)
    columns, target = columns[rows], target[rows]
    mean, spread = columns.mean(axis=0), columns.std(axis=0)
    spread[spread == 0.0] = 1.0
    design = np.column_stack([(columns - mean) / spread, np.ones(len(columns))])
    n_genuine, n_impostor = int(target.sum()), int((~target).sum())
    mass = np.where(target, 0.5 / n_genuine, 0.5 / n_impostor)
    expected = np.where(target, (n_genuine + 1) / (n_genuine + 2), 1 / (n_impostor + 2))
    ridge = _RIDGE * np.append(np.ones(len(spread)), 0.0)

    def cost(at: Floats) -> float:
        odds = design @ at
        data = mass @ (np.logaddexp(0.0, odds) - expected * odds)
        return float(data + 0.5 * ridge @ at**2)

    weights = np.zeros(design.shape[1])
    now = cost(weights)
    for _ in range(100):
        chance = 0.5 * (1.0 + np.tanh(0.5 * (design @ weights)))
        gradient = design.T @ (mass * (chance - expected)) + ridge * weights
        curvature = (design * (mass * chance * (1.0 - chance))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(ridge + 1e-12), gradient)
        while (then := cost(weights - step)) > now and np.abs(step).max() > 1e-9:  # noqa: PLR2004
            step /= 2.0
        weights -= step
        if now - then < 1e-12:  # noqa: PLR2004 - in nats: far below what trials can show
            break
        now = then
    slopes = weights[:-1] / spread
    return slopes, float(weights[-1] - slopes @ mean)


def _thinned(target: Bools) -> Indices:
    """Return the rows to fit on: all genuine, and an even draw of very many impostor trials."""
    impostor = np.flatnonzero(~target)
    if len(impostor) > _MOST_FITTED:
        draw = np.random.default_rng(0).choice(len(impostor), _MOST_FITTED, replace=False)
        impostor = impostor[np.sort(draw)]
    return np.concatenate([np.flatnonzero(target), impostor])
