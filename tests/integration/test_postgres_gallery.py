"""Many hosts at one server: nothing acknowledged is lost, whatever is killed, nothing is stale."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gallery_worker
import numpy as np
import pytest
from gallery_checks import result, started
from postgres_server import Databases, Server, own_server
from private_galleries import heard, opened
from random_voices import DIM, SPACE, random_unit, sample
from sqlalchemy import event
from torture.voices import new_clips

from voiceid.domain import DatabaseUrl
from voiceid.errors import ErasureIncomplete, StoreError, StoreUnreachable
from voiceid.index.server_gallery import ServerGallery
from voiceid.server.problems import problem_of
from voiceid.store import Store, maintenance


@pytest.fixture
def url(postgres: Databases) -> Iterator[DatabaseUrl]:
    made = postgres.empty()  # the first makes the tables
    yield made
    postgres.drop(made)


def require_sound(url: DatabaseUrl) -> dict[str, int]:
    """Check all that must hold of a database; return who is enrolled with how many samples."""
    store = Store.open(url)
    assert maintenance.check(store) == []
    index = ServerGallery(SPACE.id, DIM, str(url), store.write)
    with store.read() as reader:
        speakers = reader.speakers.all()
        table = reader.centroids.table(SPACE.id)
        assert len(table.ids) == len(speakers)
        changed = {entry.centroid_id for entry in reader.feed.since(0)}
        assert set(table.ids.tolist()) <= changed, "a centroid is not in the feed"
        for row in range(0, len(table.ids), 7):
            [(found, _)] = index.search(reader, table.vectors[row], 1)
            assert found == table.ids[row]
    store.close()
    return {speaker.name: speaker.n_samples for speaker in speakers}


def test_processes_at_once_lose_nothing_and_find_nothing_stale(url: DatabaseUrl) -> None:
    expected: dict[str, int] = {}
    with started(*[("work", url.text, "pgvector", seed, 8) for seed in range(4)]) as workers:
        for worker in workers:
            expected.update(json.loads(result(worker)))
    assert require_sound(url) == expected


def test_eight_writers_and_eight_readers_of_one_store_lose_nothing(url: DatabaseUrl) -> None:
    store = Store.open(url)
    index = gallery_worker.open_gallery(url, "pgvector")
    gallery_worker.enroll(store, index, "first", random_unit(np.random.default_rng(99), 1))
    expected, acknowledged = {"first": 1}, ["first"]
    stop = threading.Event()

    def write(seed: int) -> dict[str, int]:
        kept = gallery_worker.work(store, index, seed, 5)
        acknowledged.extend(kept)
        return kept

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            there = set(acknowledged)
            gallery_worker.found(store, index, random_unit(rng), 5)
            with store.read() as reader:
                assert there <= {speaker.name for speaker in reader.speakers.all()}, (
                    "a stale answer"
                )

    with ThreadPoolExecutor(16) as pool:
        readers = [pool.submit(read, seed) for seed in range(8)]
        writers = [pool.submit(write, seed) for seed in range(8)]
        try:
            for job in writers:
                expected.update(job.result(timeout=120))
        finally:
            stop.set()
        for job in readers:
            job.result(timeout=120)
    store.close()
    assert require_sound(url) == expected


def test_a_writer_that_is_killed_leaves_a_whole_database(url: DatabaseUrl) -> None:
    rng, before = np.random.default_rng(7), {}
    for seed in range(4):
        with started(("crash", url.text, "pgvector", seed)) as (worker,):
            said = worker.stdout.readline()
            time.sleep(float(rng.uniform(0, 0.5)))
            worker.kill()
            more, errors = worker.communicate(timeout=30)
        said += more
        assert errors == ""
        enrolled = require_sound(url)
        assert before.items() <= enrolled.items(), "what an earlier process committed is lost"
        mine = [int(name.split()[2]) for name in enrolled if name.startswith(f"crash {seed} ")]
        # Six commits are reported for every three speakers; the last may be a removal.
        reported = said.count("committed")
        assert max(mine, default=-1) >= reported // 2 - 2, "a reported commit is lost"
        before = enrolled


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Server, Databases]]:
    """A server that may be killed, and that flushes to its disk as one that matters does."""
    with own_server() as own:
        yield own, Databases(own.admin)


class Writers:
    """Threads that add speakers for as long as the server lives, and note the answers."""

    def __init__(self, store: Store) -> None:
        self.acknowledged: set[str] = set()
        self.unknown: set[str] = set()
        self.failed: set[str] = set()
        self.hints: set[str] = set()
        self._store, self._stop = store, threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(6)]
        self._threads += [threading.Thread(target=self._read) for _ in range(2)]
        self.wrong: list[BaseException] = []
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, who: int) -> None:
        rng, number = np.random.default_rng(who), 0
        while not self._stop.is_set():
            number += 1
            name = f"{who} {number}"
            try:
                with self._store.write() as writer:
                    speaker = writer.speakers.add(name)
                    writer.samples.add(speaker.id, SPACE, [sample(random_unit(rng))])
            except StoreError as error:
                told = self.unknown if "is not known" in error.message else self.failed
                told.add(name)
                self.hints.add(error.hint)
                time.sleep(0.01)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is wrong
                self.wrong.append(error)
                return
            else:
                self.acknowledged.add(name)

    def _read(self) -> None:
        while not self._stop.is_set():
            before = set(self.acknowledged)
            try:
                with self._store.read() as reader:
                    found = {speaker.name for speaker in reader.speakers.all()}
            except StoreError:
                time.sleep(0.01)
                continue
            if not before <= found:
                self.wrong.append(AssertionError(f"{before - found} was acknowledged"))
                return


def test_a_change_is_not_denied_where_the_server_goes_away_after_its_commit(
    server: tuple[Server, Databases], tmp_path: Path
) -> None:
    own, databases = server
    with opened(tmp_path, "plain", databases.migrated()) as vid:
        vid.enroll("alice", heard(vid, new_clips(np.random.default_rng(1), 3, 1)))

        def stop(*_: object) -> None:
            own.stop(signal.SIGQUIT)

        def committed(_: object) -> None:
            event.listen(engine, "checkin", stop, once=True)

        engine = vid._session.store._engine
        event.listen(engine, "commit", committed, once=True)
        with pytest.raises(ErasureIncomplete, match="cannot be reached"):
            vid.speakers.remove("alice")
        own.start()
        assert vid.speakers.count() == 0
        vid.speakers.add("bob")
        with vid._session.store.read() as reader:
            assert reader.erasures.pending() is None, "the next change went on with it"


def test_a_server_that_restarts_loses_nothing_that_was_acknowledged(
    server: tuple[Server, Databases],
) -> None:
    own, databases = server
    url = databases.migrated()
    store = Store.open(url)
    writers = Writers(store)
    try:
        for how in (signal.SIGQUIT, signal.SIGINT):
            heard = len(writers.acknowledged)
            deadline = time.monotonic() + 30
            while len(writers.acknowledged) < heard + 20 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert len(writers.acknowledged) >= heard + 20, "no connection was made again"
            own.stop(how)
            with pytest.raises(StoreUnreachable) as down, store.read() as reader:
                reader.speakers.all()
            assert problem_of(down.value).retry_after_s == 1  # over HTTP it is a 503
            own.start()
        time.sleep(0.3)
    finally:
        writers.stop()
    assert writers.wrong == []
    with store.write() as writer:  # the same pool goes on
        writer.speakers.add("afterwards")
        writer.speakers.remove(writer.speakers.get("afterwards").id)
    store.close()
    there = set(require_sound(url))
    assert writers.acknowledged <= there, "an acknowledged change is lost"
    assert not writers.failed & there, "what was said to have failed is there"
    assert there <= writers.acknowledged | writers.unknown
    assert writers.failed
    assert all(writers.hints)


def test_a_commit_whose_answer_is_lost_is_said_to_be_unknown(
    server: tuple[Server, Databases],
) -> None:
    """The connection is cut where only the server can know: at the commit itself."""
    url = server[1].migrated()
    store = Store.open(url)
    with pytest.raises(StoreError, match="not known") as caught:
        add_and_be_cut_off(store, "alice")
    assert "See whether the change is there" in caught.value.hint
    with store.read() as reader:
        assert reader.speakers.all() == []
    store.close()


def add_and_be_cut_off(store: Store, name: str) -> None:
    with store.write() as writer:
        writer.speakers.add(name)
        mine = writer.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        with store.read() as other:
            end = "SELECT pg_terminate_backend(%s, 5000)"
            other.connection.exec_driver_sql(end, (mine,))
