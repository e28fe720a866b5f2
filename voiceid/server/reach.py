"""The speakers that a caller with some groups reaches; without groups, all."""

from __future__ import annotations

from collections.abc import Sequence

from voiceid.client import VoiceID
from voiceid.domain import Speaker, speaker_name
from voiceid.errors import SpeakerNotFound


def is_reached(speaker: Speaker, groups: Sequence[str]) -> bool:
    """Whether a speaker is reached: speakers of other groups are hidden from the caller."""
    return not groups or not set(groups).isdisjoint(speaker.groups)


def require_reached(vid: VoiceID, name: str, groups: Sequence[str]) -> None:
    """Raise SpeakerNotFound for a speaker who is enrolled but not reached."""
    if not groups:
        return
    try:
        speaker = vid.speakers.get(name)
    except SpeakerNotFound:
        return
    if not is_reached(speaker, groups):
        raise unreached(name)


def unreached(name: str) -> SpeakerNotFound:
    """Return the error for a speaker who is not reached: as for one who is not enrolled."""
    return SpeakerNotFound(f"no speaker called {speaker_name(name)!r} is enrolled")
