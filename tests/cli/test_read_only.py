"""A read-only or a full disk: voices are distinguished, and what cannot be written is said."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli_running import Runner
from disks import filled, mounted, read_only

from voiceid import VoiceID
from voiceid.errors import StoreBusy, StoreError

READERS = {
    "identify": ["identify", "later.wav"],
    "verify": ["verify", "alice", "later.wav"],
    "list": ["speakers", "list"],
    "inspect": ["speakers", "inspect", "alice"],
    "export": ["speakers", "export", "copy.jsonl"],
    "backup": ["database", "backup", "copy.sqlite3"],
    "check": ["database", "check"],
    "index": ["index", "status"],
}
WRITERS = {
    "enroll": ["enroll", "alice", "later.wav"],
    "remove": ["speakers", "remove", "alice", "--yes"],
    "rename": ["speakers", "rename", "alice", "eve"],
    "restore": ["database", "restore", "good.sqlite3", "--yes"],
}
HOW = ["read-only", "full"]


@pytest.fixture
def disk(
    home: Path, ami, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    ami.cut("alice-3", home / "later.wav")
    assert run("database", "backup", "good.sqlite3").code == 0
    with mounted(tmp_path / "disk", "4m") as disk:
        shutil.copytree(home / "data", disk / "data")
        monkeypatch.setenv("VOICEID_DATA", str(disk / "data"))
        yield disk


def without_writing(disk: Path, how: str) -> contextlib.AbstractContextManager[None]:
    return read_only(disk) if how == "read-only" else filled(disk, 0)


def written(database: Path, name: str) -> None:
    """Rename a speaker, as another program on another way to the same disk."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE speakers SET name = ?, name_key = ? WHERE id = 1", (name, name))


@pytest.mark.parametrize("how", HOW)
def test_what_only_reads_works_and_what_writes_says_why_not(
    how: str, disk: Path, run: Runner
) -> None:
    before = {path: path.read_bytes() for path in (disk / "data").rglob("*") if path.is_file()}
    with without_writing(disk, how):
        for name, command in READERS.items():
            ran = run(*command)
            assert ran.code == 0, (name, ran.err)
        for name, command in WRITERS.items():
            ran = run(*command)
            assert ran.code == 77, (name, ran.err)
            assert "hint: Check that the disk is not full" in ran.err or "folder" in ran.err, name
    after = {path: path.read_bytes() for path in (disk / "data").rglob("*") if path.is_file()}
    assert after == before
    assert run(*WRITERS["enroll"]).code == 0


@pytest.mark.parametrize("how", HOW)
def test_a_process_that_found_it_so_writes_when_it_can_again(how: str, disk: Path) -> None:
    with VoiceID.open() as vid:
        with without_writing(disk, how):
            assert [one.name for one in vid.speakers.list()] == ["alice", "bob"]
            with pytest.raises(StoreError):
                vid.speakers.rename("alice", "eve")
        vid.speakers.rename("alice", "eve")
        with closing(sqlite3.connect(vid.database.location, timeout=0)) as other:
            with vid._session.store.write() as writer:
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    other.execute("BEGIN IMMEDIATE")
                writer.speakers.rename(writer.speakers.get("eve"), "mallory")
            other.execute("BEGIN IMMEDIATE")
        assert [one.name for one in vid.speakers.list()] == ["bob", "mallory"]


def test_what_another_program_writes_meanwhile_is_not_missed(disk: Path) -> None:
    database = disk / "data" / "voiceid.sqlite3"
    with VoiceID.open() as vid, filled(disk, 0):
        assert [one.name for one in vid.speakers.list()] == ["alice", "bob"]
        copy = shutil.copy(database, disk.parent / "copy")
        written(copy, "eve")
        shutil.copyfile(copy, database)  # as another program: the same bytes of room
        assert [one.name for one in vid.speakers.list()] == ["bob", "eve"]
        written(copy, "zoe")
        reading = vid._session.store.read()
        reading.__enter__().speakers.count()
        shutil.copyfile(copy, database)
        with pytest.raises(StoreBusy, match="written to"):
            reading.__exit__(None, None, None)
        assert [one.name for one in vid.speakers.list()] == ["bob", "zoe"]


def test_what_a_killed_process_left_in_the_log_is_not_overlooked(disk: Path, run: Runner) -> None:
    database = disk / "data" / "voiceid.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM speakers WHERE name = 'bob'")
        connection.commit()
        for suffix in ("", "-wal"):
            shutil.copy(f"{database}{suffix}", disk / f"killed{suffix}")
    for suffix in ("", "-wal"):
        shutil.move(disk / f"killed{suffix}", f"{database}{suffix}")
    with read_only(disk):
        ran = run("identify", "later.wav")
        assert ran.code == 50
        assert "you may write to the file" in ran.err
        checked = run("database", "check")
        assert checked.code == 50
        assert "damaged" not in checked.err
    assert [one["name"] for one in run("speakers", "list", "--json").json_lines] == ["alice"]
