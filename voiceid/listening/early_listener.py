"""Decides about a turn as soon as it is certain who speaks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from voiceid.audio.mixing import ClippingCount
from voiceid.domain import Decision, LiveEvent, LiveEventKind, Speech, Utterance
from voiceid.errors import LockedOut, VoiceIDError
from voiceid.listening import looks
from voiceid.listening.listener import LEAD_FRAMES, Listener, LiveOptions
from voiceid.listening.live_turn import LiveTurn
from voiceid.listening.voice_change import VoiceChange
from voiceid.speech.embedder import Embedder
from voiceid.speech.quality import FRAME_SAMPLES

_CHANGE_FRAMES = 8
"""Frames between two checks for a further window to compare."""


class Decider(Protocol):
    """Decides about turns; each method raises VoiceIDError."""

    def embedder(self) -> Embedder:
        """Return the embedder of the model in use; each turn asks for it."""

    def decide(self, heard: Utterance, *, in_sequence: bool, is_last: bool) -> Decision | None:
        """Return who speaks in the part of a turn so far; None: not known yet.

        - `in_sequence`: it is one check of several.
        - `is_last`: the turn is over.
        """

    def alone(self, decision: Decision, turn: Utterance) -> Decision:
        """Return an acceptance within a turn, changed if the whole turn requires it."""

    def record(self, decision: Decision, heard: Utterance) -> Decision:
        """Record the decision of a turn, with its speech until then; return what is shown."""

    def keep(self, decision: Decision, speech: Callable[[], Speech]) -> None:
        """Store the speech of a turn with an acceptance, to recognise it later."""


class EarlyListener(Listener):
    """Decides while a turn goes on, and ends it where another voice begins.

    Parameters
    ----------
    decider : Decider
    options : LiveOptions
    """

    def __init__(self, decider: Decider, options: LiveOptions) -> None:
        self._decider, self._embedder = decider, decider.embedder()
        super().__init__(self._embedder.detector, options)

    def _follow(self, turn: LiveTurn) -> LiveEvent:
        with contextlib.suppress(VoiceIDError):  # the decision gives the reason
            self._embedder = self._decider.embedder()
        self._change = VoiceChange(self._embedder.encoder)
        return super()._follow(turn)

    def _look(self, turn: LiveTurn) -> Iterator[LiveEvent]:
        """End the turn where another voice begins; else identify the speaker, if that is due."""
        at_frame = self._changed_at(turn)
        if at_frame is not None:
            following = turn.split(at_frame, LEAD_FRAMES)
            yield from self._settle(turn, "another voice")
            self._n_turns = following.number
            yield self._follow(following)
        elif not turn.is_decided and looks.is_due(turn.net_speech_s, turn.looked_s):
            turn.looked_s = turn.net_speech_s
            decision = self._asked(turn, is_last=False)
            if decision is not None and looks.is_certain(decision):
                yield self._decided(turn, decision)

    def _changed_at(self, turn: LiveTurn) -> int | None:
        """Return the frame of the turn where another voice begins, or None."""
        if turn.n_frames % _CHANGE_FRAMES:
            return None
        kept = self._detector.options.kept_frames(
            turn.is_speech, len(turn.is_speech) * FRAME_SAMPLES
        )
        if not self._change.is_due(len(kept) * FRAME_SAMPLES):
            return None
        sample = self._change.at(turn.frames[kept].reshape(-1))
        return None if sample is None else int(kept[sample // FRAME_SAMPLES])

    def _asked(self, turn: LiveTurn, *, is_last: bool) -> Decision | None:
        """Return the decision about a turn so far; None: it has an `error`, or none is due yet."""
        try:
            clip = self._heard(turn)
            in_sequence = not is_last or turn.looks > 0
            decision = self._decider.decide(clip, in_sequence=in_sequence, is_last=is_last)
            turn.heard = clip
        except LockedOut:
            raise
        except VoiceIDError as error:
            turn.error = error
            return None
        turn.looks += decision is not None
        turn.error = None
        return decision

    def _heard(self, turn: LiveTurn) -> Utterance:
        count, before = self._clipping, turn.clipping
        clipping = ClippingCount(
            count.clipped_samples - before.clipped_samples,
            count.total_samples - before.total_samples,
        )
        rate_hz = self._arrivals.sample_rate_hz
        name = self._options.name
        return self._embedder.of_frames(name, turn.frames, turn.is_speech, rate_hz, clipping)

    def _decided(self, turn: LiveTurn, decision: Decision) -> LiveEvent:
        turn.is_decided = True  # once, even if it cannot be recorded and is not given
        heard, turn.heard = turn.heard, None
        assert heard is not None  # noqa: S101 - it was decided about; for mypy
        turn.decision = self._decider.record(decision, heard)
        return self._of_turn(LiveEventKind.DECISION, turn)

    def _settle(self, turn: LiveTurn, why: str) -> Iterator[LiveEvent]:
        """Yield the events at the end of a turn."""
        yield self._of_turn(LiveEventKind.SPEECH_ENDED, turn, why)
        if not turn.is_decided:
            decision = self._asked(turn, is_last=True)
            if decision is not None:
                yield self._decided(turn, decision)
        elif turn.decision is not None and turn.decision.accepted:
            self._keep_rest(turn, turn.decision)
            if self._change.may_alternate:
                turn.decision = self._checked(turn, turn.decision)
        detail = why if turn.error is None else f"nothing was decided: {turn.error}"
        yield self._of_turn(LiveEventKind.TURN, turn, detail)

    def _checked(self, turn: LiveTurn, decision: Decision) -> Decision | None:
        """Return an acceptance, changed if the whole turn requires it; None: an error."""
        try:
            return self._decider.alone(decision, self._heard(turn))
        except VoiceIDError as error:
            turn.error = error
            return None

    def _keep_rest(self, turn: LiveTurn, decision: Decision) -> None:
        """Store the speech after an acceptance within the turn."""
        embedder = self._embedder
        try:
            self._decider.keep(decision, lambda: embedder.speech_of(turn.frames, turn.is_speech))
        except VoiceIDError as error:
            turn.error = error
