"""What is put in place is on the disk by then: a power cut leaves the old file or the new one."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from random_voices import SPACE, random_unit, sample

from voiceid import whole_files
from voiceid.audio import KeptAudio, Tape
from voiceid.index import sections
from voiceid.models import install
from voiceid.store import Store, connections
from voiceid.store.connections import open_file

CONTENT = b"x" * 5000


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the disk and what is put in place, in order, with its bytes by then."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(number: int) -> None:
        status = os.fstat(number)
        what = "folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes"
        done.append(f"{what} on the disk")
        fsync(number)

    def replaced(path: Path, target: Path) -> Path:
        done.append(f"{path.stat().st_size} bytes in place")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return done


WHOLE = ["5000 bytes on the disk", "5000 bytes in place"]


def test_a_whole_file_is_on_the_disk_before_it_is_in_place(disk: list[str], tmp_path: Path) -> None:
    with whole_files.whole_file(tmp_path / "x") as file:
        file.write(CONTENT)
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    assert disk == WHOLE


def test_a_copy_of_a_database_is_on_the_disk_before_it_is_in_place(
    disk: list[str], tmp_path: Path
) -> None:
    with connections.whole_database(tmp_path / "x") as unfinished:
        assert stat.S_IMODE(unfinished.stat().st_mode) == 0o600
        unfinished.write_bytes(CONTENT)
    assert disk == WHOLE


def test_a_model_is_on_the_disk_before_it_is_in_place(disk: list[str], tmp_path: Path) -> None:
    install._write(tmp_path / "x.onnx", CONTENT)
    assert disk == WHOLE[:1]


def test_a_kept_recording_and_the_entry_of_its_folder_are_on_the_disk(
    disk: list[str], tmp_path: Path
) -> None:
    kept, tape = KeptAudio(tmp_path / "audio"), Tape()
    tape.add(np.zeros(16_000, np.float32))
    tape.seal("0" * 64, 16_000)
    kept.put("0" * 64, tape)
    size = kept.path("0" * 64).stat().st_size
    assert disk == [f"{size} bytes on the disk", f"{size} bytes in place", "folder on the disk"]
    kept.remove(["0" * 64])
    assert disk[3:] == ["folder on the disk"]


def test_what_is_erased_of_an_index_file_is_on_the_disk(disk: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    ids, codes = np.arange(3), np.ones((3, 24), dtype=np.uint8)
    sections.write(path, {}, {"ids": ids, "codes": codes})
    disk.clear()
    assert sections.erase(path, ids[:1], {"codes"}, {}) == 1
    assert disk == [f"{path.stat().st_size} bytes on the disk"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "voices.sqlite3"
    with closing(Store.open(path)):
        yield path


PRAGMAS = {"synchronous": 2, "secure_delete": 1, "foreign_keys": 1, "trusted_schema": 0}
"""2 is FULL: every commit is on the disk before it is reported (sqlite.org/pragma.html)."""


def test_every_connection_to_a_database_is_safe_from_loss_and_from_its_own_schema(
    database: Path,
) -> None:
    with closing(Store.open(database)) as store, store.write() as writer:
        run = writer.connection.exec_driver_sql
        assert {name: run(f"PRAGMA {name}").scalar() for name in PRAGMAS} == PRAGMAS
        assert run("PRAGMA journal_mode").scalar() == "wal"
    with closing(open_file(database, 50, foreign_keys=False)) as connection:
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (0,)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_one_change_alone_does_not_wait_for_the_disk(database: Path) -> None:
    with closing(Store.open(database)) as store:
        for synced, level in ((False, 1), (True, 2)):
            with store.write(synced=synced) as writer:
                found = writer.connection.exec_driver_sql("PRAGMA synchronous").scalar()
                assert found == level


def test_a_value_over_the_limit_is_not_read_into_memory(database: Path) -> None:
    with closing(open_file(database, 50)) as connection:
        query = "SELECT length(zeroblob(?))"
        assert connection.execute(query, (1 << 24,)).fetchone() == (1 << 24,)
        with pytest.raises(Exception, match="too big"):
            connection.execute(query, ((1 << 24) + 1,)).fetchone()


def test_a_file_of_unknown_origin_is_not_looked_through_for_longer_than_a_sound_one(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
        " SELECT max(i) FROM n"
    )
    for allowed_s, ends in ((30.0, True), (-1.0, False)):
        monkeypatch.setattr(connections, "_READING_S", allowed_s)
        with closing(sqlite3.connect(database)) as connection:
            connections.distrust(connection, database)
            assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
            if ends:
                assert connection.execute(counting.format(200_000)).fetchone() == (200_000,)
            else:
                with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                    connection.execute(counting.format(200_000)).fetchone()


def test_a_writer_has_its_turn_from_the_beginning(database: Path) -> None:
    """It reads before it writes, and what it read cannot change until its end."""
    with closing(Store.open(database)) as store, store.write() as writer:
        assert writer.speakers.all() == []
        with closing(open_file(database, 50)) as other, pytest.raises(Exception, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        speaker = writer.speakers.add("alice")
        vector = random_unit(np.random.default_rng(1))
        writer.samples.add(speaker.id, SPACE, [sample(vector)])


@pytest.mark.parametrize("write", [whole_files.whole_file, connections.whole_database])
def test_what_fails_half_way_leaves_nothing_beside_what_was_there(
    write: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), write(tmp_path / "x"):  # type: ignore[attr-defined]
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"
