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
    """A sample whose cosine to the centroid of the others, `agreement`, misses the one `needed`."""

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

    The worst is put aside until all that are left agree: one other voice among three clips pulls
    the centroid away from every honest clip too.  Only those ``judged`` (all when omitted) may go.
    Returns those put aside, in that order, and the cosine of each judged sample to the centroid of
    the others that were left with it.  Two samples alone do not show which is odd: both are.
    """
    rule = rule.aimed(Target(AGREEMENT_FMR))
    left = list(range(len(vectors)))
    judged = frozenset(left if judged is None else judged)
    narrow = np.array([quality.narrowband for quality in qualities], dtype=bool)
    agreements: dict[int, float] = {}
    odd: list[Odd] = []
    while len(left) > 1 and (asked := [i for i in left if i in judged]):
        scores = dict(zip(left, map(float, agreement(vectors[left], narrow[left])), strict=True))
        agreements |= {i: scores[i] for i in asked}
        needed = {}
        for i in asked:
            condition = Condition.of(qualities[i], [qualities[k] for k in left if k != i])
            needed[i] = rule.threshold(condition).value
        worst = min(asked, key=lambda i: scores[i] - needed[i])
        if accepted(scores[worst], needed[worst]):
            break
        aside = asked if len(left) == 2 else [worst]  # noqa: PLR2004 - see Returns
        odd += [Odd(i, scores[i], needed[i]) for i in aside]
        left = [i for i in left if i not in aside]
    return odd, agreements


def thresholds_among(qualities: Sequence[QualityReport], rule: DecisionRule) -> list[Threshold]:
    """Return every threshold that decides a pair of these clips, each once, the lowest first."""
    steps = {point.min_net_speech_s for point in rule.points}
    # Two clips of each kind stand for all of them: there may be a million pairs.
    kinds: dict[tuple[bool | None, int], list[QualityReport]] = {}
    for quality in qualities:
        step = sum(quality.net_speech_s >= least for least in steps)
        kinds.setdefault((quality.narrowband, step), []).append(quality)
    few = [quality for alike in kinds.values() for quality in alike[:2]]
    thresholds = set()
    for clip, other in itertools.combinations(few, 2):
        with contextlib.suppress(ThresholdUnavailable):
            thresholds.add(rule.threshold(Condition.of_two(clip, other)))
    return sorted(thresholds, key=lambda threshold: (threshold.value, threshold.source))
