"""A clip on its way into an enrolment: what came of it, or why nothing did."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from voiceid.audio import AudioSource
from voiceid.domain import EnrollmentProblem, Float32Array, Utterance
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

    def unusable(self) -> EnrollmentProblem | None:
        """Return why there is nothing in the clip to enrol, or None."""
        if self.utterance is None:
            return EnrollmentProblem("unreadable", self.name, str(self.error), overridable=False)
        if self.utterance.embedding is None:
            net_speech_s = self.utterance.quality.net_speech_s
            message = f"only {net_speech_s:.2f} s of net speech: too little to enrol"
            return EnrollmentProblem("no_speech", self.name, message, overridable=False)
        return None


def clip_of(source: AudioSource, result: Utterance | AudioError, number: int) -> Clip:
    """Return the clip of what the embedder made of a source, the ``number``-th given."""
    if isinstance(result, Utterance):
        return Clip(result.name, result, None)
    path = source if isinstance(source, str | os.PathLike) else None
    return Clip(f"clip {number}" if path is None else Path(path).name, None, result)
