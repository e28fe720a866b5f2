"""Changes of the model in the database: what follows what, and what is left to bring over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_voices import DIM, OTHER_SPACE, SPACE, random_unit, sample

from voiceid.domain import EmbeddingSpace, ModelSwitch, joined, space_in_use
from voiceid.errors import SpaceMismatch, StoreError
from voiceid.store import Store

THIRD = EmbeddingSpace("third", DIM, "2" * 64, "none v1", "whole", "none")


def voice(clip: str, space: EmbeddingSpace = SPACE) -> object:
    seed = [ord(ch) for ch in f"{clip} {space.id}"]
    return sample(random_unit(np.random.default_rng(seed)), clip, space)


def enroll(store: Store, name: str, *clips: str, space: EmbeddingSpace = SPACE) -> int:
    with store.write() as writer:
        speaker = writer.speakers.find(name) or writer.speakers.add(name)
        writer.samples.add(speaker.id, space, [voice(clip, space) for clip in clips])
        return speaker.id


def begun(store: Store, to: EmbeddingSpace = OTHER_SPACE) -> ModelSwitch:
    with store.write() as writer:
        return writer.switches.begin(SPACE.id, to)


def test_who_goes_there_and_back_is_where_they_were() -> None:
    there, back = ("a", "b"), ("b", "a")
    assert [space_in_use(one, []) for one in "ab"] == ["a", "b"]
    assert [space_in_use(one, [there]) for one in "abc"] == ["b", "b", "c"]
    assert [space_in_use(one, [there, back]) for one in "ab"] == ["a", "a"]
    again = [there, back, there, ("b", "c")]
    assert [space_in_use(one, again) for one in "abc"] == ["c", "c", "c"]


@given(st.lists(st.sampled_from("abcd"), max_size=8))
def test_all_spaces_that_changes_join_use_one_space(ways: list[str]) -> None:
    """Changes begin where the gallery is: then no speaker is left in a space that was left."""
    here, switches = "a", []
    for to in ways:
        if to != here:
            switches.append((here, to))
            here = to
    for one in joined(here, switches):
        assert space_in_use(one, switches) == here
        assert joined(one, switches) == joined(here, switches)


def test_a_space_that_was_left_answers_nothing_from_that_transaction_on(store: Store) -> None:
    enroll(store, "alice", "a1")
    made = begun(store)
    with store.write() as writer:
        writer.spaces.require_current(SPACE.id)
        writer.switches.switch(made)
        with pytest.raises(SpaceMismatch, match="was switched from"):
            writer.spaces.require_current(SPACE.id)
        writer.spaces.require_current(OTHER_SPACE.id)
        assert writer.spaces.model_of(OTHER_SPACE.id) == "test"


def test_two_changes_from_one_space_cannot_be_open_at_once(store: Store) -> None:
    enroll(store, "alice", "a1")
    begun(store)
    with pytest.raises(StoreError, match="refused a change"):
        begun(store, THIRD)
    with pytest.raises(StoreError, match="refused a change"), store.write() as writer:
        writer.switches.begin(OTHER_SPACE.id, OTHER_SPACE)


def test_what_waits_is_listed_by_speaker_and_recording(store: Store) -> None:
    enroll(store, "alice", "a1", "a2", "a3")
    enroll(store, "bob", "b1")
    made = begun(store)
    enroll(store, "alice", "a2", space=OTHER_SPACE)
    late = enroll(store, "carol", "c1")
    with store.read() as reader:
        rows = list(reader.switches.brought_over(made))
        assert [(row.name, row.done) for row in rows] == [
            ("alice", False),
            ("alice", True),
            ("alice", False),
            ("bob", False),
            ("carol", False),
        ]
        assert (rows[0].had_s, rows[0].has_s) == (3 * 2.25, 2.25)
        assert (rows[3].had_s, rows[3].has_s) == (2.25, 0.0)
        waiting = reader.switches.waiting(made, 0, 99)
        assert len(waiting) == 4
        assert reader.switches.waiting(made, waiting[1][0], 1) == [waiting[2]]
        [hers] = reader.switches.lacking(made, [waiting[3][1]])
        assert hers.speaker_id == late
        [prepared] = reader.switches.prepared(made, 99)
        assert prepared.space_id == OTHER_SPACE.id


def test_giving_up_takes_only_what_the_change_made(store: Store) -> None:
    enroll(store, "alice", "a1", "a2")
    enroll(store, "alice", "a1", "own", space=OTHER_SPACE)  # before the change
    made = begun(store)
    enroll(store, "alice", "a2", space=OTHER_SPACE)
    with store.write() as writer:
        writer.samples.remove(writer.switches.prepared(made, 99))
        writer.switches.forget(made)
    with store.read() as reader:
        left = reader.samples.of(reader.speakers.get("alice").id, OTHER_SPACE.id)
        assert [one.source_name for one in left] == ["a1.wav", "own.wav"]
        assert reader.switches.list() == []


@pytest.mark.parametrize("switched", [False, True])
def test_a_recording_goes_from_both_spaces_at_once(store: Store, switched: bool) -> None:
    alice = enroll(store, "alice", "a1", "a2")
    enroll(store, "alice", "a1", space=THIRD)  # another model of another time: no business of ours
    made = begun(store)
    enroll(store, "alice", "a1", "a2", space=OTHER_SPACE)
    with store.write() as writer:
        if switched:
            writer.switches.switch(made)
        here = OTHER_SPACE if switched else SPACE
        first = writer.samples.of(alice, here.id)[0]
        gone = writer.samples.with_copies([first])
        assert {one.space_id for one in gone} == {SPACE.id, OTHER_SPACE.id}
        writer.samples.remove(gone)
        left = [(one.source_name, one.space_id) for one in writer.samples.of(alice)]
        assert sorted(left) == sorted(
            [("a2.wav", SPACE.id), ("a1.wav", THIRD.id), ("a2.wav", OTHER_SPACE.id)]
        )
        writer.samples.remove_of(alice, here.id)
        assert [one.space_id for one in writer.samples.of(alice)] == [THIRD.id]


def test_without_a_change_other_spaces_are_other_enrolments(store: Store) -> None:
    alice = enroll(store, "alice", "a1")
    enroll(store, "alice", "a1", space=OTHER_SPACE)
    with store.write() as writer:
        here = writer.samples.of(alice, SPACE.id)
        assert [one.id for one in writer.samples.with_copies(here)] == [here[0].id]
        writer.samples.remove_of(alice, SPACE.id)
        assert [one.space_id for one in writer.samples.of(alice)] == [OTHER_SPACE.id]


def test_what_is_left_over_is_of_those_who_came_over(store: Store) -> None:
    enroll(store, "alice", "a1", "a2")
    enroll(store, "bob", "b1")
    made = begun(store)
    enroll(store, "alice", "a1", space=OTHER_SPACE)
    with store.write() as writer:
        writer.switches.switch(made)
        over = writer.switches.left_over(OTHER_SPACE.id, 99)
    assert [one.source_name for one in over] == ["a1.wav", "a2.wav"]
    assert {one.space_id for one in over} == {SPACE.id}


def test_a_damaged_change_is_an_error(store: Store) -> None:
    enroll(store, "alice", "a1")
    begun(store)
    with store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE model_changes SET switched_at = 'soon'")
        with pytest.raises(StoreError, match="model change 1"):
            writer.switches.list()
