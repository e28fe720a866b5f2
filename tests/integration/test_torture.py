"""A few rounds of `make torture`, which has hundreds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PATHS = [ROOT, TESTS, TESTS / "cli", TESTS / "unit" / "audio", TESTS / "unit" / "models"]


def test_some_rounds_of_the_torture_lose_nothing_and_find_nothing_stale() -> None:
    short = [
        "--rounds=3",
        "--rebuilds=2",
        "--speakers=100",
        "--seconds=0.5",
        "--pairs=3",
        "--fuzz=2",
        "--mixtures=1",
        "--hostile=0",  # tests/cli/test_bounds.py runs them
    ]
    done = subprocess.run(
        [sys.executable, "-m", "torture", *short],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {part: list(map(int, counts.split())) for part, counts in _rows(done.stdout)}
    for kind, rounds, rebuilds in [("", 3, 2), ("sealed_", 1, 1)]:
        assert counts[f"{kind}crashes"][0] == rounds
        assert counts[f"{kind}crashes"][1] >= rounds
        assert counts[f"{kind}server_crashes"][0] == 1
        assert counts[f"{kind}server_crowd"][2] > 0
        assert counts[f"{kind}rebuilds"][:2] == [rebuilds, rebuilds]
        assert counts[f"{kind}crowd"][2] > 0
        assert counts[f"{kind}mixtures"][2] > 0
    assert counts["sealed_lifetimes"][:2] == counts["sealed_server_lifetimes"][:2] == [1, 1]
    assert counts["fuzz"][2] > 50


def _rows(table: str) -> list[tuple[str, str]]:
    return re.findall(r"^(\w+) +((?:\d+ +){5})", table, re.MULTILINE)
