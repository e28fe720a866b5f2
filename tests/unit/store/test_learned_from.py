"""Of whom calibrations and adaptations were learned."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from random_voices import SPACE, random_unit, sample

from voiceid.domain import DatabaseUrl
from voiceid.store import Store
from voiceid.store.learned_from import SpeakerIds


@pytest.mark.parametrize(
    ("ids", "text"), [((), ""), ((7,), "7"), ((3, 1, 2, 2), "1-3"), ((1, 2, 5, 8, 9), "1-2,5,8-9")]
)
def test_ids_are_written_as_ranges(ids: tuple[int, ...], text: str) -> None:
    found = SpeakerIds.of(ids)
    assert found.text == text
    assert len(found) == len(set(ids))
    assert [id_ for id_ in range(12) if id_ in found] == sorted(set(ids))
    assert 4 in found.and_of(4)


def test_who_gets_samples_of_one_it_was_learned_from_is_one_of_them(
    database: Path | DatabaseUrl,
) -> None:
    rng = np.random.default_rng(2)
    with closing(Store.open(database)) as store:
        with store.write() as writer:
            ids = [writer.speakers.add(f"s{number}").id for number in range(4)]
            for id_ in ids[:3]:
                writer.samples.add(id_, SPACE, [sample(random_unit(rng))])
            writer.learned.put("adaptation", 5, ids[:2])
            writer.learned.put("calibration", 5, ids[2:3])
            writer.learned.put("calibration", 6, ())
        with store.write() as writer:
            writer.samples.move(writer.samples.of(ids[0]), ids[3])
            writer.samples.move(writer.samples.of(ids[1]), ids[0])
        with store.read() as reader:
            found = {key: value.text for key, value in reader.learned.all().items()}
        assert found == {
            ("adaptation", 5): SpeakerIds.of([ids[0], ids[1], ids[3]]).text,
            ("calibration", 5): str(ids[2]),
            ("calibration", 6): "",
        }
