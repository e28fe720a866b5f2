"""Hears samples as they arrive, and says who speaks."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from numbers import Real
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from voiceid.audio import Arrivals
from voiceid.audio.clipping import ClippingCount
from voiceid.domain import Decision, Float32Array, LiveEvent, LiveEventKind, Speech, Utterance
from voiceid.errors import ConfigError, VoiceIDError
from voiceid.listening import looks
from voiceid.listening.endpointing import OF_LAST, Endpointer
from voiceid.listening.live_turn import LiveTurn
from voiceid.listening.voice_change import VoiceChange
from voiceid.speech.embedder import Embedder
from voiceid.speech.quality import FRAME_S, FRAME_SAMPLES

LEAD_FRAMES = 31
"""1 s before a turn: the background, and what the speech detector needs longer to hear."""
_SILENCE_S = (0.2, 10.0)
_CHANGE_FRAMES = 8
"""Frames from look to look whether there is a window more, to compare."""
_LATE_S = 1.0
"""With sound that waited longer, it is looked at the end of turns only, until that is made up."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a live source is heard.

    - `silence_s`: without speech, after which a turn is over.
    - `longest_s`: after which a turn is ended, and another begins.
    - `channel`: as `AudioOptions` has it.
    - `name`: of the source, for people.

    Raises `ConfigError`: the silence is out of range.
    """

    silence_s: float = 0.8
    longest_s: float = 60.0
    channel: str | int = "mix"
    name: str = "<live>"

    def __post_init__(self) -> None:
        least, most = _SILENCE_S
        if not isinstance(self.silence_s, Real) or not least <= self.silence_s <= most:
            raise ConfigError(
                f"silence_s is {self.silence_s!r:.20}, not {least:g} to {most:g} s",
                hint="It is how long somebody is silent when a turn is over.",
            )


class Decide(Protocol):
    """Decides who speaks in what was heard of a turn so far."""

    def __call__(self, heard: Utterance, *, in_sequence: bool, is_last: bool) -> Decision | None:
        """Return the decision; None: it cannot be made yet.  Raises VoiceIDError.

        - `in_sequence`: it is one look of several.
        - `is_last`: the turn is over.
        """


class Listener:
    """Says who speaks while they speak.  For one source, and one thread at a time.

    Parameters
    ----------
    embedder : callable
        Returns the embedder of the model in use; each turn asks for it.
    decide : Decide
    alone : callable
        Receives an acceptance within a turn and the whole of the turn, and returns what becomes of
        it.  Raises VoiceIDError.
    record : callable
        Receives the decision that a turn comes to and what was heard until then, and returns what
        of it the event has.
    options : LiveOptions
    ended : callable, optional
        Receives an acceptance within a turn and the speech of the whole turn.
    """

    def __init__(
        self,
        embedder: Callable[[], Embedder],
        decide: Decide,
        alone: Callable[[Decision, Utterance], Decision],
        record: Callable[[Decision, Utterance], Decision],
        options: LiveOptions,
        *,
        ended: Callable[[Decision, Speech], None] | None = None,
    ) -> None:
        self._embedder_now, self._decide, self._record = embedder, decide, record
        self._alone, self._ended = alone, ended
        self._options = options
        self._embedder = embedder()
        self._detector = self._embedder.detector
        self._endpoints = Endpointer(round(options.silence_s / FRAME_S))
        self._lead: deque[tuple[Float32Array, bool]] = deque(maxlen=LEAD_FRAMES)
        self._n_frames = self._n_turns = 0
        self._turn: LiveTurn | None = None
        self._arrived: float | None = None
        self._began = 0.0
        self._begin()

    def _begin(self) -> None:
        self._arrivals = Arrivals(self._options.channel, self._options.name)
        self._frames = self._detector.frames()
        self._waiting = np.empty(0, np.float32)
        self._clipping = ClippingCount()
        self._lead.clear()
        self._endpoints.reset()

    @property
    def at_s(self) -> float:
        """How much sound was heard, in seconds."""
        return self._n_frames * FRAME_S

    def feed(
        self, samples: npt.NDArray[Any], rate_hz: int, *, arrived: float | None = None
    ) -> list[LiveEvent]:
        """Take the next samples; return what happened.

        Parameters
        ----------
        samples : (n,) or (n, channels)
            Of any length: float, full scale being -1 to 1, or integers of full scale.
        rate_hz : int
            The same from call to call, as the number of channels.
        arrived : float, optional
            The ``time.perf_counter()`` at which they came.  With those that have waited for long,
            it is not looked before a turn ends, until that is made up.

        Raises
        ------
        AudioInvalid
            They cannot be sound.  They are left out, and the turn goes on without them.
        """
        self._arrived = arrived
        events: list[LiveEvent] = []
        for block, clipping in self._arrivals.take(samples, rate_hz):
            self._clipping = clipping
            heard = np.concatenate((self._waiting, block))
            whole = len(heard) - len(heard) % FRAME_SAMPLES
            self._waiting = heard[whole:]
            if whole:
                events += self._hear(heard[:whole])
        return events

    def finish(self, why: str = "no more sound") -> list[LiveEvent]:
        """End the turn that goes on, if any, because the sound ends here; return what happened.

        What is fed afterwards is another stream.
        """
        self._arrived, self._began = None, time.perf_counter()
        events = list(self._end(why))
        self._begin()
        return events

    def event(self, kind: LiveEventKind, detail: str) -> LiveEvent:
        """Return an event about no turn, now."""
        return LiveEvent(kind, self.at_s, datetime.now(UTC), detail=detail)

    def _hear(self, samples: Float32Array) -> Iterator[LiveEvent]:
        """Hear whole frames one after the other: what comes out does not depend on the blocks."""
        is_speech = self._frames.probabilities(samples) >= self._detector.options.threshold
        frames = samples.reshape(-1, FRAME_SAMPLES)
        for frame, speech in zip(frames, is_speech.tolist(), strict=True):
            self._began = time.perf_counter()
            yield from self._frame(frame, speech)
            if self._turn is not None and not self._is_late:
                yield from self._look(self._turn)

    @property
    def _waited_s(self) -> float:
        """Since the newest sound arrived; if that is not known, since its last frame was taken."""
        return time.perf_counter() - (self._began if self._arrived is None else self._arrived)

    @property
    def _is_late(self) -> bool:
        return self._waited_s > _LATE_S

    def _frame(self, frame: Float32Array, is_speech: bool) -> Iterator[LiveEvent]:
        self._n_frames += 1
        self._endpoints.push(is_speech)
        turn = self._turn
        if turn is None:
            self._lead.append((frame, is_speech))
            if self._endpoints.is_speaking:
                yield self._start()
            return
        turn.add(frame, is_speech)
        if not self._endpoints.is_speaking:
            yield from self._end("silence")
        elif turn.duration_s >= self._options.longest_s:
            yield from self._end(f"it went on for {self._options.longest_s:g} s")

    def _start(self) -> LiveEvent:
        heard = list(self._lead)
        newest = heard[-OF_LAST:]
        spoken = len(newest) - next(at for at, (_, speech) in enumerate(newest) if speech)
        self._n_turns += 1
        first, lead = self._n_frames - spoken, len(heard) - spoken
        turn = LiveTurn(self._n_turns, first, lead, self._clipping)
        for frame, is_speech in heard:
            turn.add(frame, is_speech)
        return self._follow(turn)

    def _follow(self, turn: LiveTurn) -> LiveEvent:
        with contextlib.suppress(VoiceIDError):  # the decision asks the same, and says why not
            self._embedder = self._embedder_now()
        self._turn, self._change = turn, VoiceChange(self._embedder.encoder)
        return self._of_turn(LiveEventKind.SPEECH_STARTED, turn)

    def _look(self, turn: LiveTurn) -> Iterator[LiveEvent]:
        """End the turn where another voice goes on; else look who it is, if that is due."""
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
        """Return the frame of the turn at which another voice goes on, or None."""
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
            decision = self._decide(clip, in_sequence=in_sequence, is_last=is_last)
            turn.heard = clip
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
        turn.is_decided = True  # once, even if it cannot be recorded, and so is not given
        heard, turn.heard = turn.heard, None
        assert heard is not None  # noqa: S101 - it was decided about; for mypy
        turn.decision = self._record(decision, heard)
        return self._of_turn(LiveEventKind.DECISION, turn)

    def _end(self, why: str) -> Iterator[LiveEvent]:
        """End the turn that goes on, and wait for the next."""
        turn = self._turn
        if turn is None:
            return
        self._turn = None
        yield from self._settle(turn, why)
        self._endpoints.reset()
        self._lead.clear()
        self._lead.extend((frame, False) for frame in turn.background())

    def _settle(self, turn: LiveTurn, why: str) -> Iterator[LiveEvent]:
        """Yield what is said at the end of a turn."""
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
        """Return what becomes of an acceptance because of the whole turn; None: it has an error."""
        try:
            return self._alone(decision, self._heard(turn))
        except VoiceIDError as error:
            turn.error = error
            return None

    def _keep_rest(self, turn: LiveTurn, decision: Decision) -> None:
        """Have it known what was said after an acceptance within the turn."""
        if self._ended is None:
            return
        speech = self._embedder.speech_of(turn.frames, turn.is_speech)
        try:
            self._ended(decision, speech)
        except VoiceIDError as error:
            turn.error = error

    def _of_turn(self, kind: LiveEventKind, turn: LiveTurn, detail: str = "") -> LiveEvent:
        shows = kind in {LiveEventKind.DECISION, LiveEventKind.TURN}
        is_over = kind in {LiveEventKind.SPEECH_ENDED, LiveEventKind.TURN}
        return LiveEvent(
            kind,
            self.at_s,
            datetime.now(UTC),
            turn.number,
            turn.start_s,
            turn.end_s if is_over else None,
            self._waited_s * 1e3,
            turn.decision if shows else None,
            detail,
        )
