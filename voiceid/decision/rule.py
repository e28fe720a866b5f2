"""The threshold and the margin that decide, their source, and the reason if there are none.  Pure.

A threshold is never a constant of the code: it follows from the target error rate, by a calibration
or operating points, or is set by hand.  Without one no speaker is accepted.
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
"""The default target of the false match rate: one stranger in a thousand."""
_DEFAULT = Target(DEFAULT_FMR)
SEQUENCE_LOOKS = 3.0
"""A sequence of checks of one turn counts as this many checks: the rate is divided by it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A score, and the threshold that it was compared with."""

    score: float
    threshold: Threshold
    llr: float | None
    calibration: int | None  # of the threshold and the LLR; None: the model's card
    is_match: bool  # whether the score reaches the threshold


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """The rule of decisions: the site's calibration where it is valid, else operating points.

    - `points`: measured for the model; may be empty.
    - `llrs`: the model's: makes LLRs where the site has no calibration; None: there are none.
    - `margin`: least lead over the runner-up, in cosine, for an identification to be accepted.
    - `in_sequence`: the rate is that of a sequence of checks; the first that matches decides.
    - `min_level_dbfs`: softer speech than this has no threshold: it was not measured.
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
        """Return the rule with the given aims; None leaves one as it is."""
        rule = self if criterion is None else replace(self, criterion=criterion)
        return rule if margin is None else replace(rule, margin=margin)

    def with_calibration(self, calibration: StoredCalibration | None) -> DecisionRule:
        """Return the rule with another calibration, or with none."""
        return replace(self, calibration=calibration)

    @property
    def aim(self) -> Target:
        """The target rate, if no threshold is set by hand."""
        if isinstance(self.criterion, Target):
            return self.criterion
        asked = None if self.calibration is None else self.calibration.target_fmr
        return _DEFAULT if asked is None else Target(asked)

    def fmr(self, gallery_size: int) -> float:
        """Return the false match rate that one comparison may have, for a gallery of this size."""
        fmr = self.aim.fmr(gallery_size)
        return fmr / SEQUENCE_LOOKS if self.in_sequence else fmr

    def judged(self, score: float, condition: Condition, gallery_size: int = 1) -> Judged:
        """Return a cosine with its threshold and its LLR; see `threshold` and `llr`.

        Raises ModelRuntimeError for a score that is not a number.
        """
        score, conditions = finite(score), Conditions.of(condition)
        threshold = self._threshold(condition, conditions, gallery_size)
        is_match = bool(accepted(score, threshold.value))
        return Judged(score, threshold, *self._llr(score, conditions), is_match)

    def threshold(self, condition: Condition, gallery_size: int = 1) -> Threshold:
        """Return the threshold, and its source; raises `ThresholdUnavailable`.

        A target FPIR depends on ``gallery_size``: how many speakers are searched.
        """
        return self._threshold(condition, Conditions.of(condition), gallery_size)

    def _threshold(self, condition: Condition, conditions: Conditions, size: int) -> Threshold:
        aim, fmr = self.aim, self.fmr(size)
        [value] = self._thresholds(conditions, fmr).tolist()
        if math.isnan(value):
            raise self._unavailable(condition, conditions, fmr)
        if not is_plausible(value):
            raise ThresholdUnavailable(
                f"the threshold of {self._source(conditions, fmr, '')} would be {value:.3g}, and no"
                f" threshold below {LEAST_THRESHOLD:g} tells voices apart",
                hint="Ask for a lower rate; or use another calibration: `voiceid calibrations`.",
            )
        of_search = ""
        if aim.per_search:
            of_search = f"FPIR {percent(aim.rate)} of {size} enrolled, "
        elif self.in_sequence:
            of_search = f"FMR {percent(aim.rate)} of a turn, "
        return Threshold(value, self._source(conditions, fmr, of_search))

    def thresholds(self, conditions: Conditions, gallery_size: int = 1) -> Floats:
        """Return the threshold (n,) of each comparison, NaN where there is none."""
        needed = self._thresholds(conditions, self.fmr(gallery_size))
        return np.where(is_plausible(needed), needed, math.nan)

    def _thresholds(self, conditions: Conditions, fmr: float) -> Floats:
        if isinstance(self.criterion, SetThreshold):
            return self.criterion.cosines(conditions.net_speech_s)
        needed = thresholds_at(self.points, fmr, conditions)
        own = self._calibrated
        if own is not None and own.supports(fmr):
            cosines = own.cosines(own.llr_at(fmr), conditions)
            needed = np.where(own.covers(conditions), cosines, needed)
        if conditions.level_dbfs is not None:
            needed[conditions.level_dbfs < self.min_level_dbfs] = math.nan  # NaN is not below
        return needed

    def llr(self, score: float, condition: Condition) -> tuple[float | None, int | None]:
        """Return the LLR of a score, and the number of the site's calibration that made it.

        No number: the card's calibration made it.  No LLR: none is valid for this little speech.
        """
        return self._llr(score, Conditions.of(condition))

    def _llr(self, score: float, conditions: Conditions) -> tuple[float | None, int | None]:
        calibration, number = self.llrs, None
        if self.calibration is not None and self._covers(conditions):
            calibration, number = self._calibrated, self.calibration.id
        if calibration is None:
            return None, None
        [llr] = calibration.llrs(score, conditions).tolist()
        return (None, None) if math.isnan(llr) else (llr, number)

    def shortage(
        self, net_speech_s: float | None, gallery_size: int = 1, score: float = math.inf
    ) -> Shortage | None:
        """Return the speech that a clip lacks for the target rate; None: not known, or none.

        It is measured for the model, and used also if a calibration of the site decides.
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

        ``telephone``: posterior that the speech came over one, 0 to 1.
        """
        if not self.points:
            return math.inf
        wideband = max(point.threshold for point in self.points)
        over_telephone = max(point.telephone_threshold for point in self.points)
        return wideband + telephone * (over_telephone - wideband)

    @property
    def _calibrated(self) -> Calibration | None:
        return None if self.calibration is None else self.calibration.calibration

    def _covers(self, conditions: Conditions) -> bool:
        """Whether the site's calibration is valid for a comparison."""
        return self._calibrated is not None and bool(self._calibrated.covers(conditions)[0])

    def _source(self, conditions: Conditions, fmr: float, of_search: str) -> str:
        """Return the source of the threshold of one comparison."""
        if isinstance(self.criterion, SetThreshold):
            return f"set by hand in {self.criterion.source}"
        beyond = ""
        if self.calibration is not None and self._covers(conditions):
            name = f"calibration {self.calibration.id}"
            if self.calibration.calibration.supports(fmr):
                return f"{name}, {of_search}FMR {percent(fmr)}"
            beyond = f"; {name} does not reach FMR {percent(fmr)}"
        return f"card {self.model}, {of_search}FMR {percent(fmr)}{beyond}"

    def _unavailable(
        self, condition: Condition, conditions: Conditions, fmr: float
    ) -> ThresholdUnavailable:
        """Return why a comparison has no threshold."""
        net_speech_s, level_dbfs = condition.net_speech_s, condition.level_dbfs
        if net_speech_s is None:
            return ThresholdUnavailable(
                "thresholds depend on the amount of speech, and it is not known for this vector",
                hint="Pass net_speech_s with the vector.",
            )
        if isinstance(self.criterion, SetThreshold):
            return ThresholdUnavailable(
                f"the threshold of {self.criterion.source} holds from"
                f" {self.criterion.steps[0][0]:g} s of net speech on, but the clip has"
                f" {net_speech_s:.2f} s",
                hint="Set a cosine for less speech too, or record a longer clip.",
            )
        if level_dbfs is not None and level_dbfs < self.min_level_dbfs:
            return ThresholdUnavailable(
                f"speech of {level_dbfs:.1f} dBFS is softer than {self.min_level_dbfs:g} dBFS,"
                f" below which {self.model} does not tell voices apart",
                hint="Raise the recording level; campplus does not depend on it.",
            )
        if self._calibrated is not None and self._covers(conditions):
            self._calibrated.llr_at(fmr)  # raises the reason: neither calibration nor card keeps it
        if not self.points:
            return ThresholdUnavailable(
                f"no thresholds were measured for {self.model}, so no rate can be kept",
                hint="Calibrate with your own recordings: `voiceid calibrate`.",
            )
        return self._beyond_card(net_speech_s, fmr)

    def _beyond_card(self, net_speech_s: float, fmr: float) -> ThresholdUnavailable:
        """Return why the card has no threshold for this much speech at this rate."""
        least_s = min(point.min_net_speech_s for point in self.points)
        if net_speech_s < least_s:
            return ThresholdUnavailable(
                f"the card of {self.model} has no threshold for {net_speech_s:.2f} s of net speech:"
                f" it was measured from {least_s:g} s on",
                hint=f"Record at least {least_s - net_speech_s:.1f} s more speech.",
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
    """Return which cosines can be thresholds: those from 0.1 on; neither NaN nor -inf."""
    return np.asarray(np.asarray(thresholds) >= LEAST_THRESHOLD)


def accepted(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which cosines are accepted: those that reach a plausible threshold.

    NaN is never accepted.
    """
    reached = np.asarray(scores) >= np.asarray(thresholds)
    return np.asarray(reached & is_plausible(thresholds))


def finite(score: float) -> float:
    """Return a cosine; raises ModelRuntimeError if it is not one."""
    if not math.isfinite(score):
        raise ModelRuntimeError(
            f"a comparison gave {score} instead of a cosine; no speaker was accepted",
            hint="Run `voiceid models verify` and `voiceid index rebuild`.",
        )
    return score


def percent(rate: float) -> str:
    """Return a rate, 0 to 1, in percent to three digits."""
    return f"{100.0 * rate:.3g} %"
