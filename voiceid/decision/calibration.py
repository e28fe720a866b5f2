"""A calibration: from a score to a log-likelihood ratio, and to the threshold for a target.  Pure.

The LLR is linear in the cosine and in quality measures of both sides (Mandasari et al., IEEE TASLP
21, 2013), with weights fitted by logistic regression (Brümmer and du Preez 2006).  There is no LLR
for lines and amounts of speech that were not in the fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import Condition
from voiceid.errors import ThresholdUnavailable

Floats: TypeAlias = npt.NDArray[np.float64]

FEATURES: Mapping[str, tuple[str, ...]] = {
    "speech": ("ln_net_speech", "ln_enrolled_speech"),
    "line": ("telephone",),
    "samples": ("ln_n_enrolled",),
    "snr": ("snr_10db",),
}
"""The quality measures, by topic."""
_CLEAN_DB = 30.0
"""An SNR above this makes no difference; a clip that is all speech counts as this."""
_SHORTEST_S = 0.1
"""Least speech of which a logarithm is taken: shorter speech is not embedded."""
_NEAR = 0.25
"""How far `Condition.telephone` may be above the highest value in a fit."""
LIKELY = 0.5
"""Share from which a comparison counts as one with a telephone on both sides, where a yes or no is
needed: in tables, and to count the trials of a fit."""
_LARGEST = 1e6
"""Far above every number of a real fit: LLRs, slopes, weights and quality measures."""
_LEAST_SLOPE = 1e-9
"""With a smaller one thresholds would not be finite."""
TRIALS_PER_ERROR = 3.0
"""The rule of three: a rate takes three times as many trials as its inverse to be supported."""


def trials_needed(rate: float) -> int:
    """Return how many impostor trials support a false match rate, by the rule of three."""
    return math.ceil(TRIALS_PER_ERROR / rate * (1.0 - 1e-12))  # not one more for rounding


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """The fields of a `Condition` for many comparisons: arrays (n,).

    `snr_db` and `level_dbfs` are NaN where they are not known, and all of `level_dbfs` may be None.
    """

    net_speech_s: Floats
    snr_db: Floats
    enrolled_speech_s: Floats
    n_enrolled: Floats
    telephone: Floats
    level_dbfs: Floats | None = None

    @classmethod
    def of(cls, condition: Condition) -> Conditions:
        """Return the conditions of one comparison."""
        facts = {field.name: getattr(condition, field.name) for field in fields(cls)}
        columns = {k: math.nan if fact is None else float(fact) for k, fact in facts.items()}
        return cls(**{key: np.array([fact]) for key, fact in columns.items()})

    @classmethod
    def joined(cls, parts: Sequence[Conditions]) -> Conditions:
        """Return the conditions of all parts, without levels: they may be unknown in some parts."""
        names = [field.name for field in fields(cls) if field.name != "level_dbfs"]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.net_speech_s)

    def rows(self, chosen: npt.NDArray[Any] | slice) -> Conditions:
        """Return the conditions of some of the comparisons."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{k: v[chosen] for k, v in columns.items() if v is not None})

    def feature(self, name: str) -> Floats:
        """Return a quality measure (n,) of these comparisons; see `FEATURES`."""
        if name == "ln_net_speech":
            return _ln(self.net_speech_s, _SHORTEST_S)
        if name == "ln_enrolled_speech":
            return _ln(self.enrolled_speech_s, _SHORTEST_S)
        if name == "ln_n_enrolled":
            return _ln(self.n_enrolled, 1.0)
        if name == "telephone":
            return self.telephone
        known = np.where(np.isnan(self.snr_db), _CLEAN_DB, self.snr_db)
        return np.asarray(np.clip(known, 0.0, _CLEAN_DB) / 10.0)


