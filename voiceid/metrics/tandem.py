"""The cost of a verifier and a countermeasure that both must accept: t-DCF.

Kinnunen et al., t-DCF: a Detection Cost Function for the Tandem Assessment of Spoofing
Countermeasures and Automatic Speaker Verification, Odyssey 2018; in the form of Kinnunen et al.,
Tandem Assessment of Spoofing Countermeasures and Automatic Speaker Verification: Fundamentals,
IEEE/ACM Transactions on Audio, Speech, and Language Processing 28, 2020:

    t-DCF = C_miss p_target (P_cm,miss + (1 - P_cm,miss) P_miss)
          + C_fa p_nontarget (1 - P_cm,miss) P_fa
          + C_fa,attack p_attack P_cm,fa P_fa,attack

where P_miss, P_fa and P_fa,attack are the verifier's FNMR, FMR and accepted attacks, and P_cm,miss
and P_cm,fa the countermeasure's BPCER and APCER.  Their errors are assumed independent.  Which of
the two is asked first makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from voiceid.metrics.scores import Floats, Scores, both_in_order

Ends: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class TandemCosts:
    """Priors of the three kinds of claims, and costs; by default those of ASVspoof 2021."""

    p_target: float = 0.9405
    p_nontarget: float = 0.0095
    p_attack: float = 0.05
    miss: float = 1.0
    false_alarm: float = 10.0
    attack: float = 10.0


@dataclass(frozen=True, slots=True)
class VerifierErrors:
    """Rates of the verifier alone, 0 to 1: FNMR, FMR, and attacks that it accepts."""

    fnmr: float
    fmr: float
    attacks: float


def tandem_cost(
    bpcer: Floats | float,
    apcer: Floats | float,
    verifier: VerifierErrors,
    costs: TandemCosts = TandemCosts(),
) -> Floats:
    """Return the t-DCF of a countermeasure's rates, not normalized."""
    missed = bpcer + (1.0 - bpcer) * verifier.fnmr
    strangers = (1.0 - bpcer) * verifier.fmr
    return np.asarray(
        costs.miss * costs.p_target * missed
        + costs.false_alarm * costs.p_nontarget * strangers
        + costs.attack * costs.p_attack * apcer * verifier.attacks
    )


def tandem_bounds(bpcer: Ends, apcer: Ends, fnmr: Ends, fmr: Ends, attacks: Ends) -> Ends:
    """Return the least and the highest t-DCF, not normalized, of rates that are within bounds.

    A higher BPCER costs less if the verifier refuses nearly all speakers; the others cost more.
    """
    low, high = zip(apcer, map(VerifierErrors, fnmr, fmr, attacks), strict=True)
    return (
        min(float(tandem_cost(end, *low)) for end in bpcer),
        max(float(tandem_cost(end, *high)) for end in bpcer),
    )


def default_tandem_cost(verifier: VerifierErrors, costs: TandemCosts = TandemCosts()) -> float:
    """Return the lesser t-DCF of a countermeasure that accepts all, and one that accepts none."""
    return float(
        min(tandem_cost(0.0, 1.0, verifier, costs), tandem_cost(1.0, 0.0, verifier, costs))
    )


def min_tandem_cost(
    bona_fide: Scores, attacks: Scores, verifier: VerifierErrors, costs: TandemCosts = TandemCosts()
) -> float:
    """Return the least t-DCF over all thresholds of a countermeasure, normalized: at most 1.

    - `bona_fide`, `attacks` (n,), (m,) float: scores; higher is more bona fide.

    Raises `ValueError` where the `default_tandem_cost` is 0, so that nothing can be normalized.
    """
    same, other = both_in_order(bona_fide, attacks)
    at = np.append(np.unique(same), same.dtype.type(np.inf))
    bpcer = np.searchsorted(same, at) / same.size
    apcer = (other.size - np.searchsorted(other, at)) / other.size
    default = default_tandem_cost(verifier, costs)
    if default == 0.0:
        raise ValueError("the verifier makes no error, so no cost can be normalized")
    return float(np.min(tandem_cost(bpcer, apcer, verifier, costs))) / default
