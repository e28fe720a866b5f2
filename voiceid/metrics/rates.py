"""An error rate with its counts and its bounds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rate:
    """An error rate, 0 to 1, with the counts it comes from and 95 % bounds.

    - `low`, `high`: the true rate is between them, with 95 % confidence.
    - `bounds`: where they come from: "bootstrap by speaker"; "rule of three", which is
      used if no trial (or every one) is an error, where a bootstrap would show no uncertainty;
      "Clopper-Pearson"; "none", without trials.  The second and third count trials as independent:
      with few speakers and many trials the true uncertainty is larger.
    """

    errors: int
    trials: int
    low: float
    high: float
    bounds: str

    @classmethod
    def of(cls, errors: int, trials: int, interval: tuple[float, float] | None = None) -> Rate:
        """Return the rate with the bounds that fit.

        - `errors`, `trials`: ``0 <= errors <= trials``.
        - `interval` (low, high): of a bootstrap by speaker; without it trials count as independent.
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
        low = _beta_quantile(0.025, errors, trials - errors + 1)
        high = rate_upper_bound(errors, trials, 0.975)
        return cls(errors, trials, low, high, "Clopper-Pearson")

    @property
    def rate(self) -> float:
        """Errors per trial; not a number if there are no trials."""
        return self.errors / self.trials if self.trials else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the rate (None without trials), ready for JSON."""
        return {"rate": self.rate if self.trials else None, **asdict(self)}


def failures(reasons: Iterable[str | None]) -> tuple[Rate, dict[str, int]]:
    """Return the rate of failures, and their reasons, the most frequent first.

    For FTE, failure to enrol, one entry for each person; for FTA, failure to acquire, one for
    each sample (ISO/IEC 19795-1).

    - `reasons`: one of each attempt: why it failed, or None if it did not.
    """
    counts = Counter(reasons)
    succeeded = counts.pop(None, 0)
    by_reason = {str(reason): n for reason, n in counts.most_common()}
    return Rate.of(counts.total(), counts.total() + succeeded), by_reason


def rate_upper_bound(errors: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper confidence bound of an error rate (Clopper-Pearson).

    The largest rate for which so few errors still have a probability of ``1 - confidence``.
    With no error at all it is ``1 - (1 - confidence) ** (1 / trials)``: the rule of three.
    Trials count as independent, which comparisons that share a speaker are not.

    - `errors`, `trials`: ``0 <= errors <= trials``, ``trials >= 1``.
    - `confidence`: strictly between 0 and 1.
    """
    if trials < 1 or not 0 <= errors <= trials:
        raise ValueError(f"{errors} errors in {trials} trials cannot be")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence of {confidence} is not strictly between 0 and 1")
    return 1.0 if errors == trials else _beta_quantile(confidence, errors + 1, trials - errors)


def exact_bounds(errors: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided confidence bounds of an error rate (Clopper-Pearson).

    Arguments as of `rate_upper_bound`.
    """
    tail = (1.0 - confidence) / 2
    low = 0.0 if errors == 0 else _beta_quantile(tail, errors, trials - errors + 1)
    return low, rate_upper_bound(errors, trials, 1.0 - tail)


def _beta_quantile(chance: float, a: int, b: int) -> float:
    from scipy.special import betaincinv  # noqa: PLC0415 - decisions do not need it

    return float(betaincinv(a, b, chance))
