"""The rules of a decision, as the database has them at that moment.

The adaptation in use moves both sides of a comparison into its own space.  The calibration in use
there makes the threshold, unless the call, the group or the settings give another.  All of it is
read in the transaction that decides, and nothing is kept for the next decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from voiceid.decision.adaptation import StoredAdaptation, adapted_space
from voiceid.decision.aims import Aim, SetThreshold, first_wish
from voiceid.decision.rule import DecisionRule
from voiceid.decision.transforms import Transform
from voiceid.domain import Candidate, Embedding, EmbeddingSpace, Enrolled, Solo
from voiceid.errors import StoreError, ThresholdUnavailable

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.reader import Reader

NO_AIM = Aim()


@dataclass(frozen=True, slots=True)
class BackEnd:
    """The comparison of embeddings in one space, and the rules that decide."""

    space: EmbeddingSpace  # the model's, or an adapted one
    transform: Transform | None  # from the model's space to it
    rule: DecisionRule  # with the calibration in use in that space
    allow_replayed: bool = False  # whether a recording that is itself enrolled may be accepted
    solo: Solo = Solo.REQUIRE  # the result of an acceptance when several people speak

    def moved(self, embedding: Embedding) -> Embedding:
        """Return an embedding of the model's space, or of this space, in this space."""
        if self.transform is None or embedding.space.id == self.space.id:
            return embedding
        return Embedding(self.transform.apply(embedding.vector), self.space)

    def acceptable(
        self, candidate: Candidate, enrolled: Enrolled, voice: Embedding, net_speech_s: float
    ) -> Candidate | None:
        """Return a candidate whose threshold a voice reaches, or None."""
        condition = enrolled.against(net_speech_s, telephone=voice.telephone, snr_db=None)
        try:
            is_match = self.rule.judged(candidate.score, condition).is_match
        except ThresholdUnavailable:
            return None
        return candidate if is_match else None


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one model, before the database is read.

    A cosine in the settings, or of a group, holds in one space only, ``settings_space``: that of
    the model that the settings name.
    """

    space: EmbeddingSpace
    card: DecisionRule  # of the model's card
    settings: Aim = NO_AIM
    groups: Mapping[str, Aim] = field(default_factory=dict)  # by name
    settings_space: str = ""

    def read(
        self,
        reader: Reader | None,
        call: Aim = NO_AIM,
        group: str | None = None,
        *,
        per_search: bool = False,
    ) -> BackEnd:
        """Return the back end in use: of the database, or of the model alone without one."""
        space, transform, rule = self.space, None, self.card
        if reader is not None:
            fits = reader.fits(self.space.id)
            if fits.adaptation is not None:
                space, transform = _adapted(space, fits.adaptation), fits.adaptation.transform
                # Measurements of the model alone do not hold in another space.
                rule = replace(rule, model=f"{rule.model}, adapted", points=(), llrs=None)
            if fits.calibration is not None:
                rule = rule.with_calibration(fits.calibration)
        levels = [call, self.groups.get(group or "", NO_AIM), self.settings]
        level, criterion, margin = first_wish(levels, per_search=per_search)
        if level > 0:  # one on a call goes with the call
            self._require_own_space(criterion, space)
        solo = next((level.solo for level in levels if level.solo is not None), Solo.REQUIRE)
        rule = replace(rule.aimed(criterion, margin), in_sequence=bool(call.in_sequence))
        return BackEnd(space, transform, rule, self.allows_replayed(call, group), solo)

    def allows_replayed(self, call: Aim = NO_AIM, group: str | None = None) -> bool:
        """Whether a recording that was heard before may be accepted."""
        levels = (call, self.groups.get(group or "", NO_AIM), self.settings)
        allows = (level.allow_replayed for level in levels)
        return next((allowed for allowed in allows if allowed is not None), False)

    def read_for_enrollment(self, reader: Reader) -> DecisionRule:
        """Return the rule that judges enrolments, and whether two names are one voice.

        It is the rule that was measured for the model, whatever target a door has; a calibration
        replaces it only if nothing was measured.
        """
        if self.card.points:
            return self.card
        return self.card.with_calibration(reader.calibrations.in_use(self.space.id))

    def _require_own_space(self, criterion: object, space: EmbeddingSpace) -> None:
        if not isinstance(criterion, SetThreshold) or space.id == self.settings_space:
            return
        raise ThresholdUnavailable(
            f"the threshold of {criterion.source} was set for {self.settings_space}, and this"
            f" decision is made in {space.id}",
            hint="Set it again for the model or adaptation in use, remove it, or pass a threshold"
            " with the call.",
        )


def _adapted(space: EmbeddingSpace, adaptation: StoredAdaptation) -> EmbeddingSpace:
    adapted = adapted_space(space, adaptation.transform)
    if adapted.id != adaptation.adapted_id:
        raise StoreError(
            f"adaptation {adaptation.id} is of {adaptation.adapted_id}, and makes {adapted.id}",
            hint="Restore a backup, or use no adaptation: `voiceid adaptations use none`.",
        )
    return adapted
