"""Who is to be enrolled, and what came of each of their clips."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import cast

import numpy as np

from voiceid.audio import AudioSource, Tape
from voiceid.domain import (
    EnrollmentProblem,
    Float32Array,
    SpeakerDetails,
    Utterance,
    speaker_name,
    tag,
)
from voiceid.errors import AudioError, ChannelsDiffer

_SINGLE = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)


def sources_of(given: AudioSource | Iterable[AudioSource]) -> tuple[AudioSource, ...]:
    """Return the sources that were given: one alone, or several."""
    with_rate = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Real)  # noqa: PLR2004 - samples and rate
    if with_rate or isinstance(given, _SINGLE) or hasattr(given, "read"):
        return (cast("AudioSource", given),)
    return tuple(cast("Iterable[AudioSource]", given))


@dataclass(frozen=True, slots=True)
class Person:
    """A person to enrol, as a new speaker or an enrolled one.

    Parameters
    ----------
    sources : tuple of AudioSource
        Their recordings, one utterance each.
    labels : tuple of str
        Where each was recorded, e.g. ``phone``, as many as sources; empty: not said.
    details : SpeakerDetails
        What is known of them beside the voice.

    Raises
    ------
    SpeakerNameInvalid, SpeakerDetailInvalid
    ValueError
        Labels and sources are not as many.
    """

    name: str
    sources: tuple[AudioSource, ...]
    labels: tuple[str, ...] = ()
    details: SpeakerDetails = field(default_factory=SpeakerDetails)

    def __post_init__(self) -> None:
        if self.labels and len(self.labels) != len(self.sources):
            raise ValueError(f"{len(self.labels)} labels for {len(self.sources)} recordings")
        labels = [label and tag("label", label) for label in self.labels]
        object.__setattr__(self, "name", speaker_name(self.name))
        object.__setattr__(self, "labels", tuple(labels or [""] * len(self.sources)))


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of a clip, and the recording of it if it is to be kept."""

    utterance: Utterance
    tape: Tape | None


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as given: what came of it, or why nothing did; and where it was recorded."""

    name: str
    utterance: Utterance | None
    error: AudioError | None
    label: str = ""
    tape: Tape | None = None

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
            differ = isinstance(self.error, ChannelsDiffer)
            code = "channels_differ" if differ else "unreadable"
            message = (
                f"{self.error}. {self.error.hint}" if differ and self.error else str(self.error)
            )
            return EnrollmentProblem(code, self.name, message, overridable=False)
        if self.utterance.embedding is None:
            net_speech_s = self.utterance.quality.net_speech_s
            message = f"only {net_speech_s:.2f} s of net speech: too little to enrol"
            return EnrollmentProblem("no_speech", self.name, message, overridable=False)
        return None


def clip_of(source: AudioSource, result: Heard | AudioError, number: int, label: str = "") -> Clip:
    """Return the clip of what the embedder made of a source, the ``number``-th given."""
    if isinstance(result, Heard):
        return Clip(result.utterance.name, result.utterance, None, label, result.tape)
    path = source if isinstance(source, str | os.PathLike) else None
    return Clip(f"clip {number}" if path is None else Path(path).name, None, result, label)
