"""The key that opens a gallery: looked up by its id, in a place that may not answer."""

from __future__ import annotations

import base64
import shlex
import time
from pathlib import Path

import pytest

from voiceid.errors import GalleryKeyMissing
from voiceid.protection import Key, KeyRing, KeySource, key_id_of, key_source

KEY = Key(b"k" * 32)
TEXT = base64.b64encode(KEY.secret).decode()


def test_a_place_that_did_not_answer_is_not_waited_for_again_for_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_source, "_COMMAND_S", 1.0)
    runs, answer = tmp_path / "runs", tmp_path / "answer"
    answering = f"echo >> {runs}; cat {answer} || exec sleep 60"
    ring = KeyRing(KeySource("command", shlex.join(["sh", "-c", answering])))
    for _ in range(3):
        with pytest.raises(GalleryKeyMissing, match="did not end in 1 s"):
            ring.key(key_id_of(KEY))
    assert runs.read_text() == "\n"
    answer.write_text(TEXT)
    time.sleep(1.2)
    assert ring.key(key_id_of(KEY)).secret == KEY.secret


def test_a_key_is_found_when_it_is_back_in_its_file(tmp_path: Path) -> None:
    ring = KeyRing(source := KeySource("file", str(tmp_path / "k")))
    with pytest.raises(GalleryKeyMissing, match="No such file"):
        ring.key(key_id_of(KEY))
    source.change(lambda _: [KEY])
    assert ring.key(key_id_of(KEY)).secret == KEY.secret
