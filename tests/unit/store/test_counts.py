"""Counts that the database makes are those of the rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from random_voices import OTHER_SPACE, SPACE, random_unit, sample

from voiceid.domain import SpeakerDetails, Standing
from voiceid.store import Store

NOW = datetime(2026, 11, 25, 12, 0, 0, 500, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path):
    opened = Store.open(tmp_path / "voiceid.sqlite3")
    yield opened
    opened.close()


def test_an_empty_database_counts_no_speaker(store: Store) -> None:
    with store.read() as reader:
        assert reader.centroids.counts() == {}
        assert reader.samples.counts() == {}
        assert reader.speakers.group_sizes() == {}
        assert reader.speakers.standings(NOW) == dict.fromkeys(Standing, 0)


def test_the_counts_are_those_of_the_rows(store: Store) -> None:
    rng = np.random.default_rng(3)
    expiries = [None, NOW - timedelta(days=1), NOW, NOW + timedelta(microseconds=1), None]
    with store.write() as writer:
        for number, expires_at in enumerate(expiries):
            speaker = writer.speakers.add(f"person {number}")
            groups = ("door", "staff") if number % 2 else ("door",)
            writer.speakers.edit(
                speaker.id,
                SpeakerDetails(groups=groups, expires_at=expires_at, enabled=number != 4),
            )
            for space, n in ((SPACE, number + 1), (OTHER_SPACE, number // 4)):
                new = [sample(vector, space=space) for vector in random_unit(rng, n or 1)[:n]]
                if new:
                    writer.samples.add(speaker.id, space, new)
    with store.read() as reader:
        assert reader.centroids.counts() == {SPACE.id: 5, OTHER_SPACE.id: 1}
        assert reader.samples.counts() == {SPACE.id: 15, OTHER_SPACE.id: 1}
        assert reader.speakers.group_sizes() == {"door": 5, "staff": 2}
        standing = reader.speakers.standings(NOW)
        one_by_one = [speaker.standing(NOW) for speaker in reader.speakers.all()]
        assert standing == {name: one_by_one.count(name) for name in Standing}
        counted = {Standing.ACTIVE: 2, Standing.EXPIRED: 2, Standing.DISABLED: 1}
        assert standing == {**counted, Standing.NO_CONSENT: 0}
