"""A clip on its way into an enrolment: what came of it, or why nothing did."""

from __future__ import annotations

from dataclasses import dataclass

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
