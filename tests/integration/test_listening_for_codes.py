"""Live sound with codes: a speaker is asked for one, and only the right answer is accepted."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np
import pytest
from spoken_words import ROUNDS, SPEEDS, WORDS, pieces, said

from voiceid import ConfigError, LiveEvent, LockedOut, VoiceID
from voiceid.domain import Float32Array
from voiceid.domain.code_words import CHALLENGE_S
from voiceid.listening import code_listener

RATE = 16_000
NEW = 3
QUIET = np.random.default_rng(0).normal(0, 1e-4, 2 * RATE).astype(np.float32)


@pytest.fixture
def vid(home: Path, ami, monkeypatch: pytest.MonkeyPatch) -> Iterator[VoiceID]:
    """Alice has taught words, in her voice at all speeds; bob has not."""
    draw_again(monkeypatch)
    words = pieces(ami.samples("alice-2"))
    with VoiceID.open() as opened:
        takes = [said(words, take) for take in range(len(SPEEDS))]
        opened.enroll("alice", takes, mode="replace", force=True)
        opened.challenges.enroll("alice", [said(words, i) for i in range(ROUNDS)], words=WORDS)
        yield opened


def draw_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next code be the same on every run: one in ten of such cut words is refused."""
    monkeypatch.setattr(secrets, "choice", random.Random(4).choice)


class Door:
    """A listener, and the events of what it hears."""

    def __init__(self, vid: VoiceID, ami, **how: object) -> None:
        self._listener = vid.listen(challenge=True, **how)
        self._words = {name: pieces(ami.samples(f"{name}-2")) for name in ("alice", "bob")}
        self._ami = ami

    def hears(self, samples: Float32Array) -> dict[str, LiveEvent]:
        """Return the events of one turn, by their kinds."""
        events = self._listener.feed(np.concatenate([samples, QUIET]), RATE)
        found = {event.kind.value: event for event in events}
        assert len(found) == len(events), "one turn"
        assert {"speech_started", "speech_ended", "turn"} < set(found) | {"decision"}
        return found

    def greeted(self, turn: str = "alice-3") -> dict[str, LiveEvent]:
        return self.hears(self._ami.samples(turn)[: 5 * RATE])

    def asked(self) -> tuple[str, ...]:
        """Return the code that alice is asked for."""
        events = self.greeted()
        assert "decision" not in events
        assert events["turn"].decision is None
        code = events["challenge"].challenge
        assert code is not None
        assert code.speaker == "alice"
        return code.words

    def answered(self, code: tuple[str, ...], name: str = "alice") -> tuple[str, str]:
        words = self._words[name]
        clip, _ = said([words[WORDS.index(word)] for word in code], NEW)
        events = self.hears(clip)
        assert "challenge" not in events
        decision = events["decision"].decision
        assert decision is not None
        assert events["turn"].decision is decision
        return decision.outcome.value, decision.reason.value


@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_right_code_alone_is_accepted_and_then_another_is_asked_for(
    vid: VoiceID, ami, monkeypatch: pytest.MonkeyPatch, *, is_sealed: bool
) -> None:
    if is_sealed:
        vid.keys.gallery.init()
    door, given = Door(vid, ami), []
    vid.events.on_decision(given.append)
    door.asked()
    with monkeypatch.context() as later:  # it is too late for an answer: the turn is as the first
        later.setattr(code_listener, "datetime", Later)
        draw_again(monkeypatch)
        code = door.asked()
    assert given == [], "who is asked for a code is not accepted"
    assert door.answered(code) == ("accepted", "match")
    assert [one.speaker.name for one in given] == ["alice"]
    other = door.asked()
    assert other != code
    assert door.answered(other_than(other)) == ("rejected", "challenge_failed")
    assert door.answered(door.asked(), "bob")[0] == "rejected"
    assert door.greeted("stranger")["decision"].decision.reason.value == "unknown"
    untaught = door.greeted("bob-3")["decision"].decision
    assert (untaught.outcome.value, untaught.reason.value) == ("rejected", "challenge_failed")
    assert (untaught.speaker, "no words of bob" in untaught.detail) == (None, True)
    assert [one.accepted for one in given] == [True, *([False] * 4)]


class Later:
    """A clock that is past the time of a code."""

    @staticmethod
    def now(zone: tzinfo) -> datetime:
        return datetime.now(zone) + timedelta(seconds=CHALLENGE_S)


def other_than(code: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(WORDS[(WORDS.index(word) + 1) % len(WORDS)] for word in code)


def test_wrong_answers_of_a_caller_lock_the_name_and_listening_goes_on(vid: VoiceID, ami) -> None:
    with VoiceID.open(overrides={"attempts.max_failures": 1}) as strict:
        door = Door(strict, ami, caller="door")
        assert door.answered(other_than(door.asked())) == ("rejected", "challenge_failed")
        door.asked()
        events = door.greeted()
        assert "decision" not in events
        assert "nothing was decided: 1 attempts" in events["turn"].detail
        with pytest.raises(LockedOut):
            strict.verify("alice", (ami.samples("alice-3"), RATE), caller="desk")
        assert "challenge" in door.greeted()


def test_a_name_or_blindness_beside_the_question_who_speaks_is_refused(home: Path) -> None:
    with VoiceID.open() as vid, pytest.raises(ConfigError, match="a speaker is named"):
        vid.listen(speaker="alice", challenge=True)
    with VoiceID.open() as vid, pytest.raises(ConfigError, match="blind"):
        vid.listen(blind=True, challenge=True)
