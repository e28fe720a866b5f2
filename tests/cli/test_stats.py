"""``voiceid stats``: what is in the gallery, for people, programs and Prometheus."""

from __future__ import annotations

import re
from pathlib import Path

from cli_running import Runner
from prometheus_client.parser import text_string_to_metric_families


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the values by the name and the values of the labels."""
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_it_counts_what_is_there(home: Path, run: Runner) -> None:
    run("speakers", "edit", "alice", "--group", "staff", "--group", "door")
    run("speakers", "disable", "bob")
    found = run("stats", "--json").json
    [space] = found.pop("spaces")
    size = (home / "data" / "voiceid.sqlite3").stat().st_size
    assert found == {
        "model": "campplus",
        "schema": run("database", "status", "--json").json["current"],
        "revision": 3,
        "speakers": 2,
        "standing": {"active": 1, "expired": 0, "disabled": 1, "no_consent": 0},
        "groups": {"door": 1, "staff": 1},
        "database_bytes": size,
    }
    [index] = (home / "data" / "index").glob("*.index")
    assert space == {
        "space": index.stem,
        "in_use": True,
        "speakers": 2,
        "samples": 4,
        "calibration": None,
        "adaptation": None,
        "index_state": "current",
        "index_bytes": index.stat().st_size,
    }
    text = run("stats").out
    assert re.search(
        r"^speakers +all 2, active 1, expired 0, disabled 1, no_consent 0$", text, re.MULTILINE
    )
    assert re.search(rf"^{index.stem} +yes +2 +4 +- +- +current", text, re.MULTILINE)
    other = run("stats", "--model", "ge2e", "--json").json
    assert (other["model"], other["spaces"][0]["in_use"]) == ("ge2e", False)


def test_prometheus_reads_the_same(home: Path, run: Runner) -> None:
    ran = run("stats", "--prometheus")
    found = samples(ran.out)
    facts = run("stats", "--json").json
    [space] = facts["spaces"]
    assert found["voiceid_speakers", space["space"]] == space["speakers"] == 2
    assert found["voiceid_samples", space["space"]] == space["samples"]
    assert found["voiceid_index_bytes", space["space"]] == space["index_bytes"]
    assert found["voiceid_index_state_info", space["space"], "current"] == 1
    assert found[("voiceid_database_bytes",)] == facts["database_bytes"]
    assert found[("voiceid_revision",)] == facts["revision"]
    assert found["voiceid_standing_speakers", "active"] == 2
    assert ran.err == ""


def test_an_index_that_is_gone_is_reported_and_not_made(home: Path, run: Runner) -> None:
    for path in (home / "data" / "index").iterdir():
        path.unlink()
    [space] = run("stats", "--json").json["spaces"]
    assert (space["index_state"], space["index_bytes"]) == ("missing", 0)
    assert list((home / "data" / "index").iterdir()) == []


def test_without_a_database_there_is_no_speaker_and_none_is_made(
    empty_home: Path, run: Runner
) -> None:
    found = run("stats", "--json").json
    assert (found["schema"], found["speakers"], found["spaces"]) == (None, 0, [])
    assert run("stats").code == 0
    assert samples(run("stats", "--prometheus").out)[("voiceid_revision",)] == 0
    assert not (empty_home / "data").exists()


def test_one_format_is_asked_for_at_a_time(home: Path, run: Runner) -> None:
    assert run("stats", "--json", "--prometheus").code == 2
