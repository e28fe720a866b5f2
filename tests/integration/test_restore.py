"""A backup is put back while others read and write, or over damage: whole, or not at all."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import gallery_worker
import numpy as np
import pytest
from gallery_checks import require_sound, started
from random_voices import SPACE, files_with, random_unit, sample

from voiceid import VoiceID
from voiceid.errors import SchemaTooNew, StoreBusy, StoreError
from voiceid.store import Store, maintenance, upgrade
from voiceid.store.restore import restore

KINDS = ["exact", "two-stage"]
Clips = Callable[[str, str], list[Path]]
NO_LIMIT = resource.RLIM_INFINITY


def voice(name: str) -> np.ndarray:
    return random_unit(np.random.default_rng(sum(name.encode())))


def enroll(store: Store, *names: str, clips: int = 1) -> None:
    for name in names:
        rng = np.random.default_rng(sum(name.encode()) + 1)
        vectors = [voice(name), *(random_unit(rng) for _ in range(clips - 1))]
        with store.write() as writer:
            speaker = writer.speakers.add(name)
            writer.samples.add(speaker.id, SPACE, [sample(v) for v in vectors])


def names(path: Path) -> set[str]:
    with closing(Store.open(path)) as store, store.read() as reader:
        assert maintenance.check(store) == []
        return {speaker.name for speaker in reader.speakers.all()}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of alice, bob and late; there is a backup of it from before late came."""
    path = tmp_path / "data" / "voices.sqlite3"
    with closing(Store.open(path)) as store:
        enroll(store, "alice", "bob")
        maintenance.backup(store, tmp_path / "backup")
        enroll(store, "late")
    return path


@pytest.fixture
def backup(database: Path, tmp_path: Path) -> Path:
    return tmp_path / "backup"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_backup_is_put_back_and_what_it_replaces_is_saved(database: Path, backup: Path) -> None:
    kept = backup.read_bytes()
    restored = restore(database, backup)
    assert (restored.database, restored.n_speakers) == (database, 2)
    assert restored.saved is not None
    assert sorted(path.name for path in database.parent.iterdir()) == [
        database.name,
        restored.saved.name,
    ]
    for path in (database, restored.saved):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(database) == {"alice", "bob"}
    assert backup.read_bytes() == kept
    assert files_with(database.parent, voice("late")) == {restored.saved.name}
    restore(database, restored.saved)  # it was the wrong file: there is a way back
    assert names(database) == {"alice", "bob", "late"}


@pytest.mark.parametrize("of_the_database", [True, False])
def test_the_pages_of_the_two_need_not_be_of_one_size(
    database: Path, backup: Path, of_the_database: bool
) -> None:
    """Databases that were made before 2026-11-26 have pages of 4096 bytes."""
    older = database if of_the_database else backup
    with closing(sqlite3.connect(older)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (8192,)
        connection.executescript("PRAGMA journal_mode=DELETE; PRAGMA page_size=4096; VACUUM")
    there = [path.name for path in database.parent.iterdir()]
    with closing(Store.open(database)) as store:  # somebody uses it meanwhile
        assert store.erase_remains()
        saved = restore(database, backup).saved
        assert saved is not None
        with store.read() as reader:
            assert {one.name for one in reader.speakers.all()} == {"alice", "bob"}
    assert names(database) == {"alice", "bob"}
    assert sorted(path.name for path in database.parent.iterdir()) == sorted([*there, saved.name])
    with closing(sqlite3.connect(database)) as connection:
        expected = 4096 if of_the_database else 8192
        assert connection.execute("PRAGMA page_size").fetchone() == (expected,)
    restore(database, saved)
    assert names(database) == {"alice", "bob", "late"}


def test_a_person_of_the_lost_future_leaves_no_vector_and_no_id_to_others(
    database: Path, backup: Path
) -> None:
    with closing(Store.open(database)) as store:
        with store.read() as reader:
            late, before = reader.speakers.get("late").id, reader.revision
        saved = restore(database, backup).saved
        assert files_with(database.parent, voice("late")) == {saved.name}  # not in the log
        enroll(store, "new")
        with store.read() as reader:
            assert reader.speakers.get("new").id > late
            assert reader.revision.number > before.number + 1


def test_where_there_is_no_database_the_backup_becomes_it(tmp_path: Path, backup: Path) -> None:
    path = tmp_path / "elsewhere" / "voices.sqlite3"
    assert restore(path, backup).saved is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert names(path) == {"alice", "bob"}


def _other_program(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE cookies (id INTEGER)")


def _changed(statement: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)

    return change


UNFIT = {
    "no database": lambda file: file.write_text("precious", encoding="utf-8"),
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-9000]),
    "overwritten": lambda file: file.write_bytes(
        file.read_bytes()[:8192] + b"\xa5" * 8192 + file.read_bytes()[16384:]
    ),
    "of another program": _other_program,
    "without a table": _changed("DROP TABLE centroids"),
    "without a feed": _changed("DROP TABLE changes"),
    "with a false centroid": _changed(
        "UPDATE centroids SET vector = (SELECT vector FROM samples WHERE speaker_id = 2)"
    ),
    "of a newer program": _changed("UPDATE alembic_version SET version_num = '9999'"),
}


