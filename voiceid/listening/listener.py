"""Hears samples as they arrive, and finds the turns of the speakers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.audio import Arrivals
from voiceid.audio.mixing import ClippingCount
from voiceid.domain import Float32Array, LiveEvent, LiveEventKind
from voiceid.errors import ConfigError
from voiceid.listening.endpointing import OF_LAST, Endpointer
from voiceid.listening.live_turn import LiveTurn
from voiceid.listening.loudness import Loudness
from voiceid.speech.quality import FRAME_S, FRAME_SAMPLES
from voiceid.speech.vad import SpeechDetector

LEAD_FRAMES = 31
"""1 s before a turn: the background, and speech that the detector finds late."""
_SILENCE_S = (0.2, 10.0)
_LEAST_AT_ONCE, _MOST_AT_ONCE = 3, 31
"""A run of the detector for three frames takes little longer than for one: of small blocks, the
first two frames, 64 ms, wait.  At most 1 s is heard again after the detector is reset."""
_LATE_S = 1.0
"""If sound waited longer than this, decisions are made only at the end of turns for a while."""

_Came: TypeAlias = tuple[float | None, float]
"""When the last sound of a frame arrived, if known, and when it was taken."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The options of listening to a live source.

    - `silence_s`: time without speech that ends a turn.
    - `longest_s`: time after which a turn is ended, and another begins.
    - `channel`: as `AudioOptions` has it.
    - `name`: the name of the source in messages.

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
                hint="It is the time without speech that ends a turn.",
            )


class Listener:
    """Finds the turns of speakers, as samples arrive.  For one source, and one thread at a time.

    Subclasses decide about a turn: in `_look` while it goes on, in `_settle` when it is over.

    Parameters
    ----------
    detector : SpeechDetector
    options : LiveOptions
    """

    def __init__(self, detector: SpeechDetector, options: LiveOptions) -> None:
        self._detector, self._options = detector, options
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
        self._waiting, self._came = np.empty(0, np.float32), list[_Came]()
        self._clipping, self._loudness = ClippingCount(), Loudness()
        self._lead.clear()
        self._endpoints.reset()

    @property
    def at_s(self) -> float:
        """Sound that was heard, in seconds."""
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
            The ``time.perf_counter()`` at which they came.  If they have waited for long, decisions
            are made only at the end of turns, until the delay is gone.

        Raises
        ------
        AudioInvalid
            They cannot be sound.  They are left out, and the turn goes on without them.
        """
        events: list[LiveEvent] = []
        for block, clipping in self._arrivals.take(samples, rate_hz):
            self._clipping = clipping
            self._waiting = np.concatenate((self._waiting, block))
            n_frames = len(self._waiting) // FRAME_SAMPLES
            self._came += [(arrived, time.perf_counter())] * (n_frames - len(self._came))
            if n_frames >= _LEAST_AT_ONCE:
                events += self._hear()
        return events

    def finish(self, why: str = "no more sound") -> list[LiveEvent]:
        """End the turn that goes on, if any, because the sound ends here; return what happened.

        What is fed afterwards is another stream.
        """
        events = list(self._hear())
        self._arrived, self._began = None, time.perf_counter()
        events += self._end(why)
        self._begin()
        return events

    def event(self, kind: LiveEventKind, detail: str) -> LiveEvent:
        """Return an event that is not about a turn, now."""
        return LiveEvent(kind, self.at_s, datetime.now(UTC), detail=detail)

    def _hear(self) -> Iterator[LiveEvent]:
        """Hear the whole frames that wait, in order: the result does not depend on the blocks.

        The detector is reset after each turn: after some voices it would miss their next turns.
        """
        came, self._came, at, now = self._came, [], 0, time.perf_counter()
        heard, self._waiting = np.split(self._waiting, [len(came) * FRAME_SAMPLES])
        frames = heard.reshape(-1, FRAME_SAMPLES)
        while at < len(frames):
            some = frames[at : at + _MOST_AT_ONCE]
            heard = self._frames.probabilities(some.reshape(-1))
            is_speech = heard >= self._detector.options.threshold
            for frame, speech in zip(some, is_speech.tolist(), strict=True):
                self._arrived, taken = came[at]
                self._began = time.perf_counter() - (now - taken)  # it waited for the next ones
                at, was_turn = at + 1, self._turn is not None
                yield from self._frame(frame, speech)
                if was_turn and self._turn is None:
                    self._frames = self._detector.frames()
                    break
                if self._turn is not None and not self._is_late:
                    yield from self._look(self._turn)

    @property
    def _waited_s(self) -> float:
        """Time since the newest sound arrived; if not known, since its last frame was taken."""
        return time.perf_counter() - (self._began if self._arrived is None else self._arrived)

    @property
    def _is_late(self) -> bool:
        return self._waited_s > _LATE_S

    def _frame(self, frame: Float32Array, is_speech: bool) -> Iterator[LiveEvent]:
        self._n_frames += 1
        if said := self._loudness.push(frame):
            yield self.event(LiveEventKind.AUDIO_TOO_LOUD, said)
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
        self._turn = turn
        return self._of_turn(LiveEventKind.SPEECH_STARTED, turn)

    def _look(self, turn: LiveTurn) -> Iterator[LiveEvent]:
        """Yield the events while a turn goes on."""
        del turn
        return iter(())

    def _settle(self, turn: LiveTurn, why: str) -> Iterator[LiveEvent]:
        """Yield the events at the end of a turn."""
        raise NotImplementedError

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
