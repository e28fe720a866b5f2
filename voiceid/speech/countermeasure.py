"""Whether a clip is bona fide, by a detector of attacks that was added here.

The program has no detector of its own: public ones find the attacks of the corpus that they were
trained on, and few others (docs/attacks.md).
"""

from __future__ import annotations

import math
from typing import Self

from voiceid.decision.attack_threshold import AttackThreshold
from voiceid.domain import Float32Array
from voiceid.errors import ModelRuntimeError, ModelUnknown, ThresholdUnavailable
from voiceid.models.cards import ModelCard
from voiceid.models.frontends import of_length
from voiceid.models.providers import EngineOptions
from voiceid.models.runtime import Session
from voiceid.models.status import InstalledModel


class Countermeasure:
    """Scores speech: higher is more bona fide.  Safe to share among threads.

    - `session`: ``waveform`` (N, samples) in, ``score`` (N,) out.
    """

    def __init__(self, card: ModelCard, session: Session) -> None:
        self.name, self._threshold = card.name, card.attack_threshold
        self._session, self._n_samples = session, session.size("waveform", 1)

    @classmethod
    def open(cls, card: ModelCard, installed: InstalledModel, engine: EngineOptions) -> Self:
        """Load the installed model; see :meth:`voiceid.models.runtime.Session.open`."""
        require_countermeasure(card)
        session = Session.open(
            installed.path,
            inputs={"waveform": 2},
            outputs=["score"],
            sha256=installed.sha256,
            engine=engine,
        )
        return cls(card, session)

    @property
    def threshold(self) -> AttackThreshold:
        """The threshold that was fitted to attacks; raises ThresholdUnavailable."""
        if self._threshold is None:
            raise ThresholdUnavailable(
                f"the countermeasure {self.name} has no threshold, so nothing is accepted",
                hint=f"Fit one to recordings with attacks: `voiceid calibrate LIST --countermeasure"
                f" {self.name}`; or take `countermeasure` out of the settings.",
            )
        return self._threshold

    def score(self, speech: Float32Array) -> float:
        """Return the score of speech (n,) at 16 kHz, -1 to 1; raises ModelRuntimeError."""
        [score] = self._session.run({"waveform": of_length(speech, self._n_samples)[None]})
        if score.size != 1 or not math.isfinite(score.item()):
            raise ModelRuntimeError(
                f"the countermeasure {self.name} gave a value that is not a score",
                hint=f"Run `voiceid models verify {self.name}`.",
            )
        return float(score.item())


def require_countermeasure(card: ModelCard) -> None:
    """Raise ModelUnknown unless the card is of a countermeasure."""
    if card.kind != "countermeasure":
        raise ModelUnknown(
            f"{card.name} is a model of the kind {card.kind}, not a countermeasure",
            hint="Add one: `voiceid models add FILE.onnx --kind countermeasure`.",
        )
