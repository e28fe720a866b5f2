"""What can be in the way of a database, and who may read it."""

from __future__ import annotations

import gc
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_voices import SPACE, files_with, random_unit, sample, unprivileged

from voiceid import VoiceID
from voiceid.domain import Speaker
from voiceid.errors import StoreBusy, StoreError
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Store, StoreOptions
from voiceid.store.upgrade import SchemaState, status


def filled(path: Path, n: int = 3) -> dict[str, np.ndarray]:
    """Make a database with some speakers; return what vectors they have there."""
    rng, held = np.random.default_rng(4), {}
    store = Store.open(path)
    for number in range(n):
        with store.write() as writer:
            vectors = random_unit(rng, 3)
            speaker = writer.speakers.add(f"s{number}")
            writer.samples.add(speaker.id, SPACE, [sample(v) for v in vectors])
            centroid = writer.centroids.of(speaker.id, SPACE.id)
            held[speaker.name] = np.concatenate([vectors, centroid[None]])
    store.close()
    return held


def use(path: Path) -> list[Speaker]:
    """Do what a program does: open, read, write."""
    store = Store.open(path, StoreOptions(busy_timeout_ms=200))
    try:
        with store.read() as reader:
            found = reader.speakers.all()
        with store.write() as writer:
            if writer.speakers.find("new") is None:
                writer.speakers.add("new")
        return found
    finally:
        store.close()


def test_a_path_of_any_characters_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "é ?mode=ro#%41&x" / "a ?b%20#.sqlite3"
    filled(path, 1)
    assert len(use(path)) == 1
    assert path.is_file()


def test_a_relative_path_is_one_file_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(Path("voices.sqlite3"), 1)
    assert len(use(tmp_path / "voices.sqlite3")) == 1


def test_the_database_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "data" / "voices.sqlite3"
    store = Store.open(path)
    with store.write() as writer:
        writer.speakers.add("alice")
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    store.close()
    assert len(modes) == 3  # the log and its map too
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "voices.sqlite3"
    path.write_bytes(b"")
    path.chmod(0o644)
    assert status(path).state is SchemaState.MISSING
    assert use(path) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def not_a_database(path: Path) -> None:
    path.write_bytes(b"just a text\n" * 1000)


def header_and_noise(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8000)


def half_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite for")


def directory(path: Path) -> None:
    path.mkdir()


def another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")


def folder_is_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_bytes(b"")


