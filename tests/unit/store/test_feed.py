"""The change feed: a number and a token, and nothing that only one of them fits."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from random_voices import SPACE, random_unit, sample

from voiceid.domain import EMPTY_REVISION, Revision
from voiceid.store import Store

RNG = np.random.default_rng(7)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "voices.sqlite3")
    yield opened
    opened.close()


def enroll(store: Store, name: str) -> Revision:
    with store.write() as writer:
        speaker = writer.speakers.find(name) or writer.speakers.add(name)
        writer.samples.add(speaker.id, SPACE, [sample(random_unit(RNG))])
        return writer.revision


def test_the_feed_after_a_point_begins_behind_it_and_there_is_none_after_another_token(
    store: Store,
) -> None:
    points = [EMPTY_REVISION, *(enroll(store, name) for name in ("a", "b", "a"))]
    assert [point.number for point in points] == [0, 1, 2, 3]
    with store.read() as reader:
        for number, point in enumerate(points):
            rest = points[number + 1 :]
            assert [e.revision for e in reader.feed.after(point) or []] == rest
            assert [e.revision for e in reader.feed.since(number)] == rest
            assert reader.feed.has(point)
            if number:
                stranger = Revision(number, secrets.token_hex(8))
                assert reader.feed.after(stranger) is None
                assert not reader.feed.has(stranger)
        assert reader.feed.after(Revision(4, points[3].token)) is None
        assert reader.feed.after(Revision(0, points[3].token)) is None
        assert reader.revision == points[3]


def test_every_entry_has_a_token_of_its_own(store: Store) -> None:
    enroll(store, "a")
    enroll(store, "a")
    with store.write() as writer:
        for name in ("b", "c"):
            writer.samples.add(writer.speakers.add(name).id, SPACE, [sample(random_unit(RNG))])
    with store.read() as reader:
        tokens = [entry.revision.token for entry in reader.feed.since(0)]
    assert len(set(tokens)) == 4
    assert {len(token) for token in tokens} == {16}


def test_a_change_sees_the_point_that_it_has_come_to_and_a_snapshot_stays_at_its_own(
    store: Store,
) -> None:
    first = enroll(store, "a")
    with store.read() as reader:
        assert reader.revision == first
        with store.write() as writer:
            assert writer.revision == first
            writer.samples.add(writer.speakers.add("b").id, SPACE, [sample(random_unit(RNG))])
            assert writer.revision.number == 2
        assert reader.revision == first


def test_erasures_are_finished_up_to_one_and_the_oldest_is_the_one_that_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = []
    for name in ("a", "b", "c"):
        enroll(store, name)
        with store.write() as writer:
            writer.speakers.remove(writer.speakers.get(name).id)
            began.append(writer.now)
    with store.read() as reader:
        assert (reader.erasures.pending(), reader.erasures.newest()) == (began[0], 3)
    with store.write() as writer:
        writer.erasures.clear(2)
    with store.read() as reader:
        assert (reader.erasures.pending(), reader.erasures.newest()) == (began[2], 3)
    with store.write() as writer:
        writer.erasures.clear(3)
    with store.read() as reader:
        assert (reader.erasures.pending(), reader.erasures.newest()) == (None, 0)


def test_an_erasure_is_written_down_once_a_change_with_all_its_vectors(store: Store) -> None:
    enroll(store, "a")
    enroll(store, "b")
    with store.write() as writer:
        for name in ("a", "b"):
            writer.speakers.remove(writer.speakers.get(name).id)
        assert writer.erasures.newest() == 1
        assert len(writer.effects.erased_vectors) == 2
