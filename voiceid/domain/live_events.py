"""The events while a live source is heard."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voiceid.domain.code_words import Challenge
from voiceid.domain.decisions import Decision
from voiceid.domain.values import Value, json_of


class LiveEventKind(enum.StrEnum):
    """The kind of an event of a live source."""

    SPEECH_STARTED = "speech_started"
    """A turn begins: a person speaks."""
    DECISION = "decision"
    """The speaker is decided; once a turn, as soon as it is certain, else at its end."""
    CHALLENGE = "challenge"
    """The speaker is asked for a code; the next turn must be the code."""
    SPEECH_ENDED = "speech_ended"
    """The turn is over: silence, another voice, a turn that is too long, or no more sound."""
    TURN = "turn"
    """The whole turn; it is the last event about it."""
    AUDIO_LOST = "audio_lost"
    """Sound came faster than it could be heard, and some was not heard."""
    AUDIO_TOO_LOUD = "audio_too_loud"
    """Sound is nearly full scale throughout: it is usually read in the wrong format."""
    STREAM_LOST = "stream_lost"
    """The source gives no more sound, and is opened again."""
    STREAM_BACK = "stream_back"
    """The source gives sound again."""


@dataclass(frozen=True, slots=True)
class LiveEvent(Value):
    """One thing that happened while a live source was heard.

    Parameters
    ----------
    at_s : float
        How far the sound was heard, in seconds since listening began, without what was lost.
    time : datetime
        The time of the event, UTC.
    turn : int or None
        The number of its turn, counted from 1.
    start_s, end_s : float or None
        Of the turn, on the clock of ``at_s``; no end while it goes on.
    delay_ms : float or None
        From the arrival of the sound that the event needed to the event.
    decision : Decision or None
        Of ``decision`` and ``turn``; None in a turn without a decision.
    challenge : Challenge or None
        Of ``challenge``: the speaker, and the words to be said.
    detail : str
        A sentence for people: why a turn ended, what was lost, or why nothing was decided.
    """

    kind: LiveEventKind
    at_s: float
    time: datetime
    turn: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    delay_ms: float | None = None
    decision: Decision | None = None
    detail: str = ""
    challenge: Challenge | None = None

    @property
    def since_start_s(self) -> float | None:
        """Seconds of sound since the turn began; None: it is not about a turn."""
        return None if self.start_s is None else self.at_s - self.start_s

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        since_s = self.since_start_s
        return json_of(self, since_start_s=None if since_s is None else round(since_s, 2))
