"""A database is copied while others write, and everything that is wrong with one is found."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from voiceid.domain import Embedding, EmbeddingSpace, NewSample, QualityReport, Utterance
from voiceid.errors import FileNotWritten
from voiceid.store import Store, maintenance

SPACE = EmbeddingSpace("test", 8, "0" * 64, "none v1", "whole", "none")
QUALITY = QualityReport(3.0, 2.0, 30.0, 0.0, 8000.0, 16_000, -20.0)


def enroll(store: Store, name: str, n: int = 2) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    with store.write() as writer:
        speaker = writer.speakers.add(name)
        new = []
        for i in range(n):
            vector = rng.standard_normal(8)
            vector = (vector / np.linalg.norm(vector)).astype(np.float32)
            digest = f"{name.encode().hex()}{i}".ljust(64, "0")
            new.append(NewSample(Utterance("a.wav", digest, QUALITY, Embedding(vector, SPACE))))
        writer.samples.add(speaker.id, SPACE, new)


def names(path: Path) -> set[str]:
    with closing(Store.open(path)) as store, store.read() as reader:
        return {speaker.name for speaker in reader.speakers.all()}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "data" / "voiceid.sqlite3")
    for name in ("alice", "bob"):
        enroll(opened, name)
    yield opened
    opened.close()


def test_a_copy_is_a_whole_database_of_its_owner(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy.sqlite3"
    size = maintenance.backup(store, copy)
    assert size == copy.stat().st_size > 0
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in copy.parent.iterdir()] == ["copy.sqlite3"]
    assert names(copy) == {"alice", "bob"}
    with closing(Store.open(copy)) as restored:
        assert maintenance.check(restored) == []


def test_a_file_that_is_there_is_left_as_it_is(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    copy.write_text("precious", encoding="utf-8")
    with pytest.raises(FileNotWritten, match="exists already"):
        maintenance.backup(store, copy)
    assert copy.read_text(encoding="utf-8") == "precious"


def test_a_copy_into_a_folder_that_cannot_be_is_a_typed_error(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(FileNotWritten):
        maintenance.backup(store, tmp_path / "file" / "copy.sqlite3")


def test_copies_made_while_others_write_hold_what_was_there(store: Store, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            enroll(store, f"new {len(acknowledged)}")
            acknowledged.append(f"new {len(acknowledged)}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            before = set(acknowledged)
            copy = tmp_path / f"copy {number}.sqlite3"
            maintenance.backup(store, copy)
            found = names(copy)
            assert {"alice", "bob", *before} <= found
            assert len(found) <= len(acknowledged) + 3
            with closing(Store.open(copy)) as restored:
                assert maintenance.check(restored) == []
    finally:
        stop.set()
        writer.join()
    assert len(acknowledged) > 5


def test_nothing_that_was_removed_is_in_a_copy(store: Store, tmp_path: Path) -> None:
    with store.read() as reader:
        vector = reader.samples.of(reader.speakers.get("bob").id)[0].vector.tobytes()
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get("bob").id)
    copy = tmp_path / "copy.sqlite3"
    maintenance.backup(store, copy)
    assert vector not in copy.read_bytes()
    assert b"bob" not in copy.read_bytes()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE centroids SET vector = (SELECT vector FROM samples LIMIT 1)", "is not what"),
        ("DELETE FROM centroids WHERE speaker_id = 1", "alice"),
        ("DELETE FROM speakers WHERE id = 2", "refers to a missing row of speakers"),
        ("UPDATE speakers SET created_at = 'long ago' WHERE id = 1", "speaker 1"),
        ("UPDATE centroids SET vector = x'0000000000000000'", "damaged"),
    ],
)
def test_what_is_wrong_is_found_and_named(damage: str, told: str, store: Store) -> None:
    assert maintenance.check(store) == []
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(damage)
    assert any(told in problem for problem in maintenance.check(store))


def test_a_page_that_was_overwritten_is_found(tmp_path: Path) -> None:
    path = tmp_path / "voiceid.sqlite3"
    with closing(Store.open(path)) as store:
        for number in range(60):
            enroll(store, f"speaker {number}")
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 16_384] = b"\xa5" * 16_384
    path.write_bytes(data)
    with closing(Store.open(path)) as store:
        assert maintenance.check(store) != []
