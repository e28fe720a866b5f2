"""The samples that a dry run of a list would have enrolled so far; it writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from voiceid.domain import Float32Array, QualityReport, speaker_key
from voiceid.enrollment.clips import Clip


class Kept(NamedTuple):
    """A sample to compare a new clip with: enrolled, or planned in a dry run."""

    vector: Float32Array
    quality: QualityReport
    pcm_sha256: str
    source_name: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The planned samples before a person's turn: under the same name, and under others."""

    own: Sequence[Kept] = ()
    others: Mapping[str, Sequence[Kept]] = field(default_factory=dict)


class Plan:
    """The people of a list that a dry run would enrol."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._kept: dict[str, list[Kept]] = {}

    def add(self, name: str, clips: Sequence[Clip]) -> None:
        """Add the clips that would be enrolled under a name."""
        key = speaker_key(name)
        self._names.setdefault(key, name)
        self._kept.setdefault(key, []).extend(
            Kept(clip.vector, clip.heard.quality, clip.heard.pcm_sha256, clip.name)
            for clip in clips
        )

    def at(self, name: str) -> Planned:
        """Return the planned samples before the turn of a name."""
        key = speaker_key(name)
        others = {self._names[other]: kept for other, kept in self._kept.items() if other != key}
        return Planned(tuple(self._kept.get(key, ())), others)
