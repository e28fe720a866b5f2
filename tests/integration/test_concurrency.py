"""Processes and threads enroll, remove and search at once: nothing lost, nothing stale."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gallery_worker
import pytest
from gallery_checks import require_sound, result, started

from voiceid.store import Store


@pytest.mark.parametrize("kind", ["exact", "two-stage"])
def test_processes_at_once_lose_nothing_and_find_nothing_stale(tmp_path: Path, kind: str) -> None:
    database = tmp_path / "data" / "voices.sqlite3"  # which the first one makes
    expected: dict[str, int] = {}
    with started(*[("work", database, kind, seed, 12) for seed in range(4)]) as workers:
        for worker in workers:
            expected.update(json.loads(result(worker)))
    assert require_sound(database, kind) == expected


@pytest.mark.parametrize("kind", ["exact", "two-stage"])
def test_threads_that_share_one_store_and_index_lose_nothing(tmp_path: Path, kind: str) -> None:
    database = tmp_path / "voices.sqlite3"
    store = Store.open(database)
    index = gallery_worker.open_gallery(database, kind)
    expected: dict[str, int] = {}
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(gallery_worker.work, store, index, seed, 8) for seed in range(8)]
        for job in jobs:
            expected.update(job.result(timeout=60))
    store.close()
    assert require_sound(database, kind) == expected