@dataclass(frozen=True, slots=True)
class Weight:
    """The weight of a quality measure, and its range in the fit: values outside are clamped."""

    feature: str
    weight: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CalibratedPoint:
    """The error rates at an LLR, measured on speakers that were not in the fit.

    Parameters
    ----------
    fmr : float
        False match rate aimed at, 0 to 1.
    llr : float
        The LLR from which a comparison is accepted for it.
    fmr_bounds, fnmr_bounds : (low, high)
        95 %, by a bootstrap over speakers, or by the rule of three where no trial is an error.
    fnmr : float
        False non-match rate measured there, 0 to 1.
    """

    fmr: float
    llr: float
    fmr_bounds: tuple[float, float]
    fnmr: float
    fnmr_bounds: tuple[float, float]

    @classmethod
    def of_dict(cls, facts: Mapping[str, Any]) -> CalibratedPoint:
        """Return the point of its fields; raises the errors of `Calibration.of_dict`."""
        numbers = {name: _number(facts[name]) for name in ("fmr", "llr", "fnmr")}
        (low, high), (least, most) = facts["fmr_bounds"], facts["fnmr_bounds"]
        bounds = (_number(low), _number(high)), (_number(least), _number(most))
        return cls(**numbers, fmr_bounds=bounds[0], fnmr_bounds=bounds[1])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The quality of LLRs on speakers that were not in their fit.

    Parameters
    ----------
    speakers, genuine, impostor : int
        Speakers and trials.
    eer, cllr, min_cllr : float
        Equal error rate, 0 to 1; the cost of the LLRs in bits, and the least that keeping their
        order allows.
    act_dcf, min_dcf : mapping of str to float
        Normalized detection costs by prior: of believing the LLRs, and the least.
    """

    speakers: int
    genuine: int
    impostor: int
    eer: float
    cllr: float
    min_cllr: float
    act_dcf: Mapping[str, float]
    min_dcf: Mapping[str, float]

    @classmethod
    def of_dict(cls, facts: Mapping[str, Any]) -> HeldOut:
        """Return the measures of their fields; raises the errors of `Calibration.of_dict`."""
        act_dcf, min_dcf = (
            {prior: _number(cost) for prior, cost in facts[name].items()}
            for name in ("act_dcf", "min_dcf")
        )
        return cls(
            speakers=int(facts["speakers"]),
            genuine=int(facts["genuine"]),
            impostor=int(facts["impostor"]),
            eer=_number(facts["eer"]),
            cllr=_number(facts["cllr"]),
            min_cllr=_number(facts["min_cllr"]),
            act_dcf=act_dcf,
            min_dcf=min_dcf,
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """A map from scores to LLRs, and the LLR for each false match rate that is supported.

    Parameters
    ----------
    slope, intercept : float
        ``llr = slope * score + intercept + sum of weights * quality measures``.
    telephone : (low, high)
        The range of `Condition.telephone` in the fit, 0 to 1.
    min_net_speech_s : float
        The net speech of the shortest clip in the fit.
    points : tuple of CalibratedPoint
        The highest rate first.
    impostor_trials : int
        The number of impostor trials behind the points.
    """

    slope: float
    intercept: float
    weights: tuple[Weight, ...]
    telephone: tuple[float, float]
    min_net_speech_s: float
    points: tuple[CalibratedPoint, ...]
    impostor_trials: int

    def covers(self, conditions: Conditions) -> npt.NDArray[np.bool_]:
        """Return for which comparisons it is valid, (n,)."""
        # Strangers are less alike without a telephone: then the fit is on the stricter side.
        heard = conditions.telephone <= self.telephone[1] + _NEAR
        return np.asarray(heard & (conditions.net_speech_s >= self.min_net_speech_s))

    def llrs(self, scores: npt.ArrayLike, conditions: Conditions) -> Floats:
        """Return the LLRs (n,), natural logarithms, of cosines (n,); NaN where there is none."""
        llrs = self.slope * np.asarray(scores, dtype=np.float64) + self._shift(conditions)
        return np.where(self.covers(conditions), llrs, np.nan)

    def cosines(self, llr: float | Floats, conditions: Conditions) -> Floats:
        """Return the cosine (n,), maybe beyond -1 to 1, of an LLR; NaN where there is none."""
        cosines = (np.asarray(llr) - self._shift(conditions)) / self.slope
        return np.where(self.covers(conditions), cosines, np.nan)

    @property
    def least_fmr(self) -> float:
        """The lowest false match rate that the trials behind it support."""
        return self.points[-1].fmr

    def supports(self, fmr: float) -> bool:
        """Whether the trials behind it support a false match rate."""
        return fmr >= self.least_fmr * (1.0 - 1e-9)  # interpolated rates are rounded

    def llr_at(self, fmr: float) -> float:
        """Return the LLR to accept from at a false match rate, interpolated in its logarithm.

        Raises `ThresholdUnavailable`: the trials behind the calibration are too few to tell.
        """
        if not self.supports(fmr):
            needed = trials_needed(fmr)
            raise ThresholdUnavailable(
                f"a false match rate of {fmr:.3g} takes {needed} impostor trials, and the"
                f" calibration has {self.impostor_trials}",
                hint="Calibrate with more recordings of more speakers, or accept a higher rate.",
            )
        rates = np.log([point.fmr for point in reversed(self.points)])
        llrs = [point.llr for point in reversed(self.points)]
        return float(np.interp(math.log(fmr), rates, llrs))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, in full precision."""
        return asdict(self)

    @classmethod
    def of_dict(cls, facts: Mapping[str, Any]) -> Calibration:
        """Return the calibration of `to_dict`; raises ValueError, KeyError or TypeError."""
        if facts.get("normalization") is not None:  # fitted on other scores than cosines
            raise ValueError("the calibration is of normalised scores")
        numbers = {key: _number(facts[key]) for key in ("slope", "intercept", "min_net_speech_s")}
        telephone = tuple(float(share) for share in facts["telephone"])
        if len(telephone) != 2 or not 0.0 <= telephone[0] <= telephone[1] <= 1.0:  # noqa: PLR2004
            raise ValueError("telephone is not a range of shares within 0 to 1")
        calibration = cls(
            **numbers,
            weights=tuple(
                Weight(
                    weight["feature"], *(_number(weight[key]) for key in ("weight", "low", "high"))
                )
                for weight in facts["weights"]
            ),
            telephone=telephone,
            points=tuple(CalibratedPoint.of_dict(point) for point in facts["points"]),
            impostor_trials=int(facts["impostor_trials"]),
        )
        known = {name for names in FEATURES.values() for name in names}
        if calibration.slope < _LEAST_SLOPE or any(w.low > w.high for w in calibration.weights):
            raise ValueError("the slope of the calibration is too small, or a range is empty")
        unknown = {weight.feature for weight in calibration.weights} - known
        if unknown or not calibration.points:
            raise ValueError("a quality measure is not known, or there is no point")
        if not _ordered(calibration.points):
            raise ValueError("the points of the calibration are out of order")
        if trials_needed(calibration.least_fmr) > calibration.impostor_trials:
            raise ValueError("the trials of the calibration do not support its points")
        return calibration

    def _shift(self, conditions: Conditions) -> Floats:
        shift = np.full(len(conditions), self.intercept)
        for weight in self.weights:
            values = np.clip(conditions.feature(weight.feature), weight.low, weight.high)
            shift += weight.weight * values
        return shift


def _number(value: Any) -> float:
    """Return a number; raises ValueError for one that is not finite, or too large."""
    number = float(value)
    if not abs(number) <= _LARGEST:
        raise ValueError("a number of the calibration is not finite, or too large")
    return number


def _ln(values: Floats, least: float) -> Floats:
    return np.asarray(np.log(np.maximum(values, least)))


def _ordered(points: Sequence[CalibratedPoint]) -> bool:
    rates = [point.fmr for point in points]
    llrs = [point.llr for point in points]
    falling = all(a > b for a, b in itertools.pairwise(rates))
    return falling and llrs == sorted(llrs) and rates[-1] > 0.0 and rates[0] <= 1.0


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """A calibration of a database.

    Parameters
    ----------
    id : int
        Never used again after removal.
    space_id : str
        The only embedding space whose scores it is for.
    created_at : datetime
        UTC.
    source : str
        The file or folder that it was fitted to.
    target_fmr : float or None
        The false match rate that was asked for with it, 0 to 1.
    in_use : bool
        Whether decisions in that space are made with it.
    """

    id: int
    space_id: str
    created_at: datetime
    source: str
    target_fmr: float | None
    in_use: bool
    calibration: Calibration
    held_out: HeldOut

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}
