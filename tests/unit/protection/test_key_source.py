"""Where the key is: read whole and privately, or said why not."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest

from voiceid.errors import GalleryKeyMissing, StoreError
from voiceid.protection import Key, KeySource, key_source

KEY, OLD = Key(b"k" * 32), Key(b"o" * 32)
TEXT = base64.b64encode(KEY.secret).decode()


def secrets(source: KeySource) -> list[bytes]:
    return [key.secret for key in source.read()]


def test_a_file_is_written_for_its_owner_alone_and_read_newest_first(tmp_path: Path) -> None:
    source = KeySource.parse("file:keys/gallery.key", tmp_path)
    assert not source.is_there()
    source.change(lambda _: [KEY, OLD])
    path = tmp_path / "keys" / "gallery.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().splitlines()[0] == TEXT
    assert secrets(source) == [KEY.secret, OLD.secret]


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX's")
def test_a_pipe_and_a_device_are_no_key_and_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for place in (str(tmp_path / "pipe"), "/dev/zero"):
        with pytest.raises(GalleryKeyMissing, match="only a file is read here"):
            KeySource("file", place).read()


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    source = KeySource("file", str(tmp_path / "k"))
    source.change(lambda _: [KEY])
    (tmp_path / "k").chmod(mode)
    with pytest.raises(GalleryKeyMissing, match="other users may read the key") as caught:
        source.read()
    assert "chmod 600" in caught.value.hint
    assert source.is_there()  # so that no other key is put in its place


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "there is none"),
        ("not base64!", "not base64"),
        (base64.b64encode(b"short").decode(), "5 bytes, not 32"),
        ("\x00\xff", "not base64"),
    ],
)
def test_what_is_no_key_is_said(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "k"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(GalleryKeyMissing, match=why):
        KeySource("file", str(path)).read()


def test_a_variable_and_a_command_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY", TEXT)
    assert secrets(KeySource.parse("env:GALLERY")) == [KEY.secret]
    printing = f"command:{sys.executable} -c \"print('{TEXT}')\""
    assert secrets(KeySource.parse(printing)) == [KEY.secret]
    with pytest.raises(StoreError, match="cannot be written to env:GALLERY"):
        KeySource.parse("env:GALLERY").change(lambda _: [KEY])


def test_a_command_has_no_input_and_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    printing = f"import sys; print(sys.stdin.read() or {TEXT!r})"
    place = shlex.join([sys.executable, "-c", printing])
    reading = "import sys; from voiceid.protection import KeySource as K"
    program = f"{reading}; K('command', sys.argv[1]).read(); print(sys.stdin.read())"
    command = [sys.executable, "-c", program, place]
    assert subprocess.check_output(command, input="audio", text=True) == "audio\n"

    monkeypatch.setattr(key_source, "_COMMAND_S", 2.0)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    with pytest.raises(GalleryKeyMissing, match="did not end in 2 s"):
        KeySource("command", "yes").read()
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_a_child_of_a_command_that_keeps_its_output_open_is_not_waited_for(tmp_path: Path) -> None:
    pipe, over = tmp_path / "pipe", tmp_path / "over"
    os.mkfifo(pipe)
    leaving = f"(timeout 30 cat {pipe}; touch {over}) &"
    with pytest.raises(GalleryKeyMissing, match="there is none"):
        KeySource("command", shlex.join(["sh", "-c", leaving])).read()
    assert not over.exists()
    pipe.write_bytes(b"")  # ends the child


def test_what_a_killed_process_left_of_keys_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".gallery.key.123.tmp"
    left.write_text(TEXT)
    KeySource("file", str(tmp_path / "gallery.key")).change(lambda _: [KEY])
    assert [path.name for path in tmp_path.iterdir()] == ["gallery.key"]


def test_keys_that_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    source, new = KeySource("file", str(tmp_path / "gallery.key")), [Key.new() for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: source.change(lambda keys: [key, *keys]), new))
    assert sorted(secrets(source)) == sorted(key.secret for key in new)
    assert [path.name for path in tmp_path.iterdir()] == ["gallery.key"]


def test_keys_that_cannot_be_read_are_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "gallery.key"
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(GalleryKeyMissing, match="not base64"):
        KeySource("file", str(path)).change(lambda keys: [KEY, *keys])
    assert path.read_text() == "no key"


def test_a_link_is_followed_and_a_mark_of_an_editor_is_left_out(tmp_path: Path) -> None:
    path, link = tmp_path / "elsewhere.key", tmp_path / "gallery.key"
    link.symlink_to(path)
    with pytest.raises(GalleryKeyMissing, match="No such file"):  # its disk may not be there
        KeySource("file", str(link)).change(lambda _: [KEY])
    KeySource("file", str(path)).change(lambda _: [OLD])
    KeySource("file", str(link)).change(lambda _: [KEY])
    assert link.is_symlink()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert secrets(KeySource("file", str(link))) == [KEY.secret]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (f"command:{sys.executable} -c exit(3)", "the command ended with 3"),
        ("command:/no/such/program", "FileNotFoundError"),
        ("env:NO_SUCH_VARIABLE", "there is none"),
        ("file:/no/such/file", "No such file"),
    ],
)
def test_a_place_without_it_is_named(source: str, why: str) -> None:
    with pytest.raises(GalleryKeyMissing, match=why):
        KeySource.parse(source).read()


@pytest.mark.parametrize("text", ["", "gallery.key", "file:", "vault:x", "command: "])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not file:PATH"):
        KeySource.parse(text)