WAYS = [
    not_a_database,
    header_and_noise,
    half_a_header,
    directory,
    another_program,
    folder_is_a_file,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_is_no_database_is_a_store_error_and_stays(tmp_path: Path, way: object) -> None:
    path = tmp_path / "data" / "voices.sqlite3"
    path.parent.mkdir()
    way(path)
    before = path.read_bytes() if path.is_file() else None
    for _ in range(2):
        with pytest.raises(StoreError) as error:
            use(path)
        assert error.value.hint
        assert str(path) in error.value.message
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a database with 400 speakers."""
    path = tmp_path_factory.mktemp("full") / "voices.sqlite3"
    filled(path, 400)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_database_is_a_store_error(tmp_path: Path, full: bytes, share: float) -> None:
    path = tmp_path / "voices.sqlite3"
    path.write_bytes(full[: int(len(full) * share)])
    with pytest.raises(StoreError) as error:
        use(path)
    assert error.value.hint


def test_flipped_bytes_are_store_errors_or_read_as_they_stand(tmp_path: Path) -> None:
    path, rng = tmp_path / "voices.sqlite3", np.random.default_rng(6)
    filled(path, 60)
    good = path.read_bytes()
    for _ in range(40):
        data = bytearray(good)
        for at in rng.integers(100, len(data), 30):
            data[at] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        try:
            store = Store.open(path)
        except StoreError:
            continue
        try:
            with store.read() as reader:
                for speaker in reader.speakers.all():
                    reader.samples.of(speaker.id)
                reader.centroids.table(SPACE.id)
        except StoreError:
            pass
        finally:
            store.close()


def test_a_database_that_was_taken_away_is_not_an_empty_gallery(tmp_path: Path) -> None:
    path = tmp_path / "voices.sqlite3"
    filled(path)
    store = Store.open(path)
    path.unlink()
    with pytest.raises(StoreError), store.read() as reader:
        reader.speakers.all()
    store.close()
    assert not path.exists()


def test_a_database_that_is_taken_away_just_before_it_is_opened_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, connect = tmp_path / "voices.sqlite3", sqlite3.connect
    filled(path)
    store = Store.open(path)
    store.close()

    def late(*args: Any, **options: Any) -> sqlite3.Connection:
        path.unlink()
        return connect(*args, **options)

    monkeypatch.setattr(sqlite3, "connect", late)
    with pytest.raises(StoreError, match="unable to open database file"), store.read():
        pass
    assert not path.exists()


def test_a_database_that_is_taken_away_or_replaced_while_it_is_open_is_not_read_on(
    tmp_path: Path,
) -> None:
    """What is written to a file without a name is lost with the process."""
    path, other = tmp_path / "a.sqlite3", tmp_path / "b.sqlite3"
    filled(path, 1)
    filled(other, 2)
    store = Store.open(path)
    with store.read() as reader:
        assert len(reader.speakers.all()) == 1
    for log in tmp_path.glob("a.sqlite3*"):
        log.unlink()
    for begin in (store.read, store.write):
        with pytest.raises(StoreError, match="cannot be opened"), begin():
            pass
    shutil.copy(other, path)
    with store.write() as writer:
        writer.speakers.add("new")
    store.close()
    assert len(use(path)) == 3


def test_a_log_that_is_removed_while_it_is_open_takes_no_change_with_it(tmp_path: Path) -> None:
    """What is written to a log without a name is lost with the process, and not seen by others."""
    path = tmp_path / "a.sqlite3"
    filled(path, 1)
    store = Store.open(path)

    def add(name: str, *, take: bool = False) -> None:
        with store.write() as writer:
            writer.speakers.add(name)
            for log in tmp_path.glob("a.sqlite3-*") if take else ():
                log.unlink()

    with store.read(), store.read():  # two connections
        pass
    with store.read():  # of which one is not used at the moment
        add("kept")
    with pytest.raises(StoreError, match="was removed"):
        add("may be lost", take=True)
    with pytest.raises(StoreError, match="was removed"):  # the other one is open yet
        add("lost")
    add("kept too")
    with Store.open(path).read() as reader:
        names = {speaker.name for speaker in reader.speakers.all()}
    store.close()
    assert {"s0", "kept", "kept too"} <= names
    assert "lost" not in names


def test_a_folder_that_may_not_be_written_to_is_a_store_error() -> None:
    folder = Path(tempfile.mkdtemp())
    path = folder / "voices.sqlite3"
    try:
        filled(path)
        path.chmod(0o444)
        folder.chmod(0o555)
        for target in (path, folder / "new.sqlite3", folder / "deep" / "new.sqlite3"):
            with unprivileged(), pytest.raises(StoreError) as error:
                use(target)
            assert error.value.hint
        assert [p.name for p in folder.iterdir()] == [path.name]
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_data_folder_that_may_not_be_looked_into_is_no_empty_gallery(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with VoiceID.open(data, home=tmp_path) as vid:
        data.chmod(0)
        for ask in (vid.keys.any, vid.attempts.list, vid.calibrations.list):
            with unprivileged(), pytest.raises(StoreError, match="cannot be opened"):
                ask()
        data.chmod(0o700)


def test_a_writer_that_waits_for_too_long_gets_an_error_that_the_store_is_busy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "voices.sqlite3"
    filled(path)
    patient = Store.open(path)
    hasty = Store.open(path, StoreOptions(busy_timeout_ms=50))
    with patient.write():
        with pytest.raises(StoreBusy, match=r"voices\.sqlite3"), hasty.write():
            pass
        with hasty.read() as reader:  # readers do not wait for writers
            assert len(reader.speakers.all()) == 3
    with hasty.write() as writer:
        writer.speakers.add("late")
    patient.close()
    hasty.close()


def test_who_waits_for_long_gets_the_first_turn_that_there_is(tmp_path: Path) -> None:
    path, turn, starts = tmp_path / "voices.sqlite3", 0, []
    filled(path)

    def wait() -> None:
        with closing(Store.open(path)) as store:
            ready.set()
            with store.write():
                starts.append(turn)

    with closing(Store.open(path)) as busy:
        for _ in range(4):
            ready = threading.Event()
            waiter = threading.Thread(target=wait)
            waiter.start()
            ready.wait()
            first, held = turn, len(starts)
            while len(starts) == held and turn < first + 20:
                with busy.write():
                    turn += 1
                    time.sleep(0.5 if turn == first + 1 else 0.11)
                time.sleep(0.02)  # SQLite's own waiting looks every 0.1 s by now
            waiter.join()
            starts[-1] -= first
    assert sum(starts) <= 8, starts


def test_a_removed_voice_is_in_no_file_of_the_data_folder(tmp_path: Path) -> None:
    path = tmp_path / "data" / "voices.sqlite3"
    held = filled(path, 30)
    store = Store.open(path)
    index = GalleryIndex(SPACE.id, SPACE.dim, path.parent / "index" / "x.index")

    def synced() -> None:
        with store.read() as reader:
            index.sync(reader)

    synced()
    for name in [f"s{n}" for n in range(0, 30, 2)]:
        assert len(files_with(path.parent, held[name][-1])) == 2  # database (or log) and index
        with store.write() as writer:
            writer.speakers.remove(writer.speakers.get(name).id)
        assert store.erase_remains()
        synced()
        for vector in held[name]:
            assert files_with(path.parent, vector) == set()
    assert all(files_with(path.parent, held["s1"][n]) for n in range(4))
    store.close()


def test_replaced_samples_are_in_no_file_either(tmp_path: Path) -> None:
    path = tmp_path / "voices.sqlite3"
    held = filled(path)
    store = Store.open(path)
    with store.write() as writer:
        speaker = writer.speakers.get("s1")
        writer.samples.remove_of(speaker.id, SPACE.id)
        new = random_unit(np.random.default_rng(8))
        writer.samples.add(speaker.id, SPACE, [sample(new)])
    assert store.erase_remains()
    assert [files_with(tmp_path, v) for v in held["s1"]] == [set()] * 4
    assert files_with(tmp_path, new)
    store.close()


def test_a_reader_that_holds_the_log_does_not_undo_a_removal(tmp_path: Path) -> None:
    path = tmp_path / "voices.sqlite3"
    held = filled(path)
    store = Store.open(path, StoreOptions(busy_timeout_ms=50))
    with store.write() as writer:  # so that there is a log to hold
        writer.speakers.add("new")
    with store.read() as reader:
        assert len(reader.speakers.all()) == 4
        with store.write() as writer:
            writer.speakers.remove(writer.speakers.get("s1").id)
        assert store.erase_remains() is False
        assert len(reader.speakers.all()) == 4
    assert store.erase_remains() is True
    assert [files_with(tmp_path, v) for v in held["s1"]] == [set()] * 4
    store.close()


def test_closing_leaves_one_file_and_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "voices.sqlite3"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filled(path)
        store = Store.open(path)
        threads = [threading.Thread(target=_read, args=(store,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        store.close()
        del store
        gc.collect()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def _read(store: Store) -> None:
    with store.read() as reader:
        reader.speakers.all()
