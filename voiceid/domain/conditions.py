"""The facts on the two sides of a comparison, beside their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voiceid.domain.speech import QualityReport


def telephone_share(telephone: Sequence[float | None]) -> float:
    """Return the mean of posteriors, 0 to 1, that samples came over a telephone; unknown is 1.

    On a telephone strangers are more alike, and thresholds are higher: in doubt the higher is used.
    """
    return sum(1.0 if posterior is None else posterior for posterior in telephone) / len(telephone)


@dataclass(frozen=True, slots=True)
class Condition:
    """The facts that a threshold depends on: the speech on each side, and its line.

    - `net_speech_s`, `snr_db`: of the clip; None if not known.
    - `enrolled_speech_s`, `n_enrolled`: of all samples that it is compared with.
    - `telephone`: whether both sides came over a telephone, 0 to 1: the product of their shares.
    - `level_dbfs`: RMS level of the softest speech, or None if not known.
    """

    net_speech_s: float | None
    snr_db: float | None
    enrolled_speech_s: float
    n_enrolled: int
    telephone: float
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
        shares = [telephone_share([q.telephone for q in side]) for side in (clips, enrolled)]
        snrs_db = [quality.snr_db for quality in clips]
        levels_dbfs = [quality.level_dbfs for quality in (*clips, *enrolled)]
        return cls(
            net_speech_s=sum(quality.net_speech_s for quality in clips),
            snr_db=min((snr for snr in snrs_db if snr is not None), default=None),
            enrolled_speech_s=sum(quality.net_speech_s for quality in enrolled),
            n_enrolled=len(enrolled),
            telephone=shares[0] * shares[1],
            level_dbfs=min((level for level in levels_dbfs if level is not None), default=None),
        )

    @classmethod
    def of_two(cls, first: QualityReport, second: QualityReport) -> Condition:
        """Return the condition of two clips: the one with less speech counts as the probe."""
        clip, enrolled = sorted((first, second), key=lambda quality: quality.net_speech_s)
        return cls.of(clip, [enrolled])
