"""Rows that an import wrote are judged as an enrolment is, in the transaction that wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from random_voices import SPACE
from vectors import ALICE, BOB, RULE, enroll, heard, opened

from voiceid.domain import NewSample, Utterance
from voiceid.enrollment.vetting import Vetting
from voiceid.errors import ChangeRefused
from voiceid.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as (store, _):
        yield store


def bring(store: Store, **people: list[Utterance]) -> None:
    """Import samples; raise what is said of them, and leave nothing then."""
    with store.write() as writer:
        newest = writer.samples.newest_id()
        for name, clips in people.items():
            speaker = writer.speakers.find(name) or writer.speakers.add(name)
            writer.samples.add(speaker.id, SPACE, [NewSample(clip) for clip in clips])
        Vetting(writer, SPACE.id, RULE, newest).require_sound()


def test_voices_that_agree_and_are_no_others_are_taken(store: Store) -> None:
    bring(store, alice=[heard(ALICE, "a"), heard(ALICE, "b")], bob=[heard(BOB, "c")])
    bring(store, alice=[heard(ALICE, "d")])
    with store.read() as reader:
        assert [s.n_samples for s in reader.speakers.all()] == [3, 1]


def test_of_a_speaker_who_was_there_the_new_samples_are_the_odd_ones(store: Store) -> None:
    """Also where the newest sample of all is hers, and the new ones have more speech."""
    enroll(store, "alice", heard(ALICE, "old"))
    strangers = [heard(BOB, name, net_speech_s=9.0) for name in ("x", "y")]
    with pytest.raises(ChangeRefused, match=r"x\.wav and 1 more of alice do not agree"):
        bring(store, alice=strangers)
    with store.read() as reader:
        assert reader.speakers.get("alice").n_samples == 1


def test_a_new_speaker_of_two_voices_is_refused(store: Store) -> None:
    with pytest.raises(ChangeRefused, match="of carol do not agree with the other samples"):
        bring(store, carol=[heard(ALICE, "a"), heard(BOB, "b")])


def test_a_voice_that_has_other_names_is_said_with_all_of_them(store: Store) -> None:
    enroll(store, "alice", heard(ALICE, "a"))
    with pytest.raises(ChangeRefused, match=r"voice of al is enrolled as: alice \(score 1\.000\)$"):
        bring(store, al=[heard(ALICE, "b")])
    for number in range(4):
        enroll(store, f"twin {number}", heard([0.8, 0.6], f"t{number}"))
    with pytest.raises(ChangeRefused) as refused:
        bring(store, al=[heard(ALICE, "b")])
    scores = {"alice": "1.000", **{f"twin {number}": "0.800" for number in range(4)}}
    for name, score in scores.items():
        assert f"{name} (score {score})" in refused.value.message
    assert "passes for several speakers" in refused.value.message
    with pytest.raises(ChangeRefused, match="voice of one is enrolled as: other"):
        bring(store, one=[heard(BOB, "c")], other=[heard(BOB, "d")])


def test_samples_of_an_unknown_line_need_what_a_telephones_need(store: Store) -> None:
    new = [heard(parts, name) for parts, name in ((ALICE, "a"), ([0.8, 0.6], "b"))]
    unknown = [replace(one, quality=replace(one.quality, telephone=None)) for one in new]
    with pytest.raises(ChangeRefused, match="do not agree"):
        bring(store, alice=unknown)
    bring(store, alice=new)
    with pytest.raises(ChangeRefused, match="do not agree"):
        bring(store, alice=[heard([0.0, 0.0, 1.0], "c")])
