"""What a change leaves behind beside its rows: spaces touched, vectors erased, an erasure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest
from random_voices import DIM, OTHER_SPACE, SPACE, random_unit, sample
from sqlalchemy import event

from voiceid.decision.transforms import Transform
from voiceid.domain import SpeakerDetails
from voiceid.errors import SpeakerExists, SpeakerNotFound
from voiceid.store import Store, Writer
from voiceid.store.effects import Effects

RNG = np.random.default_rng(12)
TURNED = Transform("wccn", 0.5, 3, 9, np.zeros(DIM, dtype=np.float32), np.eye(DIM, dtype="f4"))


def enroll(store: Store, name: str, *clips: str) -> int:
    with store.write() as writer:
        speaker = writer.speakers.add(name)
        writer.samples.add(speaker.id, SPACE, [sample(random_unit(RNG), clip) for clip in clips])
    return speaker.id


def adapt(store: Store) -> str:
    with store.write() as writer:
        number = writer.adaptations.add(SPACE, TURNED, {}, "test")
        return writer.adaptations.get(number).adapted_id


def stored(store: Store, speaker_id: int) -> list[bytes]:
    with store.read() as reader:
        return [one.vector.astype("<f4").tobytes() for one in reader.samples.of(speaker_id)]


def after(store: Store, change: Callable[[Writer], object]) -> Effects:
    with store.write() as writer:
        change(writer)
    return writer.effects


def test_every_space_that_a_change_touched_is_named_adapted_ones_too(store: Store) -> None:
    alice = enroll(store, "alice", "a")
    both = {SPACE.id, adapt(store)}
    new = [sample(random_unit(RNG))]
    assert after(store, lambda w: w.samples.add(alice, SPACE, new)).touched == both
    group = SpeakerDetails(groups=("staff",))
    assert after(store, lambda w: w.speakers.edit(alice, group)).touched == both
    other = [sample(random_unit(RNG), space=OTHER_SPACE)]
    added = after(store, lambda w: w.samples.add(alice, OTHER_SPACE, other))
    assert added.touched == {OTHER_SPACE.id}
    assert (
        after(store, lambda w: w.speakers.rename(w.speakers.get("alice"), "alicia")).touched
        == set()
    )
    gone = after(store, lambda w: w.samples.remove(w.samples.of(alice, SPACE.id)[:1]))
    assert gone.touched == both
    assert after(store, lambda w: w.speakers.remove(alice)).touched == {*both, OTHER_SPACE.id}


def test_an_adaptation_that_goes_touches_its_space_alone_and_is_an_erasure(store: Store) -> None:
    enroll(store, "alice", "a")
    adapted = adapt(store)
    gone = after(store, lambda w: w.adaptations.remove(w.adaptations.get(1)))
    assert (gone.touched, gone.erased, gone.erased_vectors) == ({adapted}, True, [])
    with store.read() as reader:
        assert reader.centroids.count(adapted) == 0
        assert reader.erasures.pending() is not None


def test_what_was_erased_is_given_as_it_was_stored(store: Store) -> None:
    alice, bob = enroll(store, "alice", "a", "b", "c"), enroll(store, "bob", "c", "d")
    hers, his = stored(store, alice), stored(store, bob)
    gone = after(store, lambda w: w.samples.remove(w.samples.of(alice)[:1]))
    assert (gone.erased, gone.erased_vectors) == (True, hers[:1])
    moved = after(store, lambda w: w.samples.move(w.samples.of(bob), alice))
    assert moved.erased_vectors == his[:1], "a repeat is dropped, the other sample moves"
    removed = after(store, lambda w: w.speakers.remove(alice))
    assert sorted(removed.erased_vectors) == sorted([*hers[1:], his[1]])


def test_what_erases_nothing_is_no_erasure(store: Store) -> None:
    alice, bob = enroll(store, "alice", "a"), enroll(store, "bob", "b")
    kept = [
        after(store, lambda w: w.samples.remove([])),
        after(store, lambda w: w.samples.remove_of(alice, OTHER_SPACE.id)),
        after(store, lambda w: w.samples.move(w.samples.of(bob), alice)),
        after(store, lambda w: w.speakers.edit(alice, SpeakerDetails(enabled=False))),
    ]
    assert [effects.erased for effects in kept] == [False] * 4
    with store.read() as reader:
        assert (reader.erasures.pending(), reader.erasures.newest()) == (None, 0)


def test_an_erasure_is_pending_until_it_is_cleared_and_not_if_it_was_rolled_back(
    store: Store,
) -> None:
    ids = [enroll(store, name, "a", "b") for name in ("alice", "bob", "carol")]
    began = datetime.now(UTC)
    with pytest.raises(ZeroDivisionError), store.write() as writer:
        assert writer.speakers.remove(ids[0]) or 1 / 0
    with store.read() as reader:
        assert reader.erasures.pending() is None
    for speaker_id in ids[:2]:
        after(store, lambda w, gone=speaker_id: w.speakers.remove(gone))
    with store.read() as reader:
        oldest, newest = reader.erasures.pending(), reader.erasures.newest()
    assert oldest is not None
    assert began <= oldest <= datetime.now(UTC)
    after(store, lambda w: w.speakers.remove(ids[2]))
    after(store, lambda w: w.erasures.clear(newest))
    with store.read() as reader:
        assert (reader.erasures.pending() or began) > oldest, "the one in between is still pending"
        assert reader.erasures.newest() > newest


def test_a_speaker_who_is_gone_is_not_renamed(store: Store) -> None:
    alice = enroll(store, "alice", "a")
    enroll(store, "bob", "b")
    with store.write() as writer:
        before = writer.speakers.get("alice")
        with pytest.raises(SpeakerExists, match="bob"):
            writer.speakers.rename(before, "BOB")
        writer.speakers.remove(alice)
        with pytest.raises(SpeakerNotFound):
            writer.speakers.rename(before, "carol")


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    """Yield the list of the SQL statements that run meanwhile."""
    ran: list[str] = []

    def note(*args: object) -> None:
        ran.append(str(args[2]))

    event.listen(store._engine, "before_cursor_execute", note)
    yield ran
    event.remove(store._engine, "before_cursor_execute", note)


def statements(store: Store, change: Callable[[Writer], object]) -> list[str]:
    """Return the SQL that a change runs, in its transaction."""
    with store.write() as writer, counted(store) as ran:
        change(writer)
    return ran


def test_a_change_takes_few_statements(store: Store) -> None:
    ids = [enroll(store, f"s{n}", "a", "b") for n in range(30)]
    adapt(store)
    adapt_once = enroll(store, "alice", "a", "b", "c")
    new = [sample(random_unit(RNG), clip) for clip in ("x", "y")]

    def added(writer: Writer) -> None:
        writer.samples.add(writer.speakers.add("new").id, SPACE, new)

    def renamed(writer: Writer) -> None:
        writer.speakers.rename(writer.speakers.get("s1"), "zoe")
        writer.speakers.get("zoe")

    def removed(writer: Writer) -> None:
        writer.samples.remove([writer.samples.of(id_)[0] for id_ in ids])

    def moved(writer: Writer) -> None:
        writer.samples.move(writer.samples.of(adapt_once)[2:], ids[0])

    assert len(statements(store, added)) == 7
    assert len(statements(store, renamed)) == 4  # one of them reads it again
    assert len(statements(store, removed)) == len(ids) + 11  # and fingerprints
    assert len(statements(store, moved)) <= 12
    assert len(statements(store, lambda w: w.speakers.remove(ids[0]))) == 12


def test_all_that_decides_is_read_in_two_statements(store: Store) -> None:
    enroll(store, "alice", "a")
    adapted = adapt(store)
    with store.read() as reader:
        assert reader.fits(SPACE.id) == (None, None)
        assert reader.fits("a space that was never used") == (None, None)
    after(store, lambda w: w.adaptations.use(SPACE.id, 1))
    with store.read() as reader, counted(store) as ran:
        found = reader.fits(SPACE.id)
        _ = reader.protection.sealing  # as the names of speakers need it: it is read once
    assert len(ran) == 2
    assert found.adaptation is not None
    assert (found.adaptation.adapted_id, found.calibration) == (adapted, None)
