"""Which threshold and which margin decide, where they come from, and what does not fit.  Pure.

A threshold is never a constant of the code, and nobody types one: it follows from the error
rate that is aimed at, by the site's own calibration, or by operating points that were measured
for the model.  Where neither can be had, :class:`ThresholdUnavailable` is raised, and nobody
is accepted.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from voiceid.decision.calibration import (
    BANDS,
    Calibration,
    Conditions,
    Floats,
    StoredCalibration,
    trials_needed,
)
from voiceid.decision.embeddings import agreement
from voiceid.domain import Band, Condition, Float32Array, QualityReport, Threshold
from voiceid.errors import ConfigError, ThresholdUnavailable

DEFAULT_FMR = 0.001
"""The false match rate aimed at when nobody says another: one stranger in a thousand."""
AGREEMENT_FMR = 0.01
"""The false match rate at which samples of one enrolment must agree: whoever enrols vouches for
them, and a slip of another voice is one among few, where a door has every stranger."""
_MAX_RATE = 0.5
"""A rate above is no target: a coin does as well."""


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
class Target:
    """An error rate that was asked for.

    Parameters
    ----------
    rate : float
        Above 0, at most 0.5.
    per_search : bool
        True: a false positive identification rate (FPIR), of a search of the whole gallery;
        False: a false match rate (FMR), of one comparison.
    """

    rate: float
    per_search: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.rate <= _MAX_RATE:  # NaN is not
            raise ConfigError(
                f"a target {self.name} of {self.rate} is not above 0 and at most {_MAX_RATE:g}",
                hint="Rates are fractions: 0.001 is one in a thousand.",
            )

    @property
    def name(self) -> str:
        """``FMR`` or ``FPIR``."""
        return "FPIR" if self.per_search else "FMR"

    def fmr(self, gallery_size: int) -> float:
        """Return the false match rate that a comparison may have, for a gallery of so many."""
        if not self.per_search:
            return self.rate
        from voiceid.metrics import fmr_for_fpir  # noqa: PLC0415 - half of a command's start

        return fmr_for_fpir(self.rate, max(gallery_size, 1))


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """What decides: a calibration, or the operating points of the model, at a target.

    Parameters
    ----------
    model : str
        Whose operating points these are, for messages.
    points : sequence of OperatingPoint
        In any order.
    margin : float
        Least lead over the runner-up, in cosine, for an identification to be accepted.
    calibration : StoredCalibration or None
        It wins over the points, wherever it can speak of a comparison.
    min_level_dbfs : float
        Softer speech than this has no threshold: nothing was measured on it.
    target : Target or None
        None: the one that was asked for with the calibration, or `DEFAULT_FMR`.
    """

    model: str
    points: Sequence[OperatingPoint]
    margin: float
    calibration: StoredCalibration | None = None
    target: Target | None = None
    min_level_dbfs: float = -math.inf

    def with_options(self, target: Target | None, margin: float | None = None) -> DecisionRule:
        """Return the rule with what was asked for in one call; None leaves it as it is."""
        rule = self if target is None else replace(self, target=target)
        return rule if margin is None else replace(rule, margin=checked_margin(margin))

    def with_calibration(self, calibration: StoredCalibration | None) -> DecisionRule:
        """Return the rule with another calibration, or with none."""
        return replace(self, calibration=calibration)

    @property
    def aim(self) -> Target:
        """The target that holds."""
        if self.target is not None:
            return self.target
        asked = None if self.calibration is None else self.calibration.target_fmr
        return Target(DEFAULT_FMR if asked is None else asked)

    def threshold(
        self,
        condition: Condition,
        gallery_size: int = 1,
        normalised: tuple[float, float] = (1.0, 0.0),
    ) -> Threshold:
        """Return the threshold for a comparison.

        Parameters
        ----------
        condition : Condition
        gallery_size : int
            How many speakers are searched, on which a target FPIR depends.
        normalised : (slope, offset)
            The linear map of the calibration's normalisation for this comparison.

        Raises
        ------
        ThresholdUnavailable
            Nothing was measured for this band, or for so little speech, or it is not known
            how much there was; or the target is one that the trials behind cannot support.
        """
        if condition.net_speech_s is None:
            raise ThresholdUnavailable(
                "it is not known how much speech is behind the vector, and thresholds depend on it",
                hint="Pass net_speech_s with the vector.",
            )
        level_dbfs = condition.level_dbfs
        if level_dbfs is not None and level_dbfs < self.min_level_dbfs:
            raise ThresholdUnavailable(
                f"speech of {level_dbfs:.1f} dBFS is softer than {self.min_level_dbfs:g} dBFS,"
                f" below which {self.model} does not tell voices apart",
                hint="Raise the recording level; campplus does not depend on it.",
            )
        fmr = self.aim.fmr(gallery_size)
        given = Conditions.of(condition, normalised)
        if self._calibrated is not None and self._calibrated.covers(given)[0]:
            value = float(self._calibrated.cosines(self._calibrated.llr_at(fmr), given)[0])
            aim = self._aim_text(fmr, gallery_size)
            return Threshold(value, f"{self._calibration_name}, {aim}")
        point = self._point(condition.band, condition.net_speech_s, fmr)
        return Threshold(
            point.threshold,
            f"card {self.model}, {condition.band.value}, net speech >="
            f" {point.min_net_speech_s:g} s, {self._aim_text(point.target_fmr, gallery_size)}",
        )

    def thresholds(self, given: Conditions, gallery_size: int = 1) -> Floats:
        """Return the threshold (n,) of each comparison, NaN where there is none."""
        fmr = self.aim.fmr(gallery_size)
        found = np.full(len(given.band), np.nan)
        steps = {(p.band, p.min_net_speech_s) for p in self.points}
        for band, least_s in sorted(steps, key=lambda step: step[1]):
            reached = given.net_speech_s >= least_s
            point = _loosest(self.points, band, least_s, fmr)
            rows = reached & (given.band == BANDS.index(Band(band)))
            found[rows] = math.nan if point is None else point.threshold
        if self._calibrated is not None:
            calibrated = np.full(len(found), np.nan)
            with contextlib.suppress(ThresholdUnavailable):
                calibrated = self._calibrated.cosines(self._calibrated.llr_at(fmr), given)
            found = np.where(self._calibrated.covers(given), calibrated, found)
        if given.level_dbfs is not None:
            found[given.level_dbfs < self.min_level_dbfs] = math.nan  # NaN is not below
        return found

    def llr(
        self, score: float, condition: Condition, normalised: tuple[float, float] = (1.0, 0.0)
    ) -> float | None:
        """Return the log-likelihood ratio of a score; None where the calibration has none."""
        if self._calibrated is None or condition.net_speech_s is None:
            return None
        found = float(self._calibrated.llrs([score], Conditions.of(condition, normalised))[0])
        return found if math.isfinite(found) else None

    @property
    def _calibrated(self) -> Calibration | None:
        return None if self.calibration is None else self.calibration.calibration

    @property
    def _calibration_name(self) -> str:
        return "" if self.calibration is None else f"calibration {self.calibration.id}"

    def _aim_text(self, fmr: float, gallery_size: int) -> str:
        aim = self.aim
        if not aim.per_search:
            return f"FMR {percent(fmr)}"
        return f"FPIR {percent(aim.rate)} of {gallery_size} enrolled, FMR {percent(fmr)}"

    def _point(self, band: Band, net_speech_s: float, fmr: float) -> OperatingPoint:
        reached = [
            p for p in self.points if p.band == band.value and net_speech_s >= p.min_net_speech_s
        ]
        if not reached:
            raise ThresholdUnavailable(
                f"the card of {self.model} has no operating point for"
                f" {net_speech_s:.2f} s of net speech, {band.value}"
            )
        longest = max(p.min_net_speech_s for p in reached)
        point = _loosest(reached, band.value, longest, fmr)
        if point is None:
            least = min(p.target_fmr for p in reached if p.min_net_speech_s == longest)
            raise ThresholdUnavailable(
                f"a false match rate of {fmr:.3g} takes {trials_needed(fmr)} impostor trials, and"
                f" the card of {self.model} was measured down to {least:g} for"
                f" {net_speech_s:.2f} s of net speech, {band.value}",
                hint="Accept a higher rate, or calibrate on that many trials of your own.",
            )
        return point


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
    rule = rule.with_options(Target(AGREEMENT_FMR))
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
        with contextlib.suppress(ThresholdUnavailable):
            found.add(rule.threshold(Condition.of_two(one, other)))
    return sorted(found, key=lambda threshold: (threshold.value, threshold.source))


def _needed(quality: QualityReport, others: Sequence[QualityReport], rule: DecisionRule) -> float:
    """Return the threshold that a sample must reach against all the others."""
    return rule.threshold(Condition.of(quality, others)).value


def _loosest(
    points: Sequence[OperatingPoint], band: str, min_net_speech_s: float, fmr: float
) -> OperatingPoint | None:
    """Return the point of a band and step for the highest rate that is not above ``fmr``."""
    allowed = fmr * (1.0 + 1e-9)  # forgiven the rounding of its arithmetic
    usable = [
        p
        for p in points
        if (p.band, p.min_net_speech_s) == (band, min_net_speech_s) and p.target_fmr <= allowed
    ]
    return max(usable, key=lambda p: p.target_fmr, default=None)


def percent(rate: float) -> str:
    """Return a rate, 0 to 1, in percent to three digits."""
    return f"{100.0 * rate:.3g} %"


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
