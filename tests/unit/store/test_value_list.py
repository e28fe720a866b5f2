"""Rows by many values: the same on both databases as looking at each row."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from voiceid.domain import DatabaseUrl
from voiceid.store import Store

NAMES = ["Alice", "O'Brien", 'x"]}', "Zoë", "李雷", "محمد", "100 %", "\\u0041", "[1]", "null", "7"]


@pytest.fixture
def store(database: Path | DatabaseUrl):
    opened = Store.open(database)
    with opened.write() as writer:
        for name in NAMES:
            writer.speakers.add(name)
    yield opened
    opened.close()


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    chosen=st.lists(st.sampled_from(NAMES)),
    others=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
)
@example(chosen=[], others=[])
@example(chosen=NAMES, others=["alice", "A", "", "'", '"'])
def test_names_are_found_whatever_they_hold(
    store: Store, chosen: list[str], others: list[str]
) -> None:
    keys = [name.casefold() for name in chosen] + others
    with store.read() as reader:
        expected = {one.name for one in reader.speakers.all() if one.name.casefold() in keys}
        assert {one.name for one in reader.speakers.holders(keys).values()} == expected


def test_there_may_be_more_of_them_than_a_statement_takes_parameters(store: Store) -> None:
    many = [uuid.uuid4().hex for _ in range(70_000)]
    with store.read() as reader:
        ids = [one.id for one in reader.speakers.all()]
        assert set(reader.speakers.holders([*many, "alice"])) == {"alice"}
        found = reader.samples.of_speakers([*ids, *range(10**6, 10**6 + 70_000)])
        assert {key for key in found if key < 10**6} == set(ids)
        assert reader.speakers.holders([]) == {}
