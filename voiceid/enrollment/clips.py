"""A person to enrol, and the result of hearing each clip."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Final, TypeAlias, cast

import numpy as np

from voiceid.audio import AudioSource, Spans, Tape
from voiceid.domain import (
    EnrollmentProblem,
    Float32Array,
    SpeakerDetails,
    Utterance,
    VoicePart,
    speaker_name,
    tag,
)
from voiceid.errors import AudioError, ChannelsDiffer, ConfigError

SOLO: Final = "solo"
"""In each recording, the parts of the voice that speaks most."""
Part: TypeAlias = tuple[float, float] | str
"""Start and end in seconds; `SOLO`; or the name of a voice, as a diarization calls it."""
_EDGE_S = 0.5

_SINGLE = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)


def sources_of(sources: AudioSource | Iterable[AudioSource]) -> tuple[AudioSource, ...]:
    """Return the sources of an argument: one source, or several."""
    with_rate = isinstance(sources, tuple) and len(sources) == 2 and isinstance(sources[1], Real)  # noqa: PLR2004 - samples and rate
    if with_rate or isinstance(sources, _SINGLE) or hasattr(sources, "read"):
        return (cast("AudioSource", sources),)
    return tuple(cast("Iterable[AudioSource]", sources))


@dataclass(frozen=True, slots=True)
class Person:
    """A person to enrol, as a new speaker or an enrolled one.

    Parameters
    ----------
    sources : tuple of AudioSource
        Their recordings, one utterance each.
    labels : tuple of str
        Where each was recorded, e.g. ``phone``, one per source; empty: unknown.
    details : SpeakerDetails
        Facts about the person beside the voice.
    part : (float, float) or str or None
        The person's part of the only recording, in seconds, or the name of their voice in it,
        as a diarization names it; or `SOLO`: in each recording, the voice that speaks most.

    Raises
    ------
    SpeakerNameInvalid, SpeakerDetailInvalid
    ConfigError
        The part is invalid, or there are several recordings.
    ValueError
        The numbers of labels and sources differ.
    """

    name: str
    sources: tuple[AudioSource, ...]
    labels: tuple[str, ...] = ()
    details: SpeakerDetails = field(default_factory=SpeakerDetails)
    part: Part | None = None

    def __post_init__(self) -> None:
        _require_part(self.part, len(self.sources))
        if self.labels and len(self.labels) != len(self.sources):
            raise ValueError(f"{len(self.labels)} labels for {len(self.sources)} recordings")
        labels = [label and tag("label", label) for label in self.labels]
        object.__setattr__(self, "name", speaker_name(self.name))
        object.__setattr__(self, "labels", tuple(labels or [""] * len(self.sources)))


def _require_part(part: Part | None, n_sources: int) -> None:
    if part is None or part == SOLO:
        return
    match part:
        case (Real() as start_s, Real() as end_s) if isinstance(part, tuple):
            is_part = 0.0 <= start_s < end_s < math.inf  # NaN is not
        case _:
            is_part = isinstance(part, str) and bool(part.strip())
    if not is_part:
        raise ConfigError(
            f"the part {part!r:.40} is not a start and a later end in seconds",
            hint=f"Pass (12.4, 31.0), for example, the name of a voice, or {SOLO!r}.",
        )
    if n_sources != 1:
        raise ConfigError(
            f"a part of a recording was chosen, but there are {n_sources} recordings",
            hint="Enrol the recordings one by one, each with its part.",
        )


def most_spoken(parts: Sequence[VoicePart]) -> Spans:
    """Return the parts of the voice that speaks most, where it speaks alone; may be empty.

    The time of a change of voice is known to half a second: parts are cut by that on each side.
    """
    spans: dict[int, list[tuple[float, float]]] = {}
    for at, part in enumerate(parts):
        start_s = part.start_s + (_EDGE_S if at > 0 else 0.0)
        end_s = part.end_s - (_EDGE_S if at < len(parts) - 1 else 0.0)
        if part.voice is not None and start_s < end_s:
            spans.setdefault(part.voice, []).append((start_s, end_s))
    lengths = {voice: sum(end - start for start, end in own) for voice, own in spans.items()}
    return tuple(spans[max(lengths, key=lambda voice: lengths[voice])]) if spans else ()


@dataclass(frozen=True, slots=True)
class Heard:
    """The result of hearing a clip; with its audio to store, and its parts if several people speak.

    The utterance is without its speech.
    """

    utterance: Utterance
    tape: Tape | None
    parts: tuple[VoicePart, ...] = ()
    fingerprint: bytes = b""  # to recognize the recording later; empty: not stored


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip to enrol: its utterance or its error, and where it was recorded."""

    name: str
    utterance: Utterance | None
    error: AudioError | None
    label: str = ""
    tape: Tape | None = None
    parts: tuple[VoicePart, ...] = ()
    fingerprint: bytes = b""

    @property
    def heard(self) -> Utterance:
        """The utterance; raises ValueError if the clip could not be read."""
        if self.utterance is None:
            raise ValueError(f"{self.name} was not read")
        return self.utterance

    @property
    def vector(self) -> Float32Array:
        """The embedding's vector (dim,); raises ValueError if there is none."""
        if self.heard.embedding is None:
            raise ValueError(f"{self.name} has no embedding")
        return self.heard.embedding.vector

    def unusable(self) -> EnrollmentProblem | None:
        """Return why the clip cannot be enrolled, or None."""
        if self.utterance is None:
            code = "channels_differ" if isinstance(self.error, ChannelsDiffer) else "unreadable"
            message = "" if self.error is None else f"{self.error}. {self.error.hint}"
            return EnrollmentProblem(code, self.name, message, overridable=False)
        if self.utterance.embedding is None:
            quality = self.utterance.quality
            message = f"only {quality.net_speech_s:.2f} s of net speech: too little to enrol"
            if "other_tracks" in quality.warnings:
                message += f"; --track N hears another ({'; '.join(quality.unheard)})"
            return EnrollmentProblem("no_speech", self.name, message, overridable=False)
        return None


def clip_of(source: AudioSource, result: Heard | AudioError, number: int, label: str = "") -> Clip:
    """Return the clip for the embedder's result of a source, the ``number``-th of the call."""
    if isinstance(result, Heard):
        utterance = result.utterance
        of_it = (result.tape, result.parts, result.fingerprint)
        return Clip(utterance.name, utterance, None, label, *of_it)
    path = source if isinstance(source, str | os.PathLike) else None
    return Clip(f"clip {number}" if path is None else Path(path).name, None, result, label)
