"""Which threshold and which margin decide, and where they come from.  Pure.

A threshold is never a constant of the code: it is a flag, a setting, or an operating
point that was measured for the model at an amount of net speech.  Where none of these can
be had, :class:`ThresholdUnavailable` is raised, and nobody is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from voiceid.domain import Threshold
from voiceid.errors import ConfigError, ThresholdUnavailable


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold measured for a model, for clips of at least so much net speech.

    Parameters
    ----------
    min_net_speech_s : float
        The point holds from this net speech on, up to the next point.
    threshold : float
        Cosine from which a clip is accepted.
    fmr, fnmr : float
        False match and false non-match rate measured at ``threshold``, 0 to 1
        (ISO/IEC 19795-1), over ``impostor_trials`` and ``genuine_trials`` comparisons.
    impostor_trials, genuine_trials : int
    """

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
    narrowband_points : sequence of OperatingPoint
        For narrowband speech against narrowband enrolments.
    margin : float
        Least lead over the runner-up, in cosine, for an identification to be accepted.
    fixed : Threshold or None
        Wins over the points, whatever the net speech.
    """

    model: str
    points: Sequence[OperatingPoint]
    narrowband_points: Sequence[OperatingPoint]
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

    def threshold(self, net_speech_s: float, *, narrowband: bool) -> Threshold:
        """Return the threshold for a comparison.

        Parameters
        ----------
        net_speech_s : float
            Of the clip, in seconds.
        narrowband : bool
            Whether the clip *and* what it is compared with have a telephone's bandwidth.
            Voices are far more alike then: what lets in one stranger in two thousand
            otherwise lets in one in twenty (docs/accuracy.md).

        Raises
        ------
        ThresholdUnavailable
            The card has no operating point for such speech, or for so little of it.
        """
        if self.fixed is not None:
            return self.fixed
        points = self.narrowband_points if narrowband else self.points
        reached = [p for p in points if net_speech_s >= p.min_net_speech_s]
        if not reached:
            raise ThresholdUnavailable(
                f"the card of {self.model} has no operating point for"
                f" {net_speech_s:.2f} s of net speech{', narrowband' if narrowband else ''}"
            )
        point = max(reached, key=lambda p: p.min_net_speech_s)
        kind = "narrowband, " if narrowband else ""
        return Threshold(
            point.threshold,
            f"card {self.model}, {kind}net speech >= {point.min_net_speech_s:g} s",
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
