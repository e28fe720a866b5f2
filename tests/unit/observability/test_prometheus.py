"""The text is what Prometheus' own parser reads back, whatever names people choose."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from voiceid import GalleryStats, Reason, SpaceStats, Task
from voiceid.observability import Counters
from voiceid.observability.counters import BOUNDS_S
from voiceid.observability.prometheus import gauge, text

IN_USE = {
    "in_use": True,
    "calibration": 3,
    "adaptation": None,
    "index_state": "current",
    "index_bytes": 7,
}
VALUES = st.one_of(st.integers(0, 2**53), st.floats(allow_nan=False))


def parsed(said: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return the values by the sample's name and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(said):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


@given(st.dictionaries(st.tuples(st.text(max_size=20), st.text(max_size=20)), VALUES, max_size=4))
def test_any_labels_and_values_come_back_from_the_parser(
    values: dict[tuple[str, str], float],
) -> None:
    said = text([gauge("things", "Things.", values, "kind", "of")])
    expected = {(("kind", k), ("of", o)): float(value) for (k, o), value in values.items()}
    assert parsed(said).get("voiceid_things", {}) == expected


def test_what_is_no_number_is_said_as_prometheus_says_it() -> None:
    said = text([gauge("x", "X.", {("nan",): math.nan, ("low",): -math.inf}, "of")])
    assert 'voiceid_x{of="nan"} NaN\n' in said
    assert 'voiceid_x{of="low"} -Inf\n' in said


def test_a_group_called_like_a_line_of_the_text_does_not_become_one() -> None:
    name = 'door"} 1\nvoiceid_decisions_total{outcome="accepted'
    one = SpaceStats("s", speakers=1, samples=1, **IN_USE)
    found = GalleryStats("campplus", "0003", 4, 1, {"active": 1}, {name: 1}, (one,), 9)
    read = parsed(found.to_prometheus())
    assert read["voiceid_group_speakers"] == {(("group", name),): 1.0}
    assert "voiceid_decisions_total" not in read
    assert read["voiceid_calibration_in_use"] == {(("space", "s"),): 3.0}
    assert "voiceid_adaptation_in_use" not in read, "nothing is in use, which is not number 0"
    assert found.to_dict()["spaces"][0]["index_bytes"] == 7


@given(st.lists(st.floats(0.0, 100.0), max_size=30))
def test_a_histogram_says_how_many_took_at_most_so_long(seconds: list[float]) -> None:
    counters = Counters()
    for took_s in seconds:
        counters.searched(took_s)
    stats = counters.stats({"space": 2})
    found = stats.stages["search"]
    assert (found.count, sum(found.counts)) == (len(seconds), len(seconds))
    assert found.sum_s == pytest.approx(sum(seconds))
    read = parsed(stats.to_prometheus())
    for bound in BOUNDS_S:
        key = (("le", repr(bound)), ("stage", "search"))
        at_most = sum(took_s <= bound for took_s in seconds)
        assert read["voiceid_stage_seconds_bucket"][key] == at_most
    assert read["voiceid_stage_seconds_bucket"][("le", "+Inf"), ("stage", "search")] == len(seconds)
    assert read["voiceid_stage_seconds_count"][(("stage", "search"),)] == len(seconds)
    assert read["voiceid_speakers"] == {(("space", "space"),): 2.0}


def test_before_anything_happened_everything_is_zero_or_not_there() -> None:
    before = datetime.now(UTC)
    stats = Counters().stats(None)
    assert before <= stats.started_at <= datetime.now(UTC)
    assert (stats.clips, stats.audio_s, stats.model_load_s, stats.speakers) == (0, 0.0, None, None)
    assert set(stats.latencies) == set(Task)
    read = parsed(stats.to_prometheus())
    assert read["voiceid_clips_total"] == {(): 0.0}
    assert "voiceid_model_load_seconds" not in read
    assert "voiceid_speakers" not in read
    ends = {tuple(dict(labels).values()) for labels in read["voiceid_decisions_total"]}
    assert {(outcome, reason) for outcome, reason, _ in ends} >= {("accepted", "match")}
    assert {reason for _, reason, _ in ends} == set(Reason)
    assert {task for _, _, task in ends} == set(Task)
    for name in ("decisions", "errors", "changes"):
        assert set(read[f"voiceid_{name}_total"].values()) == {0.0}
    assert (("error", "StoreBusy"),) in read["voiceid_errors_total"]
    assert (("kind", "rename"),) in read["voiceid_changes_total"]
