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

from voiceid.decision.aims import LEAST_THRESHOLD, SetThreshold, Target
from voiceid.decision.calibration import (
    BANDS,
    Calibration,
    Conditions,
    Floats,
    StoredCalibration,
    trials_needed,
)
from voiceid.domain import Condition, Threshold
from voiceid.errors import ThresholdUnavailable

DEFAULT_FMR = 0.001
"""The false match rate that is aimed at by default: one stranger in a thousand."""
_DEFAULT = Target(DEFAULT_FMR)


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
        False match and false non-match rate measured at ``threshold``, 0 to 1 (ISO/IEC 19795-1),
        over ``impostor_trials`` and ``genuine_trials`` comparisons.
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

    def serves(self, fmr: float) -> bool:
        """Whether it was chosen for this false match rate, or for a stricter one."""
        return self.target_fmr <= fmr * (1.0 + 1e-9)  # forgiven the rounding of its arithmetic


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """What decides: a calibration wherever it can speak, else operating points, at a target.

    - `margin`: least lead over the runner-up, in cosine, for an identification to be accepted.
    - `min_level_dbfs`: softer speech than this has no threshold: nothing was measured on it.
    - `criterion`: None: the rate that was asked for with the calibration, or `DEFAULT_FMR`.
    """

    model: str
    points: Sequence[OperatingPoint]
    margin: float
    calibration: StoredCalibration | None = None
    criterion: Target | SetThreshold | None = None
    min_level_dbfs: float = -math.inf

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

    def threshold(self, condition: Condition, gallery_size: int = 1) -> Threshold:
        """Return the threshold, and where it is from; raises `ThresholdUnavailable`.

        A target FPIR depends on ``gallery_size``: how many speakers are searched.
        """
        given, aim = Conditions.of(condition), self.aim
        fmr = aim.fmr(gallery_size)
        values = self._thresholds(given, fmr)
        # Of the bands in doubt the strictest: one without a threshold, else the highest.
        strictest = int(np.argmax(values))
        given, value = given.rows(slice(strictest, strictest + 1)), float(values[strictest])
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
        return Threshold(value, self._source(given, fmr, of_search))

    def thresholds(self, given: Conditions, gallery_size: int = 1) -> Floats:
        """Return the threshold (n,) of each comparison, NaN where there is none."""
        fmr = self.aim.fmr(gallery_size)
        needed = np.max([self._thresholds(g, fmr) for g in given.by_band()], axis=0)
        return np.where(is_plausible(needed), needed, math.nan)

    def _thresholds(self, given: Conditions, fmr: float) -> Floats:
        if isinstance(self.criterion, SetThreshold):
            return self.criterion.cosines(given.net_speech_s)
        values = np.array([*(point.threshold for point in self.points), math.nan])
        needed = values[self._places(given, fmr)]
        if self._reaches(fmr) and self._calibrated is not None:
            calibrated = self._calibrated.cosines(self._calibrated.llr_at(fmr), given)
            needed = np.where(self._covers(given), calibrated, needed)
        if given.level_dbfs is not None:
            needed[given.level_dbfs < self.min_level_dbfs] = math.nan  # NaN is not below
        return needed

    def llr(self, score: float, condition: Condition) -> float | None:
        """Return the log-likelihood ratio of a score, of bands in doubt the lowest; None without.

        The calibration has none for bands and amounts of speech that it has not heard.
        """
        if self._calibrated is None:
            return None
        llr = float(np.min(self._calibrated.llrs(score, Conditions.of(condition))))
        return llr if math.isfinite(llr) else None

    @property
    def _calibrated(self) -> Calibration | None:
        return None if self.calibration is None else self.calibration.calibration

    def _covers(self, given: Conditions) -> npt.NDArray[np.bool_]:
        """Return for which comparisons (n,) the calibration makes the threshold."""
        if self._calibrated is None:
            return np.zeros(len(given.band), dtype=bool)
        return self._calibrated.covers(given)

    def _reaches(self, fmr: float) -> bool:
        """Whether the trials behind the calibration support a rate."""
        return self._calibrated is not None and self._calibrated.supports(fmr)

    def _places(self, given: Conditions, fmr: float) -> npt.NDArray[np.int64]:
        """Return the place (n,) in `points` of the point that holds; -1: there is none."""
        places = np.full(len(given.band), -1)
        for number, band in enumerate(BANDS):
            rows = given.band == number
            if not rows.any():
                continue
            steps: dict[float, list[int]] = {}
            for place, point in enumerate(self.points):
                if point.band == band:
                    steps.setdefault(point.min_net_speech_s, []).append(place)
            for least_s in sorted(steps):
                usable = [i for i in steps[least_s] if self.points[i].serves(fmr)]
                loosest = max(usable, key=lambda i: self.points[i].target_fmr, default=-1)
                places[rows & (given.net_speech_s >= least_s)] = loosest
        return places

    def _source(self, given: Conditions, fmr: float, of_search: str) -> str:
        """Return where the threshold of one comparison is from."""
        if isinstance(self.criterion, SetThreshold):
            return f"set by hand in {self.criterion.source}"
        beyond = ""
        if self.calibration is not None and self._covers(given)[0]:
            name = f"calibration {self.calibration.id}"
            if self._reaches(fmr):
                return f"{name}, {of_search}FMR {percent(fmr)}"
            beyond = f"; {name} does not reach FMR {percent(fmr)}"
        point = self.points[int(self._places(given, fmr)[0])]
        return (
            f"card {self.model}, {point.band}, net speech >= {point.min_net_speech_s:g} s,"
            f" {of_search}FMR {percent(point.target_fmr)}{beyond}"
        )

    def _unavailable(
        self, condition: Condition, given: Conditions, fmr: float
    ) -> ThresholdUnavailable:
        """Return why a comparison has no threshold, ``given`` one of its bands."""
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
        if self._calibrated is not None and self._covers(given)[0]:
            self._calibrated.llr_at(fmr)  # raises the reason: neither it nor the card reaches it
        band = BANDS[given.band[0]].value
        what = f"{net_speech_s:.2f} s of net speech, {band}"
        steps = [p for p in self.points if p.band == band and net_speech_s >= p.min_net_speech_s]
        if not steps:
            return ThresholdUnavailable(
                f"the card of {self.model} has no operating point for {what}"
            )
        longest = max(p.min_net_speech_s for p in steps)
        least = min(p.target_fmr for p in steps if p.min_net_speech_s == longest)
        return ThresholdUnavailable(
            f"a false match rate of {fmr:.3g} takes {trials_needed(fmr)} impostor trials, and"
            f" the card of {self.model} was measured down to {least:g} for {what}",
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


def percent(rate: float) -> str:
    """Return a rate, 0 to 1, in percent to three digits."""
    return f"{100.0 * rate:.3g} %"