@pytest.mark.parametrize("how", UNFIT)
def test_what_is_no_sound_backup_changes_nothing(how: str, database: Path, backup: Path) -> None:
    UNFIT[how](backup)
    before, kept = contents(database.parent), backup.read_bytes()
    with pytest.raises(SchemaTooNew if "newer" in how else StoreError, match="backup") as caught:
        restore(database, backup)
    assert caught.value.hint
    assert contents(database.parent) == before
    assert contents(backup.parent) == {"backup": kept}


def test_a_file_that_is_not_there_or_the_database_itself_is_refused(database: Path) -> None:
    for file in (database.with_name("none"), database):
        with pytest.raises(StoreError):
            restore(database, file)
    assert names(database) == {"alice", "bob", "late"}


def test_a_file_that_is_mostly_holes_is_refused_before_it_is_read(
    database: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceid.store.restore._SMALL_BYTES", 1 << 20)
    with backup.open("rb+") as file:
        file.truncate(200 * backup.stat().st_size)
    with pytest.raises(StoreError, match="100 times its bytes on the disk"):
        restore(database, backup)
    assert names(database) == {"alice", "bob", "late"}


@pytest.mark.parametrize("how", ["of another program", "of a newer program"])
def test_a_database_that_is_not_ours_is_not_replaced(
    how: str, database: Path, backup: Path
) -> None:
    UNFIT[how](database)
    before = contents(database.parent)
    with pytest.raises(StoreError):
        restore(database, backup)
    assert contents(database.parent) == before


def test_an_older_backup_is_upgraded(
    database: Path, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, head = tmp_path / "migrations", upgrade.SCHEMA_HEAD
    shutil.copytree(upgrade.migrations_folder(), folder)
    (folder / "versions" / "0901_later.py").write_text(
        f"from alembic import op\nrevision, down_revision = '0901', '{head}'\n"
        "branch_labels = depends_on = None\n"
        "def upgrade():\n    op.execute('CREATE TABLE later (id INTEGER)')\n"
    )
    monkeypatch.setattr(upgrade, "migrations_folder", lambda: folder)
    monkeypatch.setattr(upgrade, "SCHEMA_HEAD", "0901")
    kept = backup.read_bytes()
    restored = restore(database, backup)
    assert upgrade.status(database).current == "0901"
    assert upgrade.status(restored.saved).current == head  # as it was
    assert names(database) == {"alice", "bob"}
    assert backup.read_bytes() == kept


@pytest.mark.parametrize("damaged", [False, True])
def test_one_object_asks_and_restores_and_asks_again(
    damaged: bool, vid: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    vid.enroll("MEE009", clips("MEE009", "dev00"))
    vid.database.backup(tmp_path / "backup")
    later = clips("MEE009", "dev01")[0]
    assert vid.identify(later).accepted
    vid.speakers.remove("MEE009")
    assert not vid.identify(later).accepted
    if damaged:
        vid.database.location.write_bytes(b"\xa5" * 8192)
    restored = vid.database.restore(tmp_path / "backup")
    assert restored.n_speakers == 1
    assert vid.identify(later).accepted
    assert vid.database.check() == []


# --- others have it open ----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_processes_that_serve_meanwhile_answer_from_the_restored_state(
    kind: str, database: Path, backup: Path
) -> None:
    with started(*[("serve", database, kind, seed) for seed in range(2)]) as workers:

        def ask() -> list[set[str]]:
            for worker in workers:
                worker.stdin.write("\n")
                worker.stdin.flush()
            return [set(json.loads(worker.stdout.readline() or "[]")) for worker in workers]

        def ask_on() -> None:
            while not stop.is_set():
                seen.extend(ask())

        for _ in range(3):
            seen: list[set[str]] = []
            stop = threading.Event()
            asking = threading.Thread(target=ask_on)
            asking.start()
            time.sleep(0.1)
            saved = restore(database, backup).saved
            stop.set()
            asking.join()
            assert all(one in ({"alice", "bob"}, {"alice", "bob", "late"}) for one in seen)
            assert ask() == [{"alice", "bob"}] * 2
            assert saved is not None
            restore(database, saved)
            assert ask() == [{"alice", "bob", "late"}] * 2
        for worker in workers:
            worker.stdin.close()
            assert (worker.wait(timeout=30), worker.stderr.read()) == (0, "")
    assert set(require_sound(database, kind)) == {"alice", "bob", "late"}


@pytest.mark.parametrize("n_new", [0, 1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_an_index_of_the_lost_future_answers_never_again(
    n_new: int, kind: str, database: Path, backup: Path
) -> None:
    with closing(Store.open(database)) as store:
        running = gallery_worker.open_gallery(database, kind)
        for index in (running, gallery_worker.open_gallery(database, kind)):
            assert gallery_worker.found(store, index, voice("late"), 1)[0][1] > 0.999
        restore(database, backup)
        running.save()  # as late as can be: a process that has not asked since
        enroll(store, *(f"new {i}" for i in range(n_new)))
        for index in (running, gallery_worker.open_gallery(database, kind)):
            hits = gallery_worker.found(store, index, voice("late"), 99)
            assert len(hits) == 2 + n_new
            assert hits[0][1] < 0.999
        assert files_with(database.parent / "index", voice("late")) == set()


def test_what_others_write_meanwhile_is_in_the_database_or_in_what_is_saved(
    database: Path, backup: Path
) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def write() -> None:
        with closing(Store.open(database)) as store:
            while not stop.is_set():
                enroll(store, f"new {len(acknowledged)}")
                acknowledged.append(f"new {len(acknowledged)}")
                time.sleep(0.01)  # or no other gets a turn

    writer = threading.Thread(target=write)
    writer.start()
    try:
        saved = []
        for _ in range(3):
            time.sleep(0.05)
            saved.append(restore(database, backup).saved)
    finally:
        stop.set()
        writer.join()
    assert len(acknowledged) > 3
    kept = names(database).union(*(names(path) for path in saved if path is not None))
    assert kept == {"alice", "bob", "late", *acknowledged}


def test_a_database_that_is_held_by_a_writer_for_too_long_is_busy(
    database: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceid.store.restore._BUSY_TIMEOUT_MS", 50)
    with closing(Store.open(database)) as store:
        with store.write() as writer:
            writer.speakers.add("slow")
            with pytest.raises(StoreBusy):
                restore(database, backup)
        assert list(database.parent.glob("*before*")) == []
    assert names(database) == {"alice", "bob", "late", "slow"}


# --- damage -----------------------------------------------------------------------------


DAMAGE = {
    "garbage at its head": lambda path: path.write_bytes(b"\xa5" * 4096 + path.read_bytes()[4096:]),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:20_000]),
    "not even a database": lambda path: path.write_text("oops", encoding="utf-8"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_database_is_moved_aside_with_its_log(
    how: str, database: Path, backup: Path
) -> None:
    DAMAGE[how](database)
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).write_bytes(b"stale")
    damaged = database.read_bytes()
    restored = restore(database, backup)
    assert names(database) == {"alice", "bob"}
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert restored.saved is not None
    assert restored.saved.read_bytes() == damaged
    assert restored.saved.with_name(f"{restored.saved.name}-wal").read_bytes() == b"stale"
    assert restored.saved.with_name(f"{restored.saved.name}-shm").exists()
    assert len(list(database.parent.iterdir())) == 4


def test_damage_that_leaves_it_open_to_others_is_mended_in_place(
    database: Path, backup: Path
) -> None:
    with closing(Store.open(database)) as store:
        enroll(store, *(f"more {i}" for i in range(60)))
    data = bytearray(database.read_bytes())
    page = data.index(b"more 30") // 8192 * 8192  # of speakers, not of the tables themselves
    data[page : page + 8192] = b"\xa5" * 8192
    database.write_bytes(data)
    with closing(Store.open(database)) as store:
        assert maintenance.check(store) != []
        restore(database, backup)
        assert maintenance.check(store) == []


def test_a_damaged_database_that_another_process_has_open_is_left_to_it(
    database: Path, backup: Path
) -> None:
    with started(("serve", database, "exact", 0)) as (worker,):
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert "late" in json.loads(worker.stdout.readline())
        with database.open("r+b") as file:
            file.write(b"\xa5" * 4096)
        before = contents(database.parent)
        with pytest.raises(StoreBusy, match="another process has it open"):
            restore(database, backup)
        assert contents(database.parent) == before
    restore(database, backup)
    assert names(database) == {"alice", "bob"}


@pytest.mark.parametrize("rest", [None, b""])
def test_the_log_of_a_database_that_is_gone_does_not_get_into_the_restored_one(
    rest: bytes | None, database: Path, backup: Path
) -> None:
    store = Store.open(database)
    enroll(store, "last")
    log = database.with_name(f"{database.name}-wal").read_bytes()
    store.close()
    database.unlink()
    if rest is not None:
        database.write_bytes(rest)
    database.with_name(f"{database.name}-wal").write_bytes(log)
    restore(database, backup)
    assert names(database) == {"alice", "bob"}
    [aside] = database.parent.glob("*.before-restore-*-wal")
    assert aside.read_bytes() == log


# --- kill -9, and a full disk -----------------------------------------------------------


@pytest.fixture
def large(database: Path, tmp_path: Path) -> list[Path]:
    """Two backups, of alice's 500 clips and of bob's, that take a while to be put back."""
    files = []
    for name in ("alice", "bob"):
        path = tmp_path / f"{name}.sqlite3"
        with closing(Store.open(path)) as store:
            enroll(store, name, clips=500)
        files.append(path)
    return files


@pytest.mark.parametrize("damaged", [False, True])
def test_a_restore_that_is_killed_leaves_the_one_state_or_the_other(
    damaged: bool, database: Path, large: list[Path]
) -> None:
    rng = np.random.default_rng(11)
    for n_whole in (0, 0, 0, 1, 2):  # restores that may end first
        if damaged:
            database.write_bytes(b"\xa5" * 100_000)
        with started(("restore", database, NO_LIMIT, *large)) as (worker,):
            reported = [worker.stdout.readline() for _ in range(n_whole)]
            time.sleep(float(rng.uniform(0.0, 0.2)))
            worker.kill()
            rest, errors = worker.communicate(timeout=30)
        assert errors == ""
        assert all(line.startswith("restored") for line in reported)
        if damaged and not reported and not rest and database.read_bytes()[:4] == b"\xa5" * 4:
            continue  # it was killed before it came to that
        assert names(database) in ({"alice", "bob", "late"}, {"alice"}, {"bob"})


@pytest.mark.parametrize("share", [0.3, 0.9, 1.001])
def test_a_full_disk_leaves_the_state_that_was(
    share: float, database: Path, large: list[Path]
) -> None:
    limit = int(large[0].stat().st_size * share)  # of the copy, or of the log
    with started(("restore", database, limit, large[0])) as (worker,):
        said, errors = worker.communicate(timeout=60)
    assert errors == ""
    message, hint = json.loads(said)
    assert "disk" in f"{message} {hint}"
    assert names(database) == {"alice", "bob", "late"}
    assert list(database.parent.glob("*before-restore*")) == []
    assert list(database.parent.glob(".*")) == []
