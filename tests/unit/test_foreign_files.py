"""Files of others are looked at before they are opened, and read up to a limit."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import file_locks
import pytest

from voiceid.audio import AudioOptions
from voiceid.audio.media import open_media
from voiceid.errors import AudioNotFound
from voiceid.foreign_files import Limit, Unfit, content, mapped, opened
from voiceid.store import Store

TEN = Limit(10, "bytes", "a test", "make it shorter")
DEVICES = [path for path in ("/dev/null", "/dev/zero", "/dev/ptmx") if Path(path).exists()]


def read(path: Path) -> bytes:
    with opened(path) as file:
        return file.read()


READERS: dict[str, Callable[[Path], object]] = {
    "opened": read,
    "content": lambda path: content(path, TEN),
    "mapped": lambda path: mapped(path, TEN),
    "a recording": lambda path: open_media(path, AudioOptions()),
}


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is opened."""
    names: list[str] = []
    really = os.open

    def note(path: os.PathLike[str], *more: int, **how: int) -> int:
        names.append(str(path))
        return really(path, *more, **how)

    monkeypatch.setattr(os, "open", note)
    return names


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("device", DEVICES)
def test_a_device_is_refused_before_it_is_opened(
    device: str, reader: str, tried: list[str]
) -> None:
    with pytest.raises((Unfit, AudioNotFound), match="device"):
        READERS[reader](Path(device))
    assert tried == [], "to open a device may do something"


@file_locks.listed
@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_an_open_database_is_not_opened_which_would_drop_its_locks(
    reader: str, tmp_path: Path
) -> None:
    path, link = tmp_path / "voices.sqlite3", tmp_path / "link.wav"
    store = Store.open(path)
    link.hardlink_to(path)
    with store.write() as writer:
        writer.speakers.add("alice")
        before = file_locks.locks_of(tmp_path)
        for file in (path, link, *(tmp_path / f"{path.name}{end}" for end in ("-wal", "-shm"))):
            with pytest.raises((Unfit, AudioNotFound), match="the database that is in use"):
                READERS[reader](file)
        assert file_locks.locks_of(tmp_path) == before > 0
    store.close()
    assert read(path).startswith(b"SQLite"), "a closed one is a file like others"


@pytest.mark.parametrize("reader", ["opened", "content"])
def test_what_would_be_waited_for_is_an_error(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some files of Linux, as /proc/kmsg, are regular ones and have nothing for now."""
    path, (reading, writing) = tmp_path / "kmsg", os.pipe()
    path.write_bytes(b"")
    regular = path.stat()
    os.set_blocking(reading, False)
    os.write(writing, b"line\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", lambda *_, **__: reading)
        patched.setattr(os, "fstat", lambda _: regular)
        with pytest.raises(OSError, match="not there yet"):
            READERS[reader](path)
    os.close(writing)


@pytest.mark.parametrize("reader", ["opened", "content", "mapped"])
def test_a_pipe_and_a_folder_are_refused_before_they_are_opened(
    reader: str, tried: list[str], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a folder")):
        with pytest.raises(Unfit, match=said):
            READERS[reader](path)
    assert tried == []


@pytest.mark.parametrize("reader", ["opened", "a recording"])
def test_what_became_a_device_between_the_look_and_the_opening_is_refused(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"RIFF")
    sound, really = os.stat(tmp_path / "file"), os.stat  # noqa: PTH116
    monkeypatch.setattr(
        os, "stat", lambda path, **how: sound if "null" in str(path) else really(path, **how)
    )
    assert stat.S_ISREG(os.stat("/dev/null").st_mode)  # noqa: PTH116
    with pytest.raises((Unfit, AudioNotFound), match="device"):
        READERS[reader](Path("/dev/null"))


def test_as_much_as_the_limit_is_read_and_a_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    assert content(path, TEN) == bytes(mapped(path, TEN)) == b"0123456789"
    path.write_bytes(b"0123456789a")
    for reader in (content, mapped):
        with pytest.raises(Unfit, match="more than 10 bytes, the limit of a test: make it shorter"):
            reader(path, TEN)
    path.write_bytes(b"")
    assert content(path, TEN) == bytes(mapped(path, TEN)) == b""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no file without a size here")
def test_a_file_of_a_system_that_knows_no_size_is_read_up_to_the_limit() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    with pytest.raises(Unfit, match="more than 10 bytes"):
        content(Path("/proc/self/status"), TEN)
