"""The picture of who spoke when: every turn is in it, in rows that can be read."""

from __future__ import annotations

import pytest
from matplotlib.collections import PolyCollection
from talks import talk

from voiceid.pictures import lanes, png, svg


def spans(axes) -> list[tuple[float, float]]:
    found = []
    for collection in axes.collections:
        assert isinstance(collection, PolyCollection)
        for path in collection.get_paths():
            (x0, _), (x1, _) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            found.append((round(float(x0), 3), round(float(x1), 3)))
    return sorted(found)


@pytest.mark.parametrize(
    ("duration_s", "rows", "end_s"),
    [(0, 1, 1), (14.9, 1, 14.9), (60, 1, 60), (61, 2, 120), (1800, 6, 1800), (10_800, 6, 10_800)],
)
def test_rows_cover_the_recording(duration_s: float, rows: int, end_s: float) -> None:
    figure = lanes(talk((0, 1, "alice"), duration_s=duration_s))
    assert len(figure.axes) == rows
    assert figure.axes[0].get_xlim()[0] == 0
    assert figure.axes[-1].get_xlim()[1] == pytest.approx(end_s)


def test_each_row_has_the_voices_that_speak_in_it_with_all_their_turns() -> None:
    turns = [(1, 3, "bob"), (2, 5, "李"), (55, 60, "李"), (58, 63, "bob")]
    figure = lanes(talk(*turns, duration_s=100))
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["bob", "\\u674e"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["bob"]
    assert spans(first) == [(1, 3), (2, 5), (55, 60), (58, 63)]
    assert spans(second) == [(58, 63)]
    assert (first.get_xlim(), second.get_xlim()) == ((0, 60), (60, 120))


def test_a_picture_of_many_voices_is_a_file_and_always_the_same() -> None:
    turns = [(i * 0.3, i * 0.3 + 0.2, f"unknown-{i % 12 + 1}") for i in range(200)]
    found = talk(*turns, duration_s=60)
    assert png(lanes(found)) == png(lanes(found))
    assert svg(lanes(found)).startswith(b"<?xml")
