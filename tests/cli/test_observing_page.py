"""docs/observing.md tells all that is emitted, and nothing that is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_running import REPO, Runner

from voiceid import VoiceID
from voiceid.observability import KEYS
from voiceid.observability.counters import BOUNDS_S

PAGE = (REPO / "docs" / "observing.md").read_text(encoding="utf-8")


def test_the_page_tells_every_key_of_every_event_and_no_other(
    home: Path, ami: Any, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_LOG__FILE", "data/log.jsonl")
    door = ami.cut("alice-4", home / "door.wav")
    run("verify", "alice", door)
    run("speakers", "rename", "bob", "robert")
    run("verify", "nobody", door)
    rows = re.findall(r"^\| `(?!voiceid_)(\w+)` \| ([a-z, ]+) \| .+ \|$", PAGE, re.MULTILINE)
    told = {
        event: {key for key, where in rows if where == "all" or event in where.split(", ")}
        for event in KEYS
    }
    lines = (home / "data" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert {one["event"]: set(one) for one in map(json.loads, lines)} == told
    assert {where for _, wheres in rows for where in wheres.split(", ")} == {"all", *KEYS}


def test_the_page_tells_every_metric_and_no_other(home: Path, ami: Any, run: Runner) -> None:
    with VoiceID.open() as vid:
        vid.verify("alice", ami.cut("alice-4", home / "door.wav"))
        text = vid.events.stats().to_prometheus() + vid.events.gallery().to_prometheus()
    told = re.findall(r"^\| `(voiceid_\w+)(?:\{[\w, ]+\})?` \|", PAGE, re.MULTILINE)
    there = re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)
    assert set(told) == set(there)


def test_the_page_tells_the_buckets() -> None:
    [(milliseconds, seconds)] = re.findall(
        r"^The buckets .+? end at (.+?) ms, and\s+at (.+?) s\.", PAGE, re.MULTILINE | re.DOTALL
    )
    found = [float(number) / 1e3 for number in re.findall(r"[\d.]*\d", milliseconds)]
    found += [float(number) for number in re.findall(r"[\d.]*\d", seconds)]
    assert found == pytest.approx(BOUNDS_S)
