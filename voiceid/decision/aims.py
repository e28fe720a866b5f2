"""The target of a decision, and which level wins: the call, a group, or the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import numpy as np
import numpy.typing as npt

from voiceid.domain import Solo
from voiceid.errors import ConfigError

MAX_RATE = 0.5
"""A higher rate is not a target: it is no better than chance."""
LEAST_THRESHOLD = 0.1
"""A threshold below this does not tell voices apart: 47 % of strangers reach 0.1 with campplus (803
of 1711 pairs of 59 readers), and all of them with ge2e.  Such a threshold is never used."""
_COSINES = (LEAST_THRESHOLD, 1.0)
_PLAUSIBLE = "a threshold is a cosine between 0.1 and 1: below it strangers match"
_MARGINS = (0.0, 2.0)


@dataclass(frozen=True, slots=True)
class Target:
    """An error rate, above 0, at most 0.5: of a search (FPIR) or of one comparison (FMR)."""

    rate: float
    per_search: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.rate, Real) or not 0.0 < self.rate <= MAX_RATE:  # NaN is not
            raise ConfigError(
                f"a target {self.name} of {self.rate} is not above 0 and at most {MAX_RATE:g}",
                hint="Rates are fractions: 0.001, 1/1000 and 0.1% are one in a thousand.",
            )

    @property
    def name(self) -> str:
        """``FMR`` or ``FPIR``."""
        return "FPIR" if self.per_search else "FMR"

    def fmr(self, gallery_size: int) -> float:
        """Return the false match rate that one comparison may have, for a gallery of this size."""
        if not self.per_search:
            return self.rate
        from voiceid.metrics import fmr_for_fpir  # noqa: PLC0415 - half of a command's start

        return fmr_for_fpir(self.rate, max(gallery_size, 1))


@dataclass(frozen=True, slots=True)
class SetThreshold:
    """A threshold that was set by hand; raises `ConfigError` for values out of range.

    - `steps`: rising net speech in seconds, and the cosine, 0.1 to 1, that holds from there. One
      step from 0 holds for any amount of speech, also an unknown one.
    - `source`: who set it, for the answer: ``the call``, ``group vault``, ``the settings``.
    """

    steps: tuple[tuple[float, float], ...]
    source: str

    def __post_init__(self) -> None:
        for net_speech_s, cosine in self.steps:
            _require(cosine, _COSINES, "threshold", _PLAUSIBLE)
            _require(net_speech_s, (0.0, math.inf), "net speech", "seconds are 0 or more")
        starts = [net_speech_s for net_speech_s, _ in self.steps]
        if not starts or starts != sorted(set(starts)):
            raise ConfigError("a threshold by net speech needs rising amounts, each once")

    def cosines(self, net_speech_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the cosine (n,) for amounts of speech (n,), NaN where there is none."""
        starts, cosines = np.array(self.steps).T
        places = np.searchsorted(starts, np.nan_to_num(net_speech_s), side="right") - 1
        reached = np.where(places < 0, np.nan, cosines[places])
        depends = starts[0] > 0 or len(starts) > 1
        return np.where(np.isnan(net_speech_s) & depends, np.nan, reached)


@dataclass(frozen=True, slots=True)
class Aim:
    """The settings of one level (None: not set); raises `ConfigError` for values out of range.

    - `target_fmr`, `target_fpir`: above 0, at most 0.5; not together with a `threshold`.
    - `margin`: least lead over the runner-up of an identification, 0 to 2, in cosine.
    - `allow_replayed`: accept a recording that is itself enrolled.
    - `solo`: the result of an acceptance when several people speak.
    - `in_sequence`: it is one of several checks of the same turn; the rate holds for all together.
    """

    target_fmr: float | None = None
    target_fpir: float | None = None
    threshold: SetThreshold | None = None
    margin: float | None = None
    allow_replayed: bool | None = None
    solo: Solo | None = None
    in_sequence: bool | None = None

    def __post_init__(self) -> None:
        rates = [rate for rate in (self.target_fmr, self.target_fpir) if rate is not None]
        if self.threshold is not None and rates:
            raise ConfigError(
                "both a threshold and a target rate were given, but only one can decide",
                hint="Leave one out.",
            )
        for rate in rates:
            Target(rate)
        if self.margin is not None:
            hint = "A margin of 0 switches off the check for a close runner-up."
            _require(self.margin, _MARGINS, "margin", "a lead between two cosines is 0 to 2", hint)

    def criterion(self, *, per_search: bool) -> Target | SetThreshold | None:
        """Return the criterion of this level, for a search or one comparison; None: not set."""
        if self.threshold is not None:
            return self.threshold
        if per_search and self.target_fpir is not None:
            return Target(self.target_fpir, per_search=True)
        return None if self.target_fmr is None else Target(self.target_fmr)


def first_wish(
    levels: Sequence[Aim], *, per_search: bool
) -> tuple[int, Target | SetThreshold | None, float | None]:
    """Return the first level with a criterion (else their number), it, and the first margin."""
    margin = next((level.margin for level in levels if level.margin is not None), None)
    for number, level in enumerate(levels):
        if (criterion := level.criterion(per_search=per_search)) is not None:
            return number, criterion, margin
    return len(levels), None, margin


def threshold_by_hand(value: object, source: str) -> SetThreshold:
    """Return a threshold from a cosine, or from a mapping of net speech in seconds to cosines."""
    try:
        if isinstance(value, Mapping):
            pairs = [(_number(seconds), _number(cosine)) for seconds, cosine in value.items()]
            return SetThreshold(tuple(sorted(pairs)), source)
        return SetThreshold(((0.0, _number(value)),), source)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"a threshold of {value!r} is neither a cosine nor cosines by seconds of net speech",
            hint="Write 0.5, or {2: 0.6, 4: 0.5}: 0.6 from 2 s on, 0.5 from 4 s on.",
        ) from error


def rate_of(value: object, *, as_limit: bool = False) -> float:
    """Return a rate that is written as 0.005, ``1/200`` or ``0.5%``; raises ValueError.

    A target is above 0 and at most one half; a limit for measured rates is 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a rate")  # noqa: TRY004 - one error for all that is not a rate
    text = str(value).strip()
    scale = 100 if text.endswith("%") else 1
    try:
        rate = float(Fraction(text.removesuffix("%").strip()) / scale)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError("not a rate such as 0.005, 1/200 or 0.5%") from None
    if as_limit and not 0.0 <= rate <= 1.0:
        raise ValueError("not 0 to 1")
    if not as_limit and not 0.0 < rate <= MAX_RATE:
        raise ValueError(f"not above 0 and at most {MAX_RATE:g}")
    return rate


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError("far too large") from error


def _require(
    value: float, limits: tuple[float, float], name: str, reason: str, hint: str = ""
) -> None:
    is_number = isinstance(value, Real)  # NaN is in no range
    if not is_number or not limits[0] <= value <= limits[1] or math.isinf(value):
        raise ConfigError(f"{name} is {value}, and {reason}", hint=hint)
