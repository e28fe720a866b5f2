"""An error rate with its counts and its bounds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_BISECTIONS = 80
"""Halvings of [0, 1]: a rate of 1e-8 keeps the 53 bits of a double."""


@dataclass(frozen=True, slots=True)
class Rate:
    """An error rate, 0 to 1, with the counts it comes from and 95 % bounds.

    Parameters
    ----------
    errors, trials : int
    low, high : float
        Between them the true rate lies, with 95 % confidence.
    bounds : str
        Where they come from: "bootstrap by speaker"; "rule of three", which takes over
        where no trial (or every one) is an error, and a bootstrap would know no doubt;
        "Clopper-Pearson"; "none", without trials.  The second and third count trials as
        independent: few speakers with many trials leave more doubt than they say.
    """

    errors: int
    trials: int
    low: float
    high: float
    bounds: str

    @classmethod
    def of(cls, errors: int, trials: int, interval: tuple[float, float] | None = None) -> Rate:
        """Return the rate with the bounds that fit.

        Parameters
        ----------
        errors, trials : int
            ``0 <= errors <= trials``.
        interval : (low, high), optional
            Of a bootstrap by speaker; without it trials count as independent.

        Raises
        ------
        ValueError
            The counts are out of range.
        """
        if errors == trials == 0:
            return cls(0, 0, 0.0, 1.0, "none")
        if trials < 1 or not 0 <= errors <= trials:
            raise ValueError(f"{errors} errors in {trials} trials cannot be")
        if errors in (0, trials):
            unseen = rate_upper_bound(0, trials)
            low, high = (0.0, unseen) if errors == 0 else (1.0 - unseen, 1.0)
            return cls(errors, trials, low, high, "rule of three")
        if interval is not None:
            return cls(errors, trials, *interval, "bootstrap by speaker")
        low, high = _rate_with(errors - 1, trials, 0.975), rate_upper_bound(errors, trials, 0.975)
        return cls(errors, trials, low, high, "Clopper-Pearson")

    @property
    def rate(self) -> float:
        """Errors per trial; not a number if there are no trials."""
        return self.errors / self.trials if self.trials else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the rate (None without trials), ready for JSON."""
        return {
            "rate": self.rate if self.trials else None,
            "errors": self.errors,
            "trials": self.trials,
            "low": self.low,
            "high": self.high,
            "bounds": self.bounds,
        }


def failures(reasons: Iterable[str | None]) -> tuple[Rate, dict[str, int]]:
    """Return how often something failed, and for which reasons, the most frequent first.

    For FTE, failure to enrol, one entry for each person; for FTA, failure to acquire, one for
    each sample (ISO/IEC 19795-1).

    Parameters
    ----------
    reasons : iterable of str or None
        One of each attempt: why it failed, or None if it did not.
    """
    counts = Counter(reasons)
    succeeded = counts.pop(None, 0)
    by_reason = {str(reason): n for reason, n in counts.most_common()}
    return Rate.of(counts.total(), counts.total() + succeeded), by_reason


def rate_upper_bound(errors: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper confidence bound of an error rate (Clopper-Pearson).

    The largest rate under which so few errors still have a chance of ``1 - confidence``.
    With no error at all it is ``1 - (1 - confidence) ** (1 / trials)``: the rule of three.
    Trials count as independent, which comparisons that share a speaker are not.

    Parameters
    ----------
    errors, trials : int
        ``0 <= errors <= trials``, ``trials >= 1``.
    confidence : float
        Strictly between 0 and 1.

    Raises
    ------
    ValueError
        The counts or the confidence are out of range.
    """
    if trials < 1 or not 0 <= errors <= trials:
        raise ValueError(f"{errors} errors in {trials} trials cannot be")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence of {confidence} is not strictly between 0 and 1")
    return 1.0 if errors == trials else _rate_with(errors, trials, 1.0 - confidence)


def _rate_with(errors: int, trials: int, chance: float) -> float:
    """Return the rate under which at most so many errors have this chance."""
    low, high = 0.0, 1.0
    log_ways = _log_binomials(errors, trials)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _at_most(errors, trials, middle, log_ways) > chance:
            low = middle
        else:
            high = middle
    return high


def _log_binomials(errors: int, trials: int) -> npt.NDArray[np.float64]:
    """Logarithms of ``trials choose k`` for k = 0 .. errors."""
    k = np.arange(1, errors + 1, dtype=np.float64)
    return np.concatenate([[0.0], np.cumsum(np.log((trials - k + 1) / k))])


def _at_most(errors: int, trials: int, rate: float, log_ways: npt.NDArray[np.float64]) -> float:
    """Chance of at most ``errors`` in ``trials`` at a ``rate`` above 0: binomial distribution."""
    if rate >= 1.0:
        return 0.0
    k = np.arange(errors + 1)
    logs = log_ways + k * math.log(rate) + (trials - k) * math.log1p(-rate)
    top = float(np.max(logs))
    return math.exp(top) * float(np.sum(np.exp(logs - top)))
