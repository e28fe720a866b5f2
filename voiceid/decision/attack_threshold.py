"""The score from which a countermeasure takes a clip for bona fide: for live speech."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voiceid.decision.aims import MAX_RATE


@dataclass(frozen=True, slots=True)
class AttackThreshold:
    """A threshold on the scores of a countermeasure, and what it was fitted to.

    - `value`: a clip with at least this score is bona fide.
    - `target_bpcer`: share of bona fide clips that may be taken for attacks (ISO/IEC 30107-3).
    - `bona_fide`, `attacks`: clips, counted.
    - `source`: the file or folder that they were read from.
    """

    value: float
    target_bpcer: float
    bona_fide: int
    attacks: int
    source: str

    @property
    def fault(self) -> str | None:
        """The first field that is not valid, in a sentence, or None."""
        if not math.isfinite(self.value):
            return f"value is {self.value}, and must be a finite number"
        if not 0.0 < self.target_bpcer <= MAX_RATE:
            return f"target_bpcer is {self.target_bpcer}, and must be above 0, to {MAX_RATE:g}"
        if self.bona_fide < 1 or self.attacks < 1:
            return "it was fitted to no bona fide clips, or to no attacks"
        return None

    def is_bona_fide(self, score: float) -> bool:
        """Whether a clip of this score is taken for bona fide; NaN is not."""
        return score >= self.value
