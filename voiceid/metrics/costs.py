"""Costs of decisions (minDCF, actDCF) and of log-likelihood ratios (Cllr, minCllr).

A log-likelihood ratio, LLR, is a natural logarithm: ``ln p(scores | same) / p(... | different)``.
It may be infinite, where a calibration is certain.
"""

from __future__ import annotations

import math

import numpy as np

from voiceid.metrics.detection import accepted
from voiceid.metrics.scores import Floats, Scores, both_in_order, floats


def bayes_threshold(p_target: float) -> float:
    """Return the LLR from which accepting costs less: minus the log odds of the prior.

    Both errors cost the same (NIST SRE 2016 plan).
    """
    _check_prior(p_target)
    return math.log(1.0 - p_target) - math.log(p_target)


def normalized_cost(fmr: Floats | float, fnmr: Floats | float, *, p_target: float = 0.01) -> Floats:
    """Return the detection cost of pairs of rates, normalized (NIST SRE 2016 plan).

    ``p_target FNMR + (1 - p_target) FMR``, divided by the cost of the better of accepting all and
    refusing all: 1 means that the scores are of no use.
    """
    _check_prior(p_target)
    least = min(p_target, 1.0 - p_target)
    return np.asarray(p_target / least * fnmr + (1.0 - p_target) / least * fmr)


def min_dcf(genuine: Scores, impostor: Scores, *, p_target: float = 0.01) -> float:
    """Return the least `normalized_cost` over all thresholds: at most 1."""
    same, other = both_in_order(genuine, impostor)
    # Between genuine scores a higher threshold refuses impostors only: it cannot cost more.
    at = np.append(np.unique(same), same.dtype.type(np.inf))
    fmr = (other.size - np.searchsorted(other, at)) / other.size
    fnmr = np.searchsorted(same, at) / same.size
    return float(np.min(normalized_cost(fmr, fnmr, p_target=p_target)))


def act_dcf(genuine: Scores, impostor: Scores, *, p_target: float = 0.01) -> float:
    """Return the `normalized_cost` at the `bayes_threshold`: the cost of decisions by the LLRs.

    It is at least `min_dcf`; the difference is the loss by their calibration.

    - `genuine`, `impostor` (n,), (m,) float: LLRs.
    """
    at = bayes_threshold(p_target)
    same, other = floats(genuine, "genuine"), floats(impostor, "impostor")
    cost = normalized_cost(
        accepted(other, at) / other.size,
        (same.size - accepted(same, at)) / same.size,
        p_target=p_target,
    )
    return float(cost)


def cllr(genuine: Scores, impostor: Scores) -> float:
    """Return the cost of log-likelihood ratios over all priors, in bits.

    Half the sum of the means of ``log2 (1 + exp -llr)`` over genuine and
    ``log2 (1 + exp llr)`` over impostor trials (Brümmer and du Preez, Application-independent
    evaluation of speaker detection, Computer Speech & Language 20, 2006).  LLRs of 0 cost 1 bit,
    and one that is certain of what is wrong costs infinitely many.
    """
    same, other = floats(genuine, "genuine"), floats(impostor, "impostor")
    return float(np.mean(losses(same, genuine=True)) + np.mean(losses(other, genuine=False))) / 2


def losses(llr: Scores, *, genuine: bool) -> Floats:
    """Return the cost of each LLR in bits, given which side is true."""
    against = -llr if genuine else llr
    return np.asarray(np.logaddexp(0.0, against, dtype=np.float64)) / math.log(2.0)


def min_cllr(genuine: Scores, impostor: Scores) -> float:
    """Return the least Cllr of any LLRs in the order of the scores.

    The best monotone map of scores to LLRs is found by pooling adjacent violators, ties in
    one (Brümmer and du Preez 2006).
    """
    same, other = both_in_order(genuine, impostor)
    genuine_in, impostor_in = pooled_adjacent_violators(*_counts_by_score(same, other))
    a, b = genuine_in / same.size, impostor_in / other.size
    bits = [np.sum(x[x > 0] * np.log2((a + b)[x > 0] / x[x > 0])) for x in (a, b)]
    return float(sum(bits)) / 2


def pooled_adjacent_violators(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats]:
    """Pool neighbours until the share of genuine trials rises strictly from block to block.

    Every pass pools whole falling runs at once, so the passes become short.  Takes trials (n,) at
    each score, ascending; returns those in each block (k,).
    """
    while True:
        # g1 / i1 < g2 / i2 without a division: products of counts below 2**26 are exact.
        rises = genuine[:-1] * impostor[1:] < genuine[1:] * impostor[:-1]
        if rises.all():
            return genuine, impostor
        starts = np.concatenate([[0], np.flatnonzero(rises) + 1])
        genuine = np.add.reduceat(genuine, starts)
        impostor = np.add.reduceat(impostor, starts)


def _counts_by_score(same: Scores, other: Scores) -> tuple[Floats, Floats]:
    """Count genuine and impostor trials at each distinct score, ascending.

    Impostors between neighbouring genuine scores count as one score: they are pooled anyway.
    """
    at = np.unique(same)
    below, upto = np.searchsorted(other, at), np.searchsorted(other, at, side="right")
    genuine, impostor = np.zeros(2 * at.size + 1), np.zeros(2 * at.size + 1)
    genuine[1::2] = np.diff(np.searchsorted(same, at), append=same.size)
    impostor[1::2] = upto - below
    impostor[0::2] = np.append(below, other.size) - np.append(0, upto)
    occupied = genuine + impostor > 0
    return genuine[occupied], impostor[occupied]


def _check_prior(p_target: float) -> None:
    if not 0.0 < p_target < 1.0:
        raise ValueError(f"a prior of {p_target} is not strictly between 0 and 1")
