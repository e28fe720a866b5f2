"""The speakers that a caller with some groups reaches; without groups, all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voiceid.client import VoiceID
from voiceid.domain import Speaker, speaker_name, tag
from voiceid.errors import SpeakerNotFound
from voiceid.server.problems import Problem, denied


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


def joined_groups(requested: Iterable[str], own: Sequence[str]) -> tuple[str, ...]:
    """Return the groups of a person whom a caller with some groups enrols: they are added.

    Raises Problem for a group that the caller does not reach: that is another door.
    """
    groups = [tag("group", group) for group in requested]
    if own and not set(groups) <= set(own):
        raise other_group(own)
    return tuple(dict.fromkeys((*groups, *own)))


def other_group(own: Sequence[str]) -> Problem:
    """Return the problem for a group that a caller with some groups does not reach."""
    listed = ", ".join(own)
    return denied(f"the key only reaches these groups: {listed}", "Name one of them as the group.")
