"""What voices are called: a name once, the better score first, and numbers that no speaker has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from voiceid import (
    Decision,
    Embedding,
    EmbeddingSpace,
    Outcome,
    QualityReport,
    Reason,
    SpeakerRef,
    Task,
    Utterance,
    VoiceTurn,
)
from voiceid.diarization.naming import Heard, joined, named

QUALITY = QualityReport(4.0, 3.5, 20.0, 0.0, 7000.0, 16_000, -20.0)
SPACE = EmbeddingSpace("test", 4, "", "", "", "")
TURNS = (VoiceTurn(0, 4, "0"), VoiceTurn(5, 9, "1"), VoiceTurn(8.5, 12, "2"))


@dataclass
class Ear:
    """Says whether two voices agree, in place of an encoder's card."""

    agree: bool = True

    def parts_agree(self, one: object, other: object, net_speech_s: float, fmr: float) -> bool:
        assert fmr == 0.1
        return self.agree


def heard(voice: str, name: str | None, score: float = 0.9, *, silent: bool = False) -> Heard:
    decision = Decision(
        task=Task.IDENTIFY,
        outcome=Outcome.REJECTED if name is None else Outcome.ACCEPTED,
        reason=Reason.UNKNOWN if name is None else Reason.MATCH,
        speaker=None if name is None else SpeakerRef(1, name),
        score=score,
        threshold=None,
        llr=None,
        calibration=None,
        margin=None,
        runner_up=None,
        candidates=(),
        quality=None,
        embedding_space=SPACE,
        gallery_size=1,
        group=None,
        elapsed_ms=0.0,
        detail="x",
    )
    embedding = None if silent else Embedding(np.eye(4, dtype=np.float32)[0], SPACE)
    return Heard(voice, Utterance("x", "", QUALITY, embedding), decision)


def called(voices: list[Heard], turns: tuple[VoiceTurn, ...] = TURNS, *, agree: bool = True) -> Any:
    return named(voices, turns, cast("Any", Ear(agree)))


def test_a_voice_that_is_not_known_has_a_number_that_no_speaker_has() -> None:
    voices, turns = called([heard("0", None), heard("1", "Unknown-1"), heard("2", None)])
    assert [voice.name for voice in voices] == ["unknown-2", "Unknown-1", "unknown-3"]
    assert [turn.voice for turn in turns] == ["unknown-2", "Unknown-1", "unknown-3"]
    assert [voice.speech_s for voice in voices] == [4, 4, 3.5]
    assert [voice.alone_s for voice in voices] == [4, 3.5, 3]


def test_two_voices_of_one_name_are_one() -> None:
    for silent in (False, True):
        voices, turns = called(
            [heard("0", "bob"), heard("1", None), heard("2", "bob", silent=silent)]
        )
        assert [voice.name for voice in voices] == ["bob", "unknown-1"]
        assert [turn.voice for turn in turns] == ["bob", "unknown-1", "bob"]


def test_of_two_people_of_one_name_the_one_with_the_better_score_has_it() -> None:
    both = [heard("0", "bob", 0.7), heard("1", None), heard("2", "bob", 0.8)]
    voices, _ = called(both, agree=False)
    assert [voice.name for voice in voices] == ["unknown-1", "unknown-2", "bob"]
    first = voices[0].decision
    assert (first.outcome, first.reason, first.speaker) == (
        Outcome.INCONCLUSIVE,
        Reason.AMBIGUOUS,
        None,
    )
    assert first.detail == "x; another voice of the recording is bob, with a higher score"


def test_two_who_speak_at_once_for_a_second_are_two_people() -> None:
    for overlap_s, names in {0.9: ["bob"], 1.0: ["bob", "unknown-1"]}.items():
        turns = (VoiceTurn(0, 4, "0"), VoiceTurn(4 - overlap_s, 8, "1"))
        voices, _ = called([heard("0", "bob", 0.9), heard("1", "bob", 0.8)], turns)
        assert [voice.name for voice in voices] == names


def test_turns_of_one_voice_that_meet_are_one_turn() -> None:
    turns = [
        VoiceTurn(0, 2, "a"),
        VoiceTurn(1, 5, "b"),
        VoiceTurn(2, 3, "a"),
        VoiceTurn(4, 4.5, "b"),
    ]
    assert joined(iter(turns)) == (VoiceTurn(0, 3, "a"), VoiceTurn(1, 5, "b"))
