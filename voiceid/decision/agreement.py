"""Whether the samples of a speaker agree, and the thresholds among several clips.  Pure."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from voiceid.decision.aims import Target
from voiceid.decision.calibration import LIKELY
from voiceid.decision.embeddings import centroid, cosine, unit
from voiceid.decision.rule import DecisionRule, accepted
from voiceid.domain import (
    Condition,
    Enrolled,
    Float32Array,
    QualityReport,
    Threshold,
    telephone_share,
)
from voiceid.errors import ThresholdUnavailable

AGREEMENT_FMR = 0.001
"""The false match rate at which samples of one enrolment must agree.  At 0.01 two people were taken
for one in 14 of 2160 mixtures of clips of LibriSpeech test-other; at 0.001 in none.  A rule that
was not measured at this rate uses the lowest rate that it can keep."""


_FIRST_SPEECH_S = 10.0
"""The rates of docs/accuracy.md are for three whole sentences, 10 s and more."""


@dataclass(frozen=True, slots=True)
class Odd:
    """Samples of one voice that is not the voice of the others.

    ``agreement`` is the cosine of their centroid to the centroid of the others; it is below
    ``needed``.
    """

    indices: tuple[int, ...]
    agreement: float
    needed: float


def odd_ones(
    vectors: Float32Array,
    qualities: Sequence[QualityReport],
    rule: DecisionRule,
    kept: Collection[int] = (),
) -> tuple[list[Odd], dict[int, float]]:
    """Find the samples that are not of the speaker's voice.

    Samples are one voice if every branch of their tree agrees with all other samples, centroid to
    centroid: each sample alone, and each group, so that two samples of another voice do not support
    each other.  What is new also agrees with the first of the samples ``kept``, or a voice could
    walk to another in steps.  If some do not agree, the branch that misses its threshold most is
    split off, and both parts are examined again: one other voice among three clips also pulls the
    centroid away from every right clip.  The speaker's voice is that of the samples ``kept``, the
    oldest first, which stay together, else the one with the most speech.

    Returns the other voices, and the cosine of each sample that is not ``kept`` to the centroid of
    the others of the speaker's voice; for another voice, its agreement.  Of two samples alone,
    both are returned: neither can be called the right one.
    """
    stay, first = frozenset(kept), _first(sorted(kept), qualities)
    agreements: dict[int, float] = {}
    pending, voices = [Odd(tuple(range(len(vectors))), 1.0, 0.0)], list[Odd]()
    while pending:
        voice = pending.pop()
        left = voice.indices
        branches = _branches(vectors, left, stay) if not stay.issuperset(left) else []
        partings = [
            parting(branch, [i for i in left if i not in branch], vectors, qualities, rule)
            for branch in branches
        ]
        agreements |= {p.indices[0]: p.agreement for p in partings if len(p.indices) == 1}
        if len(first) < len(stay) and stay.issubset(left):
            new = (branch for branch in branches if stay.isdisjoint(branch))
            partings += [parting(branch, first, vectors, qualities, rule) for branch in new]
        worst = min(partings, key=lambda p: p.agreement - p.needed, default=None)
        if worst is None or accepted(worst.agreement, worst.needed):
            voices.append(voice)
        else:
            others = tuple(i for i in left if i not in worst.indices)
            pending += [worst, replace(worst, indices=others)]
    speakers = max(
        voices,
        key=lambda v: (
            bool(stay & set(v.indices)),
            sum(qualities[i].net_speech_s for i in v.indices),
        ),
    )
    pair = len(vectors) == 2 and not stay  # noqa: PLR2004 - see Returns
    odd = [voice for voice in voices if voice is not speakers or (pair and len(voices) > 1)]
    agreements |= {i: voice.agreement for voice in odd for i in voice.indices}
    return odd, {i: score for i, score in agreements.items() if i not in stay}


def _first(kept: Sequence[int], qualities: Sequence[QualityReport]) -> Sequence[int]:
    """Return the oldest samples, up to the speech that tells two voices apart."""
    spoken_s = itertools.accumulate(qualities[i].net_speech_s for i in kept)
    return kept[: 1 + sum(at_s < _FIRST_SPEECH_S for at_s in spoken_s)]


def _branches(
    vectors: Float32Array, left: Sequence[int], kept: frozenset[int]
) -> list[tuple[int, ...]]:
    """Return the branches of the tree that average linkage makes of samples by their cosines.

    Average linkage: Sokal and Michener 1958 (UPGMA).  The root is left out.
    """
    branches: list[tuple[int, ...]] = [(i,) for i in left if i not in kept]
    if together := tuple(i for i in left if i in kept):
        branches.append(together)
    if len(branches) == 1:
        return []
    means = np.stack([unit(vectors[list(branch)]).mean(axis=0) for branch in branches])
    cosines = (means @ means.T).astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    alive = list(branches)
    for _ in range(len(branches) - 2):
        i, j = sorted(divmod(int(np.argmax(cosines)), len(cosines)))
        sizes = len(alive[i]), len(alive[j])
        cosines[i] = cosines[:, i] = np.average(cosines[[i, j]], axis=0, weights=sizes)
        cosines[j] = cosines[:, j] = -np.inf
        cosines[i, i] = -np.inf
        alive[i] += alive[j]
        branches.append(alive[i])
    return branches


def parting(
    branch: Sequence[int],
    others: Sequence[int],
    vectors: Float32Array,
    qualities: Sequence[QualityReport],
    rule: DecisionRule,
) -> Odd:
    """Return the agreement of a branch of samples with the others, and the agreement it needs.

    The shortest clip of the side with less speech sets the threshold: a group needs no more than
    its clips, though the threshold rises with the speech.  Raises `ThresholdUnavailable`.
    """
    rule = rule.aimed(Target(rule.kept(AGREEMENT_FMR)))
    sides = [list(branch), list(others)]
    score = cosine(*(centroid(vectors[side]) for side in sides))
    shorter, longer = sorted(
        ([qualities[i] for i in side] for side in sides),
        key=lambda side: sum(quality.net_speech_s for quality in side),
    )
    condition = replace(
        Condition.of_joined(shorter, longer),
        net_speech_s=min(quality.net_speech_s for quality in shorter),
    )
    return Odd(tuple(branch), score, rule.threshold(condition).value)


def taken_for(
    owner: Enrolled, score: float, qualities: Sequence[QualityReport], rule: DecisionRule
) -> bool:
    """Whether clips, taken as one, could be accepted as an enrolled speaker with this score.

    The lowest threshold of any line is used: the line of the clips may be declared.
    """
    net_speech_s = sum(quality.net_speech_s for quality in qualities)
    condition = owner.against(net_speech_s, telephone=0.0, snr_db=None)
    return bool(accepted(score, rule.threshold(condition).value))


def thresholds_among(qualities: Sequence[QualityReport], rule: DecisionRule) -> list[Threshold]:
    """Return thresholds that decide pairs of these clips, each once, the lowest first.

    They change little with the speech: one for each doubling of it stands for all.
    """
    # Two clips of each amount of speech stand for all of them: there may be a million pairs.
    kinds: dict[tuple[bool, int], list[QualityReport]] = {}
    for quality in qualities:
        over_telephone = telephone_share([quality.telephone]) >= LIKELY
        doublings = math.frexp(quality.net_speech_s)[1]
        kinds.setdefault((over_telephone, doublings), []).append(quality)
    few = [quality for alike in kinds.values() for quality in alike[:2]]
    thresholds = set()
    for clip, other in itertools.combinations(few, 2):
        with contextlib.suppress(ThresholdUnavailable):
            thresholds.add(rule.threshold(Condition.of_two(clip, other)))
    return sorted(thresholds, key=lambda threshold: (threshold.value, threshold.source))
