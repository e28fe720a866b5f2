"""What a call asks for, checked before any audio is heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.decision.aims import Aim, threshold_by_hand
from voiceid.decision.embeddings import unit
from voiceid.domain import EmbeddedClip, Embedding, Float32Array, tag
from voiceid.errors import SpaceMismatch
from voiceid.speech.speaker_model import SpeakerModel
from voiceid.verification.verifier import Search

Cosines: TypeAlias = float | Mapping[float, float]
"""A cosine, or cosines by the seconds of net speech from which each holds."""


def group_of(name: str | None) -> str | None:
    """Return the normal form of a group's name; raises SpeakerDetailInvalid."""
    return None if name is None else tag("group", name)


def aim_of(
    *, target_fmr: float | None, threshold: Cosines | None, allow_replayed: bool | None = None
) -> Aim:
    """Return what a comparison aims at; raises ConfigError."""
    by_hand = None if threshold is None else threshold_by_hand(threshold, "the call")
    return Aim(target_fmr, threshold=by_hand, allow_replayed=allow_replayed)


def search_of(
    top: int,
    group: str | None,
    target_fpir: float | None,
    threshold: Cosines | None,
    margin: float | None,
    allow_replayed: bool | None,
) -> Search:
    """Return the search that a call asks for; raises ConfigError, SpeakerDetailInvalid."""
    by_hand = None if threshold is None else threshold_by_hand(threshold, "the call")
    return Search(Aim(None, target_fpir, by_hand, margin, allow_replayed), group_of(group), top)


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
            f"the vector cannot be an embedding: {error}", hint="It takes finite numbers."
        ) from error


def _real(given: npt.ArrayLike) -> Float32Array:
    """Return numbers as float32; raises TypeError for what has others, or hides some."""
    numbers = np.asarray(given)
    if isinstance(given, np.ma.MaskedArray) or numbers.dtype.kind not in "fiu":
        raise TypeError(f"{type(given).__name__} of {numbers.dtype} is not one of real numbers")
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        return numbers.astype(np.float32)
