"""No name passes for another one that is enrolled, and no honest name is kept out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from voiceid.domain import DatabaseUrl
from voiceid.errors import SpeakerExists
from voiceid.store import Store
from voiceid.store import similar_names as by_name


@pytest.fixture
def store(database: Path | DatabaseUrl) -> Iterator[Store]:
    with closing(Store.open(database)) as opened:
        yield opened


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """A store that each test leaves as empty as it was."""
    place: Path | DatabaseUrl = tmp_path_factory.mktemp("shared") / "voices.sqlite3"
    if request.param == "postgresql":
        place = request.getfixturevalue("postgres").migrated()
    with closing(Store.open(place)) as opened:
        yield opened


def refused(store: Store, enrolled: str, name: str) -> bool:
    with store.write() as writer:
        speaker = writer.speakers.add(enrolled)
        alike = writer.speakers.look_alikes([name])
        writer.speakers.remove(speaker.id)
    assert alike in ({}, {name: enrolled})
    return bool(alike)


ALIKE = [
    ("Ana", "Аnа"),
    ("Ana", "Αna"),
    ("alice", "аӏісе"),
    ("Hanna", "Нanna"),
    ("Роман", "Pоман"),
    ("Ярослав", "Яpослав"),
    ("Том", "Tom"),
    ("Νίκος", "Nίκος"),
    ("Ánna", "А\u0301nna"),
    ("Yves", "Υves"),
    ("Bob", "B0b"),
    ("Alice", "A1ice"),
    ("Ѕam Smith", "Sam Smith"),
    ("Фёдор", "Φёдор"),
    ("Ann", "Ꭺnn"),
]


@pytest.mark.parametrize(("one", "other"), [*ALIKE, *(pair[::-1] for pair in ALIKE)])
def test_a_name_in_letters_that_look_the_same_is_found(shared: Store, one: str, other: str) -> None:
    assert refused(shared, one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ана", "Яна"),
        ("Иван", "Ivan"),
        ("Ελένη", "Helen"),
        ("Ian", "Lan"),
        ("Sıla", "Sila"),
        ("Ana", "Anna"),
        ("Ana", "Аnна"),
        ("김민수", "김민준"),
        ("José", "Jose"),
        ("s1", "s2"),
        ("alice", "ALICE"),
    ],
)
def test_an_honest_name_is_not(shared: Store, one: str, other: str) -> None:
    assert not refused(shared, one, other)
    assert not refused(shared, other, one)


def test_a_long_list_finds_what_one_name_alone_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.write() as writer:
        for one in {one.casefold() for one, _ in ALIKE}:
            writer.speakers.add(one)
        names = [other for _, other in ALIKE] + ["Zoë", "Иван"]
        few = writer.speakers.look_alikes(names)
        monkeypatch.setattr(by_name, "_ONE_BY_ONE", 0)
        many = writer.speakers.look_alikes(names)
        assert few.keys() == many.keys() == {other for _, other in ALIKE}


def test_names_that_are_new_together_are_held_against_each_other(store: Store) -> None:
    with store.read() as reader:
        assert reader.speakers.look_alikes(["Ana", "Bob", "Аnа"]) == {"Аnа": "Ana"}
        with pytest.raises(SpeakerExists, match="looks like 'Ana'"):
            reader.speakers.require_distinct(["Ana", "Аnа"])


def test_a_speaker_may_be_renamed_to_what_its_own_name_looks_like(store: Store) -> None:
    with store.write() as writer:
        writer.speakers.add("Аnа")
        writer.speakers.require_distinct(["Ana"], instead_of="Аnа")
        with pytest.raises(SpeakerExists):
            writer.speakers.require_distinct(["Ana"])


def test_of_many_names_those_who_came_or_changed_since_are_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_name, "_ONE_BY_ONE", 0)
    with store.write() as writer:
        writer.speakers.add("Bob")
        writer.speakers.add("Nell")
    with store.read() as reader:
        since = reader.speakers.newest()
        reader.speakers.require_distinct(["B0b"], since=since)
    with store.write() as writer:
        writer.speakers.add("Ana")
        writer.speakers.rename(writer.speakers.get("Nell"), "Alice")
    for name in ("Аnа", "A1ice"):
        with store.read() as reader, pytest.raises(SpeakerExists):
            reader.speakers.require_distinct([name], since=since)
