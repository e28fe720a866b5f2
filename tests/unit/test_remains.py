"""Erased bytes are found in files, and the search leaves SQLite's locks alone."""

from __future__ import annotations

from pathlib import Path

import file_locks
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid import remains
from voiceid.errors import StoreError
from voiceid.limited_process import Allowance
from voiceid.store import Store


@given(st.binary(max_size=60), st.lists(st.binary(min_size=1, max_size=9), max_size=3))
def test_bytes_are_found_wherever_they_are(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, needles: list[bytes]
) -> None:
    file = tmp_path_factory.mktemp("remains") / "file"
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remains, "_PIECE", 4)
        found = list(remains.search([str(file), f"{file}-missing"], needles))
    assert found == [any(needle in content for needle in needles), False]


def test_the_files_with_the_bytes_are_named(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file, content in zip(files, (b"--voice--", b"", b"no"), strict=True):
        file.write_bytes(content)
    assert remains.holding(files, [b"voice", b"name"]) == files[:1]


def test_a_search_that_does_not_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(bytes(1 << 24))
    monkeypatch.setattr(remains, "_ALLOWANCE", Allowance(memory_bytes=1 << 20, cpu_s=10))
    with pytest.raises(StoreError, match="not searched"):
        remains.holding([tmp_path / "file"], [b"voice"])


@file_locks.listed
def test_a_search_leaves_the_locks_of_the_database(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "voices.sqlite3")
    with store.write() as writer:
        writer.speakers.add("alice")
        before = file_locks.locks_of(tmp_path)
        remains.holding(sorted(tmp_path.iterdir()), [b"alice"])
        assert file_locks.locks_of(tmp_path) == before > 0
    store.close()
