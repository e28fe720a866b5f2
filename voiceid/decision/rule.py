"""Which threshold and which margin decide, where they come from, and what does not fit.  Pure.

A threshold is never a constant of the code: it follows from the error rate that is aimed at, by a
calibration or operating points, or is set by hand.  Without one no speaker is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from voiceid.decision.aims import LEAST_THRESHOLD, MAX_RATE, SetThreshold, Target
from voiceid.decision.calibration import (
    Calibration,
    Conditions,
    Floats,
    StoredCalibration,
    trials_needed,
)
from voiceid.decision.operating_points import OperatingPoint, Shortage, shortage, thresholds_at
from voiceid.domain import Condition, Threshold
from voiceid.errors import ModelRuntimeError, ThresholdUnavailable

DEFAULT_FMR = 0.001
"""The false match rate that is aimed at by default: one stranger in a thousand."""
_DEFAULT = Target(DEFAULT_FMR)
SEQUENCE_LOOKS = 3.0
"""Single looks that a sequence of looks at one turn counts as: the rate is divided by them."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A score, and what it was held against."""

    score: float
    threshold: Threshold
    llr: float | None
    calibration: int | None  # of the threshold and the LLR; None: the model's card
    is_match: bool  # whether the score reaches the threshold


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """What decides: a calibration of the site wherever it can speak, else operating points.

    - `points`: of the model, measured; empty: none were.
    - `llrs`: of the model: makes LLRs where the site has no calibration; None: nothing does.
    - `margin`: least lead over the runner-up, in cosine, for an identification to be accepted.
    - `in_sequence`: the rate is of a sequence of looks, of which the first that matches decides.
    - `min_level_dbfs`: softer speech than this has no threshold: nothing was measured on it.
    - `criterion`: None: the rate that was asked for with the calibration, or `DEFAULT_FMR`.
    """

    model: str
    points: Sequence[OperatingPoint]
    margin: float
    llrs: Calibration | None = None
    calibration: StoredCalibration | None = None
    criterion: Target | SetThreshold | None = None
    min_level_dbfs: float = -math.inf
    in_sequence: bool = False

    def aimed(
        self, criterion: Target | SetThreshold | None, margin: float | None = None
    ) -> DecisionRule:
        """Return the rule with what was asked for; None leaves it as it is."""
        rule = self if criterion is None else replace(self, criterion=criterion)
        return rule if margin is None else replace(rule, margin=margin)

    def with_calibration(self, calibration: StoredCalibration | None) -> DecisionRule:
        """Return the rule with another calibration, or with none."""
        return replace(self, calibration=calibration)

    @property
    def aim(self) -> Target:
        """The rate that is aimed at, where no threshold is set by hand."""
        if isinstance(self.criterion, Target):
            return self.criterion
        asked = None if self.calibration is None else self.calibration.target_fmr
        return _DEFAULT if asked is None else Target(asked)

    def fmr(self, gallery_size: int) -> float:
        """Return the false match rate that one comparison may have, for a gallery of so many."""
        fmr = self.aim.fmr(gallery_size)
        return fmr / SEQUENCE_LOOKS if self.in_sequence else fmr

    def judged(self, score: float, condition: Condition, gallery_size: int = 1) -> Judged:
        """Return a cosine with its threshold and its LLR; see `threshold` and `llr`.

        Raises ModelRuntimeError for a score that is not a number.
        """
        score, given = finite(score), Conditions.of(condition)
        threshold = self._threshold(condition, given, gallery_size)
        is_match = bool(accepted(score, threshold.value))
        return Judged(score, threshold, *self._llr(score, given), is_match)

    def threshold(self, condition: Condition, gallery_size: int = 1) -> Threshold:
        """Return the threshold, and where it is from; raises `ThresholdUnavailable`.

        A target FPIR depends on ``gallery_size``: how many speakers are searched.
        """
        return self._threshold(condition, Conditions.of(condition), gallery_size)

    def _threshold(self, condition: Condition, given: Conditions, gallery_size: int) -> Threshold:
        aim, fmr = self.aim, self.fmr(gallery_size)
        [value] = self._thresholds(given, fmr).tolist()
        if math.isnan(value):
            raise self._unavailable(condition, given, fmr)
        if not is_plausible(value):
            raise ThresholdUnavailable(
                f"the threshold of {self._source(given, fmr, '')} would be {value:.3g}, and none"
                f" below {LEAST_THRESHOLD:g} tells voices apart",
                hint="Ask for a lower rate; or use another calibration: `voiceid calibrations`.",
            )
        of_search = ""
        if aim.per_search:
            of_search = f"FPIR {percent(aim.rate)} of {gallery_size} enrolled, "
        elif self.in_sequence:
            of_search = f"FMR {percent(aim.rate)} of a turn, "
        return Threshold(value, self._source(given, fmr, of_search))

    def thresholds(self, given: Conditions, gallery_size: int = 1) -> Floats:
        """Return the threshold (n,) of each comparison, NaN where there is none."""
        needed = self._thresholds(given, self.fmr(gallery_size))
        return np.where(is_plausible(needed), needed, math.nan)

    def _thresholds(self, given: Conditions, fmr: float) -> Floats:
        if isinstance(self.criterion, SetThreshold):
            return self.criterion.cosines(given.net_speech_s)
        needed = thresholds_at(self.points, fmr, given)
        own = self._calibrated
        if own is not None and own.supports(fmr):
            needed = np.where(own.covers(given), own.cosines(own.llr_at(fmr), given), needed)
        if given.level_dbfs is not None:
            needed[given.level_dbfs < self.min_level_dbfs] = math.nan  # NaN is not below
        return needed

    def llr(self, score: float, condition: Condition) -> tuple[float | None, int | None]:
        """Return the LLR of a score, and the number of the site's calibration that it is of.

        No number: it is of the card's.  No LLR: no calibration has heard this amount of speech.
        """
        return self._llr(score, Conditions.of(condition))

    def _llr(self, score: float, given: Conditions) -> tuple[float | None, int | None]:
        calibration, number = self.llrs, None
        if self.calibration is not None and self._covers(given):
            calibration, number = self._calibrated, self.calibration.id
        if calibration is None:
            return None, None
        [llr] = calibration.llrs(score, given).tolist()
        return (None, None) if math.isnan(llr) else (llr, number)

    def shortage(
        self, net_speech_s: float | None, gallery_size: int = 1, score: float = math.inf
    ) -> Shortage | None:
        """Return what a clip is short of for the rate that is aimed at; None: not known, or enough.

        It is as measured for the model, also where a calibration of the site decides.
        """
        if net_speech_s is None or isinstance(self.criterion, SetThreshold):
            return None
        return shortage(self.points, self.fmr(gallery_size), net_speech_s, score)

    @property
    def least_fmr(self) -> float:
        """The lowest rate that the operating points keep at any amount of speech; 1 without any."""
        steps: dict[float, float] = {}
        for point in self.points:
            best = steps.get(point.min_net_speech_s, 1.0)
            steps[point.min_net_speech_s] = min(best, point.target_fmr)
        return max(steps.values(), default=1.0)

    def kept(self, fmr: float) -> float:
        """Return a rate, or the lowest above it that the points or the calibration can keep."""
        rates = [self.least_fmr]
        if (calibration := self._calibrated) is not None:
            rates.append(calibration.least_fmr)
        return min(max(fmr, min(rates)), MAX_RATE)

    def strictest(self, telephone: float) -> float:
        """Return the highest threshold of the operating points; infinity without any.

        ``telephone``: that the speech came over one, 0 to 1.
        """
        if not self.points:
            return math.inf
        wideband = max(point.threshold for point in self.points)
        over_telephone = max(point.telephone_threshold for point in self.points)
        return wideband + telephone * (over_telephone - wideband)

    @property
    def _calibrated(self) -> Calibration | None:
        return None if self.calibration is None else self.calibration.calibration

    def _covers(self, given: Conditions) -> bool:
        """Whether the site's calibration speaks of a comparison."""
        return self._calibrated is not None and bool(self._calibrated.covers(given)[0])

    def _source(self, given: Conditions, fmr: float, of_search: str) -> str:
        """Return where the threshold of one comparison is from."""
        if isinstance(self.criterion, SetThreshold):
            return f"set by hand in {self.criterion.source}"
        beyond = ""
        if self.calibration is not None and self._covers(given):
            name = f"calibration {self.calibration.id}"
            if self.calibration.calibration.supports(fmr):
                return f"{name}, {of_search}FMR {percent(fmr)}"
            beyond = f"; {name} does not reach FMR {percent(fmr)}"
        return f"card {self.model}, {of_search}FMR {percent(fmr)}{beyond}"

    def _unavailable(
        self, condition: Condition, given: Conditions, fmr: float
    ) -> ThresholdUnavailable:
        """Return why a comparison has no threshold."""
        net_speech_s, level_dbfs = condition.net_speech_s, condition.level_dbfs
        if net_speech_s is None:
            return ThresholdUnavailable(
                "it is not known how much speech is behind the vector, and thresholds depend on it",
                hint="Pass net_speech_s with the vector.",
            )
        if isinstance(self.criterion, SetThreshold):
            return ThresholdUnavailable(
                f"the threshold of {self.criterion.source} holds from"
                f" {self.criterion.steps[0][0]:g} s of net speech on, and there are"
                f" {net_speech_s:.2f} s",
                hint="Set a cosine for less speech too, or record a longer clip.",
            )
        if level_dbfs is not None and level_dbfs < self.min_level_dbfs:
            return ThresholdUnavailable(
                f"speech of {level_dbfs:.1f} dBFS is softer than {self.min_level_dbfs:g} dBFS,"
                f" below which {self.model} does not tell voices apart",
                hint="Raise the recording level; campplus does not depend on it.",
            )
        if self._calibrated is not None and self._covers(given):
            self._calibrated.llr_at(fmr)  # raises the reason: neither it nor the card reaches it
        if not self.points:
            return ThresholdUnavailable(
                f"nothing was measured of {self.model}, so no rate can be kept",
                hint="Calibrate with recordings of your own: `voiceid calibrate`.",
            )
        return self._beyond_card(net_speech_s, fmr)

    def _beyond_card(self, net_speech_s: float, fmr: float) -> ThresholdUnavailable:
        """Return why the card has no threshold for this much speech at this rate."""
        least_s = min(point.min_net_speech_s for point in self.points)
        if net_speech_s < least_s:
            return ThresholdUnavailable(
                f"the card of {self.model} has no threshold for {net_speech_s:.2f} s of net speech:"
                f" it was measured from {least_s:g} s on",
                hint=f"Record {least_s - net_speech_s:.1f} s more speech at least.",
            )
        missing = shortage(self.points, fmr, net_speech_s)
        if missing is not None:
            return ThresholdUnavailable(
                f"the card of {self.model} has no threshold for {net_speech_s:.2f} s of net speech"
                f" at a false match rate of {fmr:.3g}",
                hint=f"Record {missing.more_speech_s:.1f} s more speech, or accept a higher rate.",
            )
        return ThresholdUnavailable(
            f"a false match rate of {fmr:.3g} takes {trials_needed(fmr)} impostor trials, and"
            f" the card of {self.model} was measured down to {self.least_fmr:g}",
            hint="Accept a higher rate, or calibrate on that many trials of your own.",
        )


def is_plausible(thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which cosines can be thresholds: from 0.1 on; NaN is none, and -inf neither."""
    return np.asarray(np.asarray(thresholds) >= LEAST_THRESHOLD)


def accepted(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which cosines are accepted: those that reach a plausible threshold.

    NaN is never accepted, and reaches nothing.
    """
    reached = np.asarray(scores) >= np.asarray(thresholds)
    return np.asarray(reached & is_plausible(thresholds))


def finite(score: float) -> float:
    """Return a cosine; raises ModelRuntimeError for what is none."""
    if not math.isfinite(score):
        raise ModelRuntimeError(
            f"a comparison gave {score} instead of a cosine; no speaker was accepted",
            hint="Run `voiceid models verify` and `voiceid index rebuild`.",
        )
    return score


def percent(rate: float) -> str:
    """Return a rate, 0 to 1, in percent to three digits."""
    return f"{100.0 * rate:.3g} %"
