"""Asks each speaker for a spoken code, and decides by the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from voiceid.domain import Decision, Float32Array, LiveEvent, LiveEventKind
from voiceid.domain.code_words import Challenge
from voiceid.errors import VoiceIDError
from voiceid.listening.listener import Listener, LiveOptions
from voiceid.listening.live_turn import LiveTurn
from voiceid.speech.vad import SpeechDetector

_RATE_HZ = 16_000

Recording: TypeAlias = tuple[Float32Array, int]


class CodeListener(Listener):
    """Asks a recognized speaker for a code; only the next turn, the answer, can be accepted.

    Each turn is heard when it is over, as a recording.  A turn that ends after the code has expired
    is not an answer, but a new turn.

    Parameters
    ----------
    detector, options : see :class:`Listener`
    recognize : callable
        Receives a turn; returns the code that the speaker is asked for, or the decision that
        accepts no speaker.  Raises VoiceIDError.
    answer : callable
        Receives a turn and the code that it must be; returns the decision.  Raises VoiceIDError.
    """

    def __init__(
        self,
        detector: SpeechDetector,
        recognize: Callable[[Recording], Challenge | Decision],
        answer: Callable[[Recording, Challenge], Decision],
        options: LiveOptions,
    ) -> None:
        self._recognize, self._answer = recognize, answer
        self._code: Challenge | None = None
        super().__init__(detector, options)

    def _settle(self, turn: LiveTurn, why: str) -> Iterator[LiveEvent]:
        """Yield the code to be said, or the decision."""
        yield self._of_turn(LiveEventKind.SPEECH_ENDED, turn, why)
        said = (turn.frames.reshape(-1), _RATE_HZ)
        code, self._code = self._code, None
        try:
            if code is not None and datetime.now(UTC) < code.expires_at:
                turn.decision = self._answer(said, code)
            else:
                answer = self._recognize(said)
                if isinstance(answer, Challenge):
                    self._code, why = answer, "a code is asked for"
                else:
                    turn.decision = answer
        except VoiceIDError as error:
            why = f"nothing was decided: {error}"
        if self._code is not None:
            yield replace(self._of_turn(LiveEventKind.CHALLENGE, turn), challenge=self._code)
        elif turn.decision is not None:
            yield self._of_turn(LiveEventKind.DECISION, turn)
        yield self._of_turn(LiveEventKind.TURN, turn, why)
