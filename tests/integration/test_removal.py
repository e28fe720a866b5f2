"""Who was removed is gone: from every answer at once, and from every file."""

from __future__ import annotations

import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from random_voices import DIM, SPACE, files_with, random_unit, sample
from worker_forks import program

from voiceid.domain import Float32Array
from voiceid.index.base import IndexOptions
from voiceid.index.file import IndexFile
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Store

KINDS = ["exact", "two-stage"]
ROOT = Path(__file__).resolve().parents[2]

REMOVE = """
import sys
from pathlib import Path
from voiceid.index.base import IndexOptions
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Store

database, index, name, space_id, dim, kind = sys.argv[1:]
store = Store.open(Path(database))
with store.write() as writer:
    writer.speakers.remove(writer.speakers.get(name).id)
with store.read() as reader:
    GalleryIndex(space_id, int(dim), Path(index), IndexOptions(kind)).sync(reader)
store.close()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "voices.sqlite3")
    yield store
    store.close()


def gallery(folder: Path, kind: str = "exact") -> GalleryIndex:
    return GalleryIndex(SPACE.id, DIM, folder / "index" / "voices.index", IndexOptions(kind))


def enroll(store: Store, *names: str) -> None:
    rng = np.random.default_rng(len(names))
    with store.write() as writer:
        for name in names:
            vectors = random_unit(rng, 2)
            writer.samples.add(writer.speakers.add(name).id, SPACE, [sample(v) for v in vectors])


def voice_of(store: Store, name: str) -> Float32Array:
    with store.read() as reader:
        voice = reader.centroids.of(reader.speakers.get(name).id, SPACE.id)
    assert voice is not None
    return voice


def save(store: Store, index: GalleryIndex) -> None:
    with store.read() as reader:
        index.sync(reader)
    index.save()


def remove(store: Store, index: GalleryIndex, name: str) -> None:
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get(name).id)
    assert store.erase_remains()
    with store.read() as reader:
        index.sync(reader)


def at_once(*tasks: Callable[[], object]) -> None:
    """Run tasks in threads that start together; the first error of any is raised."""
    gate = threading.Barrier(len(tasks))

    def run(task: Callable[[], object]) -> object:
        gate.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        for future in [pool.submit(run, task) for task in tasks]:
            future.result()


@pytest.mark.parametrize("kind", KINDS)
def test_a_speaker_whom_another_process_removed_is_never_found_again(
    tmp_path: Path, store: Store, kind: str
) -> None:
    enroll(store, "alice", "bob", "carol")
    index, gone = gallery(tmp_path, kind), []
    for left, name in ((2, "alice"), (1, "carol")):
        save(store, index)
        voice = voice_of(store, name)
        gone.append(voice)
        arguments = [store.path, tmp_path / "index" / "voices.index", name, SPACE.id, DIM, kind]
        with program(REMOVE, *arguments) as worker:
            assert worker.wait() == 0, worker.stderr.read()
        with store.read() as reader:
            found = index.search(reader, voice, 9)
            assert len(found) == left
            assert all(score < 0.99 for _, score in found)
        index.save()
    # Only now: to read a database's bytes where it is open would let go of SQLite's locks.
    store.close()
    assert [files_with(tmp_path, voice) for voice in gone] == [set(), set()]


def test_indexes_of_before_a_removal_do_not_bring_the_voice_back(
    tmp_path: Path, store: Store
) -> None:
    enroll(store, "alice", "bob")
    voice = voice_of(store, "alice")
    stale = [gallery(tmp_path) for _ in range(6)]
    with store.read() as reader:
        for index in stale:
            index.sync(reader)
    saves = [index.save for index in stale for _ in range(3)]
    at_once(*saves, lambda: remove(store, gallery(tmp_path), "alice"))
    for index in stale:
        index.save()
    assert files_with(tmp_path, voice) == set()


LOOKED = threading.Event()


class SlowFile(IndexFile):
    """A file that a removal overtakes between the look at it and its replacing."""

    def is_newer(self, number: int) -> bool:
        newer = super().is_newer(number)
        LOOKED.set()
        time.sleep(0.2)
        return newer


class SlowToReplace(GalleryIndex):
    """A gallery with such a file."""

    def __init__(self, space_id: str, dim: int, path: Path) -> None:
        super().__init__(space_id, dim, path)
        self._file = SlowFile(path, space_id, dim)


def test_a_removal_that_overtakes_a_save_is_not_overwritten_by_it(
    tmp_path: Path, store: Store
) -> None:
    enroll(store, "alice", "bob")
    voice = voice_of(store, "alice")
    slow = SlowToReplace(SPACE.id, DIM, tmp_path / "index" / "voices.index")
    save(store, slow)
    LOOKED.clear()

    def remove_meanwhile() -> None:
        assert LOOKED.wait(5)
        remove(store, gallery(tmp_path), "alice")

    at_once(slow.save, remove_meanwhile)
    assert files_with(tmp_path, voice) == set()


def test_a_removed_voice_does_not_stay_for_want_of_room_to_write_the_others(
    tmp_path: Path, store: Store
) -> None:
    enroll(store, *(f"s{i}" for i in range(9)))
    voice = voice_of(store, "s4")
    save(store, gallery(tmp_path))
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get("s4").id)
    assert store.erase_remains()
    assert files_with(tmp_path, voice) == {"voices.index"}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with store.read() as reader:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            gallery(tmp_path).sync(reader)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert files_with(tmp_path, voice) == set()  # before a search makes the file again
        assert len(gallery(tmp_path).search(reader, voice, 99)) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_a_removal_after_a_backup_was_restored_reaches_the_index_of_the_lost_future(
    tmp_path: Path, kind: str
) -> None:
    data = tmp_path / "data"
    store = Store.open(data / "voices.sqlite3")
    enroll(store, "alice")
    voice = voice_of(store, "alice")
    store.close()
    shutil.copy(store.path, tmp_path / "backup")
    store = Store.open(store.path)
    enroll(store, *(f"lost {i}" for i in range(5)))
    save(store, gallery(data, kind))
    store.close()
    shutil.copy(tmp_path / "backup", store.path)
    store = Store.open(store.path)
    remove(store, gallery(data, kind), "alice")
    store.close()
    assert files_with(data, voice) == set()
