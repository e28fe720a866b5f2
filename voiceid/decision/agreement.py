"""Whether the samples of a speaker agree, and what decides among several clips.  Pure."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from voiceid.decision.aims import Target
from voiceid.decision.embeddings import agreement
from voiceid.decision.rule import DecisionRule, accepted
from voiceid.domain import Condition, Float32Array, QualityReport, Threshold
from voiceid.errors import ThresholdUnavailable

AGREEMENT_FMR = 0.01
"""The false match rate at which samples of one enrolment must agree: the operator vouches for
them, and a slip of another voice is one among few, where a door has every stranger."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A sample that does not agree with the others of its speaker.

    Parameters
    ----------
    index : int
        Its place among the samples that were given.
    agreement, needed : float
        Cosine to the centroid of the others, and the threshold that it misses.
    """

    index: int
    agreement: float
    needed: float


def odd_ones(
    vectors: Float32Array,
    qualities: Sequence[QualityReport],
    rule: DecisionRule,
    judged: Collection[int] | None = None,
) -> tuple[list[Odd], dict[int, float]]:
    """Find the samples that do not agree with the others of their speaker.

    The worst is put aside until all that are left agree.  Putting the worst aside first
    matters: one other voice among three clips pulls the centroid of the others away from
    every honest clip too.

    Parameters
    ----------
    vectors : (n, dim) float32
        Unit length.
    qualities : sequence of QualityReport
        Of the same samples.
    rule : DecisionRule
        Which score makes two clips one voice, at `AGREEMENT_FMR`.
    judged : collection of int, optional
        Which may be put aside; all of them when omitted.

    Returns
    -------
    odd : list of Odd
        In the order in which they were put aside.  Of two samples alone it cannot be told
        which one is the stranger: both are.
    agreements : dict of int to float
        Cosine of each judged sample to the centroid of the others that were left with it.

    Raises
    ------
    ThresholdUnavailable
    """
    rule = rule.aimed(Target(AGREEMENT_FMR))
    left = list(range(len(vectors)))
    judged = frozenset(left if judged is None else judged)
    narrow = np.array([quality.narrowband for quality in qualities])
    agreements: dict[int, float] = {}
    odd: list[Odd] = []
    while len(left) > 1 and (asked := [i for i in left if i in judged]):
        scores = dict(zip(left, map(float, agreement(vectors[left], narrow[left])), strict=True))
        agreements |= {i: scores[i] for i in asked}
        needed = {
            i: _needed(qualities[i], [qualities[k] for k in left if k != i], rule) for i in asked
        }
        worst = min(asked, key=lambda i: scores[i] - needed[i])
        if accepted(scores[worst], needed[worst]):
            break
        aside = asked if len(left) == 2 else [worst]  # noqa: PLR2004 - see Returns
        odd += [Odd(i, scores[i], needed[i]) for i in aside]
        left = [i for i in left if i not in aside]
    return odd, agreements


def thresholds_among(qualities: Sequence[QualityReport], rule: DecisionRule) -> list[Threshold]:
    """Return every threshold that decides a pair of these clips, each once, the lowest first.

    Pairs with too little speech for any threshold count for nothing.

    Parameters
    ----------
    qualities : sequence of QualityReport
        Of clips with an embedding.
    rule : DecisionRule
    """
    steps = {point.min_net_speech_s for point in rule.points}
    # Two clips of each kind stand for all of them: there may be a million pairs.
    kinds: dict[tuple[bool, int], list[QualityReport]] = {}
    for quality in qualities:
        step = sum(quality.net_speech_s >= least for least in steps)
        kinds.setdefault((quality.narrowband, step), []).append(quality)
    few = [quality for alike in kinds.values() for quality in alike[:2]]
    found = set()
    for one, other in itertools.combinations(few, 2):
        with contextlib.suppress(ThresholdUnavailable):
            found.add(rule.threshold(Condition.of_two(one, other)))
    return sorted(found, key=lambda threshold: (threshold.value, threshold.source))


def _needed(quality: QualityReport, others: Sequence[QualityReport], rule: DecisionRule) -> float:
    """Return the threshold that a sample must reach against all the others."""
    return rule.threshold(Condition.of(quality, others)).value
