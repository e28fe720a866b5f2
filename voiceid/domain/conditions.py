"""What is known of the two sides of a comparison, beside their vectors."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from voiceid.domain.speech import QualityReport


class Band(enum.StrEnum):
    """How the bandwidths of the two sides of a comparison go together (docs/accuracy.md)."""

    WIDEBAND = "wideband"
    """Both sides have more than a telephone's band."""
    NARROWBAND = "narrowband"
    """Neither side has more."""
    CROSSBAND = "crossband"
    """One side has more, and the other has not."""
    MIXEDBAND = "mixedband"
    """One side has samples of both kinds, and the other is no wideband clip."""


def band_of(one: float, other: float) -> Band:
    """Return the band of a comparison, from each side's share of narrowband samples, 0 to 1.

    ``mixedband``: one side is narrowband and the other has samples of both kinds, or both have.
    A side without narrowband samples makes anything but ``crossband`` ``wideband``.
    """
    low, high = min(one, other), max(one, other)
    if low == 0.0:
        return Band.CROSSBAND if high == 1.0 else Band.WIDEBAND
    return Band.NARROWBAND if low == 1.0 else Band.MIXEDBAND


Shares: TypeAlias = tuple[float, float]
"""The least and the most that a side's share of narrowband samples can be, 0 to 1."""


def shares_of(n_samples: int, n_narrowband: int, n_uncertain: int) -> Shares:
    """Return the shares of a side's samples, of which some are narrowband and some may be.

    Samples in doubt are taken to be like the certain ones beside them, where there are any: a
    speaker's samples mostly come from one line, and one noisy sample among them must not send the
    speaker away.  A clip by itself, and a side that is all in doubt, can be either.
    """
    n_certain = n_samples - n_uncertain
    if n_certain == 0:
        return 0.0, 1.0
    share = min(1.0, n_narrowband / n_certain)
    return share, share


def shares_among(narrowband: Sequence[bool | None]) -> Shares:
    """Return the shares of samples of which each is narrowband, is not, or may be (None)."""
    return shares_of(len(narrowband), narrowband.count(True), narrowband.count(None))


def bands_of(one: Shares, other: Shares) -> tuple[Band, ...]:
    """Return the bands that a comparison can have: one, or more where a side is in doubt."""
    possible = {band_of(of_one, of_other) for of_one in one for of_other in other}
    return tuple(band for band in Band if band in possible)


@dataclass(frozen=True, slots=True)
class Condition:
    """On what a threshold depends: how much speech there is on either side, and its band.

    - `bands`: that the comparison can have, in the order of `Band`; the strictest decides.
    - `net_speech_s`, `snr_db`: of the clip; None when it is not known.
    - `enrolled_speech_s`, `n_enrolled`: of all the samples that it is compared with.
    - `level_dbfs`: RMS level of the softest speech that is known of, or None.
    """

    bands: tuple[Band, ...]
    net_speech_s: float | None
    snr_db: float | None
    enrolled_speech_s: float
    n_enrolled: int
    level_dbfs: float | None = None

    @classmethod
    def of(cls, clip: QualityReport, enrolled: Sequence[QualityReport]) -> Condition:
        """Return the condition of a comparison of a clip with the centroid of others."""
        return cls.of_joined([clip], enrolled)

    @classmethod
    def of_joined(
        cls, clips: Sequence[QualityReport], enrolled: Sequence[QualityReport]
    ) -> Condition:
        """Return the condition of clips, taken as one, against the centroid of others."""
        of_clips, of_enrolled = (
            shares_among([quality.narrowband for quality in side]) for side in (clips, enrolled)
        )
        snrs_db = [quality.snr_db for quality in clips]
        levels_dbfs = [quality.level_dbfs for quality in (*clips, *enrolled)]
        return cls(
            bands=bands_of(of_clips, of_enrolled),
            net_speech_s=sum(quality.net_speech_s for quality in clips),
            snr_db=min((snr for snr in snrs_db if snr is not None), default=None),
            enrolled_speech_s=sum(quality.net_speech_s for quality in enrolled),
            n_enrolled=len(enrolled),
            level_dbfs=min((level for level in levels_dbfs if level is not None), default=None),
        )

    @classmethod
    def of_two(cls, one: QualityReport, other: QualityReport) -> Condition:
        """Return the condition of two clips: the one with less speech is the clip."""
        clip, enrolled = sorted((one, other), key=lambda quality: quality.net_speech_s)
        return cls.of(clip, [enrolled])
