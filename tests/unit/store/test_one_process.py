"""What several stores in one process must not do to each other."""

from __future__ import annotations

import threading
from pathlib import Path

from worker_forks import program

from voiceid.store import Store
from voiceid.store.connections import make_private

ROOT = Path(__file__).resolve().parents[3]

ADD = """
import sys
from pathlib import Path
from voiceid.store import Store

store = Store.open(Path(sys.argv[1]))
if len(sys.argv) > 2:
    with store.write() as writer:
        writer.speakers.add(sys.argv[2])
with store.read() as reader:
    print(*(speaker.name for speaker in reader.speakers.all()))
store.close()
"""


def in_another_process(path: Path, *name: str) -> list[str]:
    """Add a speaker, open and close; return who is enrolled, as that process sees it."""
    with program(ADD, path, *name) as worker:
        said, errors = worker.communicate()
        assert (worker.returncode, errors) == (0, "")
        return said.split()


def test_a_thread_that_comes_late_to_make_the_database_leaves_the_locks_of_the_first_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "voices.sqlite3"
    store = Store.open(path)
    with store.write() as writer:
        writer.speakers.add("alice")
    make_private(path)  # as by a thread that looked before there was a database
    Store.open(path).close()
    assert in_another_process(path, "bob") == ["alice", "bob"]
    with store.write() as writer:
        writer.speakers.add("carol")
    assert in_another_process(path) == ["alice", "bob", "carol"]
    store.close()


def test_threads_that_make_several_databases_at_once_do_not_mix_them_up(tmp_path: Path) -> None:
    paths = [tmp_path / str(number // 2) / "voices.sqlite3" for number in range(8)]
    barrier, failures = threading.Barrier(len(paths)), []

    def start(path: Path) -> None:
        barrier.wait()
        try:
            store = Store.open(path)
            with store.read() as reader:
                assert reader.speakers.all() == []
            store.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
            failures.append(error)

    threads = [threading.Thread(target=start, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
