"""Which threshold and which margin decide, and where they come from.  Pure.

A threshold is never a constant of the code: it is a flag, a setting, or an operating
point that was measured for the model at an amount of net speech.  Where none of these can
be had, :class:`ThresholdUnavailable` is raised, and nobody is accepted.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from voiceid.domain import Threshold
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
    """

    band: str
    min_net_speech_s: float
    threshold: float
    fmr: float
    fnmr: float
    impostor_trials: int
    genuine_trials: int


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
    """

    model: str
    points: Sequence[OperatingPoint]
    margin: float
    fixed: Threshold | None = None

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
            p for p in self.points if p.band == band.value and net_speech_s >= p.min_net_speech_s
        ]
        if not reached:
            raise ThresholdUnavailable(
                f"the card of {self.model} has no operating point for"
                f" {net_speech_s:.2f} s of net speech, {band.value}"
            )
        point = max(reached, key=lambda p: p.min_net_speech_s)
        return Threshold(
            point.threshold,
            f"card {self.model}, {band.value}, net speech >= {point.min_net_speech_s:g} s",
        )


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
