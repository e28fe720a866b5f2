"""The threshold of a countermeasure, from bona fide recordings and attacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from voiceid.decision.aims import MAX_RATE
from voiceid.decision.attack_threshold import AttackThreshold
from voiceid.decision.calibration import trials_needed
from voiceid.decision.rule import percent
from voiceid.errors import AudioError, ConfigError, FitRefused
from voiceid.evaluation.attacks import speaker_numbers
from voiceid.evaluation.bounds import Bools, Floats, rate_by_speaker
from voiceid.evaluation.protocol import Recording
from voiceid.metrics import Rate
from voiceid.models.runtime import in_order
from voiceid.speech.countermeasure import Countermeasure
from voiceid.speech.embedder import Embedder


@dataclass(frozen=True, slots=True)
class CountermeasureFit:
    """A threshold, and its rates on the recordings that it was fitted to.

    Parameters
    ----------
    threshold : AttackThreshold
        It is on the card of the countermeasure.
    bpcer : Rate
        Of the bona fide recordings that it was fitted to: on others it may be higher.
    apcer : mapping of str to Rate
        By species of the attacks; it was not fitted to them.
    """

    threshold: AttackThreshold
    bpcer: Rate
    apcer: Mapping[str, Rate]

    @classmethod
    def of(
        cls, recordings: Sequence[Recording], scores: Floats, target_bpcer: float, source: str
    ) -> Self:
        """Return the highest threshold that keeps a BPCER, and its rates; raises FitRefused.

        - `scores` (r,): of the recordings; NaN for those that could not be heard.
        """
        known = np.isfinite(scores)
        species = np.array([recording.attack for recording in recordings])
        bona_fide = np.sort(scores[known & (species == "")])
        attacks = scores[known & (species != "")]
        _require_told_apart(bona_fide, attacks, target_bpcer)
        value = float(bona_fide[int(target_bpcer * len(bona_fide) * (1 + 1e-12))])
        numbers, passed = speaker_numbers(recordings), scores >= value

        def rate(chosen: Bools, wrong: Bools) -> Rate:
            return rate_by_speaker(wrong[chosen], numbers[chosen])

        return cls(
            AttackThreshold(value, target_bpcer, len(bona_fide), len(attacks), source),
            rate(known & (species == ""), ~passed),
            {
                str(name): rate(known & (species == name), passed)
                for name in np.unique(species[known & (species != "")])
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        return {
            "threshold": asdict(self.threshold),
            "bpcer": self.bpcer.to_dict(),
            "apcer": {name: rate.to_dict() for name, rate in self.apcer.items()},
        }


def fitted(
    detector: Countermeasure,
    embedder: Embedder,
    recordings: Sequence[Recording],
    target_bpcer: float,
    source: str,
    tell: Callable[[int, int], None],
) -> CountermeasureFit:
    """Hear recordings, and return the threshold that keeps a BPCER on them; raises FitRefused.

    - `tell`: receives the number of recordings that were heard, and the total.
    """
    if not 0.0 < target_bpcer <= MAX_RATE:
        raise ConfigError(f"a BPCER of {target_bpcer} is not above 0 and at most {MAX_RATE:g}")

    def score(recording: Recording) -> float:
        try:
            speech = embedder.speech(recording.path)
        except AudioError:
            return np.nan
        return detector.score(speech) if len(speech) >= embedder.min_samples else np.nan

    scores = np.empty(len(recordings))
    for i, value in enumerate(in_order(score, recordings, embedder.workers)):
        scores[i] = value
        tell(i + 1, len(recordings))
    return CountermeasureFit.of(recordings, scores, target_bpcer, source)


def _require_told_apart(bona_fide: Floats, attacks: Floats, target_bpcer: float) -> None:
    needed = trials_needed(target_bpcer)
    if len(bona_fide) < needed or not len(attacks):
        raise FitRefused(
            f"there are {len(bona_fide)} bona fide clips and {len(attacks)} attacks, but a BPCER of"
            f" {percent(target_bpcer)} takes {needed} bona fide clips, and attacks",
            hint="Add recordings; the column `attack` names the species of an attack. Or ask for a"
            " higher --target-bpcer.",
        )
    if np.median(attacks) >= np.median(bona_fide):
        raise FitRefused(
            f"half of the attacks have a score of {np.median(attacks):.4g} or more, and half of the"
            f" bona fide clips {np.median(bona_fide):.4g} or less: it does not tell them apart",
            hint="A higher score must be more bona fide: export it with the other sign, or use"
            " another network.",
        )
