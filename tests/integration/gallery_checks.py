"""Starts workers, and checks all that must hold of a database and its index after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gallery_worker
import numpy as np
from random_voices import SPACE
from worker_forks import Worker

from voiceid.store import Store


@contextmanager
def started(*commands: Sequence[object]) -> Iterator[list[Worker]]:
    """Start a worker for each command, and when all are ready let them go at one moment."""
    with ExitStack() as stack:
        workers = []
        for command in commands:
            worker = stack.enter_context(Worker("gallery_worker", command))
            workers.append(worker)
            stack.callback(worker.kill)  # called before the worker's own exit waits for it
        for worker in workers:
            assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        yield workers


def result(worker: Worker) -> str:
    """Wait for a worker's good end; return what it said."""
    said, errors = worker.communicate(timeout=60)
    assert (worker.returncode, errors) == (0, ""), errors
    return said


def require_sound(database: Path, kind: str) -> dict[str, int]:
    """Check all that must hold of a database and its index; return who is enrolled."""
    store = Store.open(database)
    index = gallery_worker.open_gallery(database, kind)
    with store.read() as reader:
        assert reader.connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert reader.connection.exec_driver_sql("PRAGMA foreign_key_check").first() is None
        speakers = reader.speakers.all()
        for speaker in speakers:
            samples = reader.samples.of(speaker.id, SPACE.id)
            assert len(samples) == speaker.n_samples
            mean = np.mean([s.vector.astype(np.float64) for s in samples], axis=0)
            centroid = reader.centroids.of(speaker.id, SPACE.id)
            np.testing.assert_allclose(centroid, mean / np.linalg.norm(mean), atol=1e-6)
        table = reader.centroids.table(SPACE.id)
        assert len(table.ids) == len(speakers)
        changed = {change.centroid_id for change in reader.feed.since(0)}
        assert set(table.ids.tolist()) <= changed, "a centroid is not in the feed"
        for row in range(0, len(table.ids), 7):
            hits = index.search(reader, table.vectors[row], 1)
            assert [i for i, _ in hits] == [table.ids[row]]
        index.rebuild(reader)
        built = index._file.path.read_bytes()
        caught_up = gallery_worker.open_gallery(database, kind)
        caught_up.sync(reader)
        assert caught_up.size(reader) == len(caught_up) == len(index) == len(table.ids)
        assert index._file.path.read_bytes() == built
    store.close()
    return {s.name: s.n_samples for s in speakers}
