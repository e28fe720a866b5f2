"""Unknown voices of many recordings: the same voice, the same name, and two of one file never."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from talks import talk

from voiceid import Diarization, DiarizedVoice, Embedding, LinkedVoices, SpaceMismatch

THRESHOLD, MARGIN = 0.5, 0.1


def recording(
    clip: str, voices: dict[str, list[float] | None], alone_s: float = 1.0
) -> Diarization:
    """Return a recording of unknown voices, each with its direction."""
    turns = [(float(at), at + 1.0, name) for at, name in enumerate(voices)]
    found = talk(*turns, duration_s=len(turns))
    heard = []
    for voice in found.voices:
        given_ = voices[voice.name]
        embedding = None
        if given_ is not None:
            vector = np.array(given_, np.float32)
            embedding = Embedding(vector / np.linalg.norm(vector), found.embedding_space)
        heard.append(replace(voice, embedding=embedding, alone_s=alone_s))
    return replace(found, clip=clip, voices=tuple(heard))


def likeness(one: DiarizedVoice, other: DiarizedVoice, n: int) -> tuple[float, float]:
    return float(one.embedding.vector @ other.embedding.vector), THRESHOLD


def named(links: LinkedVoices, found: Diarization, *taken: str) -> Diarization:
    return links.named(found, likeness, MARGIN, lambda name: name in taken)


def names(found: Diarization) -> list[str]:
    return [voice.name for voice in found.voices]


def test_the_same_voice_has_the_same_name_and_says_what_it_is_called_alone() -> None:
    links = LinkedVoices()
    first = named(links, recording("a.wav", {"unknown-1": [1, 0, 0, 0], "unknown-2": [0, 1, 0, 0]}))
    again = recording("b.wav", {"unknown-1": [0, 1, 0.1, 0], "unknown-2": [0, 0, 1, 0]})
    second = named(links, again)
    assert names(first) == ["unknown-a", "unknown-b"]
    assert names(second) == ["unknown-b", "unknown-c"]
    assert [turn.voice for turn in second.turns] == names(second)
    voice = second.voices[0]
    assert (voice.own_name, voice.link.clip, voice.link.voice) == (
        "unknown-1",
        "a.wav",
        "unknown-2",
    )
    assert voice.link.score > 0.99
    assert voice.link.threshold == THRESHOLD
    assert second.voices[1].link is None
    assert voice.to_dict()["link"]["clip"] == "a.wav"


def test_two_voices_of_one_recording_are_never_one() -> None:
    links = LinkedVoices()
    named(links, recording("a.wav", {"unknown-1": [1, 0, 0, 0]}))
    both = {"unknown-1": [1, 0.3, 0, 0], "unknown-2": [1, 0, 0, 0]}
    assert names(named(links, recording("b.wav", both))) == ["unknown-b", "unknown-a"]


def test_a_voice_between_two_is_neither() -> None:
    links = LinkedVoices()
    named(links, recording("a.wav", {"unknown-1": [1, 0, 0, 0], "unknown-2": [0, 1, 0, 0]}))
    between = recording("b.wav", {"unknown-1": [1, 0.95, 0, 0]})
    assert names(named(links, between)) == ["unknown-c"]


def test_what_was_heard_most_of_a_voice_is_compared() -> None:
    links = LinkedVoices()
    named(links, recording("a.wav", {"unknown-1": [1, 0, 0, 0]}))
    named(links, recording("b.wav", {"unknown-1": [1, 1, 0, 0]}, alone_s=9.0))
    found = named(links, recording("c.wav", {"unknown-1": [0, 1, 0, 0]}))
    assert (names(found), found.voices[0].link.clip) == (["unknown-a"], "b.wav")


def test_names_that_are_enrolled_are_left_out_and_a_voice_that_was_not_heard_is_new() -> None:
    links = LinkedVoices()
    first = named(links, recording("a.wav", {"unknown-1": None}), "unknown-a")
    assert names(first) == ["unknown-b"]
    assert names(named(links, recording("b.wav", {"unknown-1": None}))) == ["unknown-c"]


def test_voices_of_two_models_are_not_compared() -> None:
    links = LinkedVoices()
    found = recording("a.wav", {"unknown-1": [1, 0, 0, 0]})
    named(links, found)
    other = replace(found, embedding_space=replace(found.embedding_space, model="other"))
    with pytest.raises(SpaceMismatch):
        named(links, other)


@given(
    recordings=st.lists(
        st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True), min_size=1, max_size=12
    )
)
def test_people_who_do_not_sound_alike_keep_their_names(recordings: list[list[int]]) -> None:
    links = LinkedVoices()
    called: dict[int, str] = {}
    for number, people in enumerate(recordings):
        voices = {
            f"unknown-{i + 1}": [float(who == k) for k in range(5)] for i, who in enumerate(people)
        }
        found = named(links, recording(f"{number}.wav", voices))
        assert len(set(names(found))) == len(people)
        for who, name in zip(people, names(found), strict=True):
            assert called.setdefault(who, name) == name
    assert len(set(called.values())) == len(called)
