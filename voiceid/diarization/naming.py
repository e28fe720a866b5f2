"""The names of the voices of a recording: each name once, else a number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voiceid.domain import (
    Decision,
    DiarizedVoice,
    Outcome,
    Reason,
    Utterance,
    VoiceTurn,
    speaker_key,
)
from voiceid.domain.diarizations import stretches
from voiceid.speech.encoder import Encoder

UNKNOWN = "unknown-"
_BOTH_S = 1.0
"""Two voices that speak at once for this long are two people."""
_DIFFERENT_FMR = 0.1
"""Two voices below the threshold of this false match rate are certain to be different."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The utterance of a voice alone, and the decision; None: names were not asked for."""

    voice: str
    utterance: Utterance | None
    decision: Decision | None

    @property
    def speaker(self) -> str | None:
        """The name of the speaker who was accepted."""
        decision = self.decision
        if decision is None or not decision.accepted or decision.speaker is None:
            return None
        return decision.speaker.name

    @property
    def score(self) -> float:
        """The score, -1 without one."""
        return -1.0 if self.decision is None or self.decision.score is None else self.decision.score


def named(
    heard: Sequence[Heard], turns: Sequence[VoiceTurn], encoder: Encoder
) -> tuple[tuple[DiarizedVoice, ...], tuple[VoiceTurn, ...]]:
    """Return the voices in order of speech, and the turns, both with names.

    Voices of one name are one, unless they are certain to be different people: then the one with
    the higher score has it.
    """
    kept: dict[str, Heard] = {}
    same: dict[str, str] = {}  # the voice that each joined voice belongs to
    for voice in sorted(heard, key=lambda voice: -voice.score):
        name = voice.speaker
        if name is not None and name in kept:
            first = kept[name]
            if _differ(first, voice, turns, encoder):
                heard = [_refused(h, name) if h is voice else h for h in heard]
            else:
                same[voice.voice] = first.voice
        elif name is not None:
            kept[name] = voice
    turns = joined(replace(turn, voice=same.get(turn.voice, turn.voice)) for turn in turns)
    voices = {voice.voice: voice for voice in heard if voice.voice not in same}
    order = dict.fromkeys(turn.voice for turn in turns)
    names = dict(zip(order, _names([voices[voice].speaker for voice in order]), strict=True))
    turns = tuple(replace(turn, voice=names[turn.voice]) for turn in turns)
    spans = stretches(turns)
    return tuple(_voice(voices[voice], names[voice], spans) for voice in order), turns


def joined(turns: Iterator[VoiceTurn]) -> tuple[VoiceTurn, ...]:
    """Return turns, by their starts, in which no two of one voice overlap or meet."""
    kept: list[VoiceTurn] = []
    last: dict[str, int] = {}
    for turn in turns:
        at = last.get(turn.voice)
        if at is not None and turn.start_s <= kept[at].end_s:
            kept[at] = replace(kept[at], end_s=max(kept[at].end_s, turn.end_s))
        else:
            last[turn.voice] = len(kept)
            kept.append(turn)
    return tuple(kept)


def _differ(left: Heard, right: Heard, turns: Sequence[VoiceTurn], encoder: Encoder) -> bool:
    """Whether two voices are certain to be of different people."""
    both = {left.voice, right.voice}
    together = [turn for turn in turns if turn.voice in both]
    at_once_s = sum(end - start for start, end, names in stretches(together) if names == both)
    if at_once_s >= _BOTH_S:
        return True
    first, second = left.utterance, right.utterance
    if first is None or second is None or first.embedding is None or second.embedding is None:
        return False
    speech_s = min(first.quality.net_speech_s, second.quality.net_speech_s)
    return not encoder.parts_agree([first.embedding], [second.embedding], speech_s, _DIFFERENT_FMR)


def _refused(voice: Heard, name: str) -> Heard:
    """Return a voice without the name that another voice has, with a higher score."""
    if (decision := voice.decision) is None:
        return voice
    detail = f"{decision.detail}; another voice of the recording is {name}, with a higher score"
    decision = replace(
        decision, outcome=Outcome.INCONCLUSIVE, reason=Reason.AMBIGUOUS, speaker=None, detail=detail
    )
    return replace(voice, decision=decision)


def _names(speakers: Sequence[str | None]) -> Iterator[str]:
    """Yield the name of each voice; an unknown voice has a number that is no speaker's name."""
    taken = {speaker_key(name) for name in speakers if name is not None}
    free = (name for n in itertools.count(1) if (name := f"{UNKNOWN}{n}") not in taken)
    for speaker in speakers:
        yield next(free) if speaker is None else speaker


def _voice(
    voice: Heard, name: str, cut: Sequence[tuple[float, float, frozenset[str]]]
) -> DiarizedVoice:
    spans = [(end - start, names) for start, end, names in cut if name in names]
    return DiarizedVoice(
        name=name,
        speech_s=sum(length for length, _ in spans),
        alone_s=sum(length for length, names in spans if len(names) == 1),
        decision=voice.decision,
        embedding=None if voice.utterance is None else voice.utterance.embedding,
    )
