"""Which threshold and which margin decide, where they come from, and what does not fit.  Pure.

A threshold is never a constant of the code: it is a flag, a setting, or an operating
point that was measured for the model at an amount of net speech.  Where none of these can
be had, :class:`ThresholdUnavailable` is raised, and nobody is accepted.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from voiceid.domain import Float32Array, QualityReport, Threshold
from voiceid.embeddings import agreement
from voiceid.errors import ConfigError, ThresholdUnavailable


class Band(enum.StrEnum):
    """How the bandwidths of the two sides of a comparison go together.

    Strangers sound far more alike when both sides have a telephone's band, and speakers far
    less like themselves when one side has: docs/accuracy.md has the numbers.
    """

    WIDEBAND = "wideband"
    NARROWBAND = "narrowband"
    CROSSBAND = "crossband"


def band_of(clip_is_narrowband: bool, enrolled_share: float) -> Band:
    """Return the band of a comparison.

    Parameters
    ----------
    clip_is_narrowband : bool
    enrolled_share : float
        Share of the enrolled samples that are narrowband, 0 to 1.

    Returns
    -------
    Band
        A speaker with samples of both kinds counts as narrowband from one half on for a
        narrowband clip, and as wideband otherwise.
    """
    if clip_is_narrowband:
        if enrolled_share == 0.0:
            return Band.CROSSBAND
        return Band.NARROWBAND if enrolled_share >= 0.5 else Band.WIDEBAND  # noqa: PLR2004
    return Band.CROSSBAND if enrolled_share == 1.0 else Band.WIDEBAND


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold measured for a model, for clips of at least so much net speech.

    Parameters
    ----------
    band : str
        A `Band`.
    min_net_speech_s : float
        The point holds from this net speech on, up to the next point of its band.
    threshold : float
        Cosine from which a clip is accepted.
    fmr, fnmr : float
        False match and false non-match rate measured at ``threshold``, 0 to 1
        (ISO/IEC 19795-1), over ``impostor_trials`` and ``genuine_trials`` comparisons.
    impostor_trials, genuine_trials : int
    target_fmr : float
        False match rate that the threshold was chosen for, 0 to 1.
    """

    band: str
    min_net_speech_s: float
    threshold: float
    fmr: float
    fnmr: float
    impostor_trials: int
    genuine_trials: int
    target_fmr: float = 0.001


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """The thresholds of one model, and what a setting or a flag puts in their place.

    Parameters
    ----------
    model : str
        Whose operating points these are, for messages.
    points : sequence of OperatingPoint
        In any order.
    margin : float
        Least lead over the runner-up, in cosine, for an identification to be accepted.
    fixed : Threshold or None
        Wins over the points, whatever the net speech.
    target_fmr : float
        The points that were chosen for this false match rate decide, or where there are none,
        those for the next lower one.
    """

    model: str
    points: Sequence[OperatingPoint]
    margin: float
    fixed: Threshold | None = None
    target_fmr: float = 0.001

    def with_flags(self, threshold: float | None, margin: float | None) -> DecisionRule:
        """Return the rule with the values given for one call."""
        rule = self
        if threshold is not None:
            rule = replace(rule, fixed=Threshold(checked_cosine("threshold", threshold), "flag"))
        if margin is not None:
            rule = replace(rule, margin=checked_margin(margin))
        return rule

    def threshold(self, net_speech_s: float | None, band: Band) -> Threshold:
        """Return the threshold for a comparison.

        Parameters
        ----------
        net_speech_s : float or None
            Of the clip, in seconds; None when it is not known.
        band : Band

        Raises
        ------
        ThresholdUnavailable
            The card has no operating point for this band, or for so little speech, or it is
            not known how much there was.
        """
        if self.fixed is not None:
            return self.fixed
        if net_speech_s is None:
            raise ThresholdUnavailable(
                "it is not known how much speech is behind the vector, and thresholds depend on it",
                hint="Pass net_speech_s with the vector, or a threshold.",
            )
        reached = [
            p
            for p in self.points
            if p.band == band.value
            and net_speech_s >= p.min_net_speech_s
            and p.target_fmr <= self.target_fmr
        ]
        if not reached:
            raise ThresholdUnavailable(
                f"the card of {self.model} has no operating point for"
                f" {net_speech_s:.2f} s of net speech, {band.value}"
            )
        point = max(reached, key=lambda p: (p.min_net_speech_s, p.target_fmr))
        return Threshold(
            point.threshold,
            f"card {self.model}, {band.value}, net speech >= {point.min_net_speech_s:g} s",
        )


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
        Which score makes two clips one voice.
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
    left = list(range(len(vectors)))
    judged = frozenset(left if judged is None else judged)
    agreements: dict[int, float] = {}
    odd: list[Odd] = []
    while len(left) > 1 and (asked := [i for i in left if i in judged]):
        scores = dict(zip(left, map(float, agreement(vectors[left])), strict=True))
        agreements |= {i: scores[i] for i in asked}
        needed = {
            i: _needed(qualities[i], [qualities[k] for k in left if k != i], rule) for i in asked
        }
        worst = min(asked, key=lambda i: scores[i] - needed[i])
        if scores[worst] >= needed[worst]:
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
        shorter = min(one, other, key=lambda quality: quality.net_speech_s)
        longer = other if shorter is one else one
        with contextlib.suppress(ThresholdUnavailable):
            band = band_of(shorter.narrowband, float(longer.narrowband))
            found.add(rule.threshold(shorter.net_speech_s, band))
    return sorted(found, key=lambda threshold: (threshold.value, threshold.source))


def _needed(quality: QualityReport, others: Sequence[QualityReport], rule: DecisionRule) -> float:
    """Return the threshold that a sample must reach against all the others."""
    share = sum(other.narrowband for other in others) / len(others)
    return rule.threshold(quality.net_speech_s, band_of(quality.narrowband, share)).value


def checked_cosine(what: str, value: float) -> float:
    """Return ``value`` if it can be a cosine; NaN and numbers outside -1 to 1 cannot.

    Raises
    ------
    ConfigError
        A threshold that every score, or no comparison at all, would satisfy.
    """
    if not math.isfinite(value) or not -1.0 <= value <= 1.0:
        raise ConfigError(
            f"{what} is {value}, and a cosine lies between -1 and 1",
            hint="Scores are raw cosines here, never percents or (cos + 1) / 2.",
        )
    return float(value)


def checked_margin(value: float) -> float:
    """Return ``value`` if it can be a difference of cosines: 0 to 2.

    Raises
    ------
    ConfigError
        Negative, over 2, or not finite.
    """
    if not math.isfinite(value) or not 0.0 <= value <= 2.0:  # noqa: PLR2004 - cosines span 2
        raise ConfigError(
            f"margin is {value}, and a lead between two cosines lies between 0 and 2",
            hint="0 switches the check for a close runner-up off.",
        )
    return float(value)
