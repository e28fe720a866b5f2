"""What happens while a live source is heard."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voiceid.domain.code_words import Challenge
from voiceid.domain.decisions import Decision
from voiceid.domain.values import Value, json_of


class LiveEventKind(enum.StrEnum):
    """What an event of a live source is."""

    SPEECH_STARTED = "speech_started"
    """A turn begins: somebody speaks."""
    DECISION = "decision"
    """Who speaks is decided; once a turn, as soon as it is certain, else at its end."""
    CHALLENGE = "challenge"
    """Who spoke is asked for a code, which the next turn must be."""
    SPEECH_ENDED = "speech_ended"
    """The turn is over: silence, another voice, a turn that is too long, or no more sound."""
    TURN = "turn"
    """The whole turn, when nothing more will be said about it."""
    AUDIO_LOST = "audio_lost"
    """Sound came faster than it could be heard, and some was not heard."""
    AUDIO_TOO_LOUD = "audio_too_loud"
    """Sound is nearly full scale throughout: of another format, as a rule, than it is taken for."""
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
        When it was said, UTC.
    turn : int or None
        Which turn it is about, counted from 1.
    start_s, end_s : float or None
        Of the turn, on the clock of ``at_s``; no end while it goes on.
    delay_ms : float or None
        From the arrival of the sound that the event needed to the event.
    decision : Decision or None
        Of ``decision`` and ``turn``; None in a turn about which nothing was decided.
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
        """How long after the turn began, in seconds of sound; None: it is about no turn."""
        return None if self.start_s is None else self.at_s - self.start_s

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        since_s = self.since_start_s
        return json_of(self, since_start_s=None if since_s is None else round(since_s, 2))
