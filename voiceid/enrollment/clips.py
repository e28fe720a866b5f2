"""A clip on its way into an enrolment: what came of it, or why nothing did."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from voiceid.audio import AudioSource
from voiceid.domain import Float32Array, Utterance
from voiceid.errors import AudioError


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as given: what came of it, or why nothing did."""

    name: str
    utterance: Utterance | None
    error: AudioError | None

    @property
    def heard(self) -> Utterance:
        """The utterance; raises ValueError when the clip could not be read."""
        if self.utterance is None:
            raise ValueError(f"{self.name} was not read")
        return self.utterance

    @property
    def vector(self) -> Float32Array:
        """The embedding's vector (dim,); raises ValueError when there is none."""
        if self.heard.embedding is None:
            raise ValueError(f"{self.name} has no embedding")
        return self.heard.embedding.vector


def clip_of(source: AudioSource, result: Utterance | AudioError, number: int) -> Clip:
    """Return the clip of what the embedder made of a source, the ``number``-th given."""
    if isinstance(result, Utterance):
        return Clip(result.name, result, None)
    path = source if isinstance(source, str | os.PathLike) else None
    return Clip(f"clip {number}" if path is None else Path(path).name, None, result)
