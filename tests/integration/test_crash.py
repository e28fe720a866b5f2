"""Kill -9 at random moments, and a full disk: what was committed is there, and whole."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest
from gallery_checks import require_sound, result, started

from voiceid.store import Store

ROUNDS = 12


def killed_after(database: Path, kind: str, seed: int, delay_s: float) -> int:
    """Run a writer and kill it; return how many commits it had reported."""
    with started(("crash", database, kind, seed)) as (worker,):
        time.sleep(delay_s)
        worker.kill()
        said, errors = worker.communicate(timeout=30)
    assert errors == ""
    return said.count("committed")


def last_number(names: list[str], seed: int) -> int:
    return max((int(n.split()[2]) for n in names if n.startswith(f"crash {seed} ")), default=-1)


@pytest.mark.parametrize("kind", ["exact", "two-stage"])
def test_a_writer_that_is_killed_leaves_a_whole_database(tmp_path: Path, kind: str) -> None:
    database = tmp_path / "data" / "voices.sqlite3"
    rng, reported, before = np.random.default_rng(7), 0, {}
    for seed in itertools.count():
        if seed >= ROUNDS // 2 and reported:
            break
        # The first rounds are killed while the database is being made; a machine that is busy
        # with other things gets more of them, and more time in each.
        delay_s = float(rng.uniform(0, 0.1)) if seed < 2 else float(rng.uniform(0.02, 0.4))
        delay_s *= max(1, seed + 1 - ROUNDS // 2)
        commits = killed_after(database, kind, seed, delay_s)
        enrolled = require_sound(database, kind)
        assert before.items() <= enrolled.items(), "what an earlier process committed is lost"
        # Six commits are reported for every three speakers; the last may be a removal.
        assert last_number(list(enrolled), seed) >= commits // 2 - 2, "a reported commit is lost"
        before, reported = enrolled, reported + commits


def test_a_full_disk_leaves_the_last_committed_state(tmp_path: Path) -> None:
    database = tmp_path / "voices.sqlite3"
    with started(("fill", database, 400_000)) as (worker,):
        facts = json.loads(result(worker))
    assert facts["committed"] > 0
    assert "disk" in facts["hint"]
    assert len(require_sound(database, "exact")) == facts["committed"]
    store = Store.open(database)
    with store.write() as writer:  # there is room again
        writer.speakers.add("late")
    store.close()
