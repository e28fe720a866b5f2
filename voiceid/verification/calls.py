"""The options of a call, checked before any audio is heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from voiceid.decision.aims import Aim, SetThreshold, threshold_by_hand
from voiceid.decision.embeddings import unit
from voiceid.domain import EmbeddedClip, Embedding, Float32Array, Solo, tag
from voiceid.errors import ConfigError, SpaceMismatch
from voiceid.speech.speaker_model import SpeakerModel
from voiceid.verification.policy import NO_AIM

Cosines: TypeAlias = float | Mapping[float, float]
"""A cosine, or cosines by the seconds of net speech from which each holds."""


@dataclass(frozen=True, slots=True)
class Search:
    """The options of an identification, beside the clip."""

    aim: Aim = NO_AIM
    group: str | None = None  # its normal name: the only group that is searched
    top: int = 5  # at least 1: the most candidates in the answer
    among: tuple[str, ...] | None = None  # names of the only speakers that are searched
    purpose: str | None = None  # for which a consent must be in force

    def __post_init__(self) -> None:
        if not isinstance(self.top, int) or self.top < 1:
            raise ConfigError(
                f"top is {self.top!r:.20}, but it must be 1 or more",
                hint="Pass the number of candidates that you want in the answer.",
            )


@dataclass(frozen=True, slots=True)
class Claim:
    """The speaker that a clip is claimed to be of, and the target of its verification."""

    name: str
    aim: Aim = NO_AIM
    group: str | None = None  # its normal name: the speaker must be a member
    blind: bool = False  # whether the caller may learn nothing of other speakers
    purpose: str | None = None  # for which a consent must be in force
    challenge: str | None = None  # the id of the code that the clip must answer


class IdentifyKeywords(TypedDict, total=False):
    """Keyword options of a search; see :meth:`voiceid.VoiceID.identify`."""

    top: int
    target_fpir: float | None
    threshold: Cosines | None
    margin: float | None
    group: str | None
    allow_replayed: bool | None
    solo: str | None
    among: Sequence[str] | None
    purpose: str | None


class VerifyKeywords(TypedDict, total=False):
    """Keyword options of a verification; see :meth:`voiceid.VoiceID.verify`."""

    target_fmr: float | None
    threshold: Cosines | None
    group: str | None
    allow_replayed: bool | None
    solo: str | None
    blind: bool
    purpose: str | None
    challenge: str | None


class ListenKeywords(IdentifyKeywords, total=False):
    """Keyword options of listening; see :meth:`voiceid.VoiceID.listen`."""

    target_fmr: float | None
    speaker: str | None
    silence_s: float | None
    caller: str | None
    blind: bool
    challenge: bool


def group_of(name: str | None) -> str | None:
    """Return the normal form of a group's name; raises SpeakerDetailInvalid."""
    return None if name is None else tag("group", name)


def purpose_of(name: str | None) -> str | None:
    """Return the normal form of a purpose; raises SpeakerDetailInvalid."""
    return None if name is None else tag("purpose", name)


def aim_of(
    target_fmr: float | None = None,
    threshold: Cosines | None = None,
    allow_replayed: bool | None = None,
    solo: str | None = None,
) -> Aim:
    """Return the aim of a comparison; raises ConfigError."""
    return Aim(target_fmr, None, _by_hand(threshold), None, allow_replayed, _solo(solo))


def claim_of(  # noqa: PLR0913, PLR0917 - as the call has them
    name: str,
    target_fmr: float | None = None,
    threshold: Cosines | None = None,
    group: str | None = None,
    allow_replayed: bool | None = None,
    solo: str | None = None,
    blind: bool = False,
    purpose: str | None = None,
    challenge: str | None = None,
) -> Claim:
    """Return the claim that a call asks about; raises ConfigError, SpeakerDetailInvalid."""
    aim = aim_of(target_fmr, threshold, allow_replayed, solo)
    return Claim(name, aim, group_of(group), blind, purpose_of(purpose), challenge)


def search_of(  # noqa: PLR0913, PLR0917 - as the call has them
    top: int = 5,
    group: str | None = None,
    target_fpir: float | None = None,
    threshold: Cosines | None = None,
    margin: float | None = None,
    allow_replayed: bool | None = None,
    solo: str | None = None,
    target_fmr: float | None = None,
    among: Sequence[str] | None = None,
    purpose: str | None = None,
) -> Search:
    """Return the search that a call asks for; raises ConfigError, SpeakerDetailInvalid."""
    by_hand = _by_hand(threshold)
    aim = Aim(target_fmr, target_fpir, by_hand, margin, allow_replayed, _solo(solo))
    only = None if among is None else tuple(among)
    return Search(aim, group_of(group), top, only, purpose_of(purpose))


def live_search_of(how: ListenKeywords) -> Search:
    """Return the search that listening asks for; raises ConfigError, SpeakerDetailInvalid."""
    others = {"speaker", "silence_s", "caller", "blind", "challenge"}
    return search_of(**{k: v for k, v in how.items() if k not in others})  # type: ignore[arg-type]


def naming_of(
    group: str | None,
    target_fmr: float | None,
    target_fpir: float | None,
    threshold: Cosines | None,
    purpose: str | None = None,
) -> Search:
    """Return the search that names the voices of a recording.

    They may be enrolled from this very recording.  Raises ConfigError, SpeakerDetailInvalid.
    """
    aim = Aim(target_fmr, target_fpir, _by_hand(threshold), None, allow_replayed=True)
    return Search(aim, group_of(group), purpose=purpose_of(purpose))


def _by_hand(threshold: Cosines | None) -> SetThreshold | None:
    return None if threshold is None else threshold_by_hand(threshold, "the call")


def _solo(name: str | None) -> Solo | None:
    if name is not None and name not in set(Solo):
        raise ConfigError(
            f"solo is {name!r:.20}, not one of {', '.join(Solo)}",
            hint="It sets the result of an acceptance when several people speak in the clip.",
        )
    return None if name is None else Solo(name)


def embedding_of(clip: EmbeddedClip, model: SpeakerModel) -> Embedding:
    """Return an embedding of a model's space; raises SpaceMismatch."""
    named = clip.space if isinstance(clip.space, str) else clip.space.id
    try:
        vector = _real(clip.vector)
        if vector.ndim != 1:
            raise ValueError(f"it has the shape {vector.shape}")  # noqa: TRY301 - one message
        brought, vector = model.brought(named, len(vector)), unit(vector)
        if named != model.space.id and model.compensation is not None:
            return model.compensation.embedding(vector, model.space)
        return Embedding(brought(vector), model.space, clip.telephone)
    except (ValueError, TypeError) as error:
        raise SpaceMismatch(
            f"the vector cannot be an embedding: {error}", hint="Pass finite numbers."
        ) from error


def _real(vector: npt.ArrayLike) -> Float32Array:
    """Return numbers as float32; raises TypeError if some are not real, or are masked."""
    numbers = np.asarray(vector)
    if isinstance(vector, np.ma.MaskedArray) or numbers.dtype.kind not in "fiu":
        raise TypeError(f"{type(vector).__name__} of {numbers.dtype} is not plain real numbers")
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        return numbers.astype(np.float32)
