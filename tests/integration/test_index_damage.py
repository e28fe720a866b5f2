"""Whatever is done to the files of an index, the answers are those of exact search."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_voices import unprivileged
from torture.changes import Known
from torture.checks import Truth
from torture.voices import DIM, centroid, fill, new_clips, opened

from voiceid import EmbeddedClip, VoiceID


@dataclass(frozen=True)
class Enrolled:
    """A gallery with an index file, and what exact search over it answers."""

    vid: VoiceID
    data: Path
    truth: Truth
    index: Path
    sound: bytes

    def answers(self) -> None:
        """Ask as a process does that has read no file yet."""
        self.vid._session._galleries.clear()
        assert self.truth.wrong_answers(self.vid, 1, n=3) == []


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enrolled]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    rng = np.random.default_rng(8)
    people = {f"speaker {i}": new_clips(rng, 2) for i in range(30)}
    fill(None, None, data, people)
    truth = Truth.of({name: Known(frozenset(clips)) for name, clips in people.items()})
    with opened(data) as vid:
        vid.index.rebuild()
        [index] = [path for path in (data / "index").iterdir() if path.is_file()]
        yield Enrolled(vid, data, truth, index, index.read_bytes())


@pytest.fixture(autouse=True)
def sound(gallery: Enrolled) -> Iterator[None]:
    yield
    folder = gallery.index.parent
    folder.unlink() if folder.is_file() else shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    gallery.index.write_bytes(gallery.sound)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_bit_of_a_file_may_flip(gallery: Enrolled, data: st.DataObject) -> None:
    broken = bytearray(gallery.sound)
    # The head of a file is where a flip does most; half of the examples are there.
    at = data.draw(st.integers(0, len(broken) - 1) | st.integers(0, 300))
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    gallery.index.write_bytes(broken)
    gallery.answers()


def test_a_file_may_end_anywhere(gallery: Enrolled) -> None:
    size = len(gallery.sound)
    lengths = {0, 1, 15, 16, 17, 200, 4095, 4096, size - 1, size - 8, *range(40, size, size // 12)}
    for length in sorted(lengths):
        gallery.index.write_bytes(gallery.sound[:length])
        gallery.answers()


def test_a_file_may_go_on_after_its_end(gallery: Enrolled) -> None:
    for more in (b"\0", bytes(4096), gallery.sound):
        gallery.index.write_bytes(gallery.sound + more)
        gallery.answers()


def test_pages_of_a_file_may_be_lost_or_swapped(gallery: Enrolled) -> None:
    pages = [gallery.sound[i : i + 4096] for i in range(0, len(gallery.sound), 4096)]
    for lost in range(len(pages)):
        gone = [bytes(len(page)) if i == lost else page for i, page in enumerate(pages)]
        gallery.index.write_bytes(b"".join(gone))
        gallery.answers()
    gallery.index.write_bytes(b"".join([*pages[:-3], pages[-2], pages[-3], pages[-1]]))
    gallery.answers()


def test_a_program_may_end_while_its_index_is_read(
    gallery: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    with monkeypatch.context() as patched:
        patched.setattr("voiceid.index.sections.ThreadPoolExecutor", end)
        gallery.vid._session._galleries.clear()
        gallery.vid._session.gallery(gallery.vid.models.space.id, DIM).prepare()
        for thread in threading.enumerate():
            if thread.name == "voiceid-index":
                thread.join()
    gallery.answers()


def _linked(target: str) -> Callable[[Enrolled], None]:
    def link(gallery: Enrolled) -> None:
        gallery.index.unlink()
        gallery.index.symlink_to(target)

    return link


def _folder(gallery: Enrolled) -> None:
    gallery.index.unlink()
    (gallery.index / "something").mkdir(parents=True)


def _file_for_folder(gallery: Enrolled) -> None:
    shutil.rmtree(gallery.index.parent)
    gallery.index.parent.write_text("precious")


def _older(gallery: Enrolled) -> None:
    """Write format 2, whose head was JSON, with every speaker in it."""
    space = gallery.vid.models.space.id
    with gallery.vid._session.store.read() as reader:
        table, revision = reader.centroids.table(space), reader.revision
    payload = table.ids.astype("<i8").tobytes() + table.vectors.astype("<f4").tobytes()
    facts = {
        "kind": "exact",
        "space": space,
        "dim": DIM,
        "revision": revision.number,
        "token": revision.token,
        "count": len(table.ids),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    head = b"voiceid-index-2\n" + json.dumps(facts).encode() + b"\n"
    gallery.index.write_bytes(head + payload)


WAYS: dict[str, Callable[[Enrolled], object]] = {
    "missing": lambda g: g.index.unlink(),
    "without its folder": lambda g: shutil.rmtree(g.index.parent),
    "text": lambda g: g.index.write_text("precious\n" * 1000),
    "a database": lambda g: shutil.copy(g.data / "voiceid.sqlite3", g.index),
    "an archive": lambda g: g.index.write_bytes(b"PK\x03\x04" + bytes(5000)),
    "random": lambda g: g.index.write_bytes(np.random.default_rng(1).bytes(50_000)),
    "of version 1": lambda g: g.index.write_bytes(b"voiceid-index-1\n" + g.sound[16:]),
    "of a later version": lambda g: g.index.write_bytes(b"voiceid-index-9\n" + g.sound[16:]),
    "format 2": _older,
    "a folder": _folder,
    "a link to itself": lambda g: _linked(g.index.name)(g),
    "a link to nowhere": _linked("nowhere"),
    "a file for a folder": _file_for_folder,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_file_of_this_index_is_not_believed(way: str, gallery: Enrolled) -> None:
    WAYS[way](gallery)
    gallery.answers()
    [status] = gallery.vid.index.status()
    assert (status.state == "current") == (way not in IN_THE_WAY)
    gallery.answers()


IN_THE_WAY = {"a folder", "a file for a folder"}
"""These stay: what is in them is not ours to remove."""


def test_a_link_is_replaced_and_what_it_leads_to_is_left(gallery: Enrolled, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    _linked(str(precious))(gallery)
    gallery.answers()
    assert precious.read_bytes() == b"precious"


def test_a_file_that_every_user_may_write_to_is_written_again(gallery: Enrolled) -> None:
    gallery.index.chmod(0o666)
    before = gallery.index.stat().st_ino
    gallery.answers()
    assert gallery.index.stat().st_ino != before, "another user may hold the old file open"
    assert gallery.index.stat().st_mode & 0o777 == 0o600


def test_the_file_of_another_gallery_under_this_name_is_not_believed(
    gallery: Enrolled, tmp_path: Path
) -> None:
    fill(None, None, tmp_path / "data", {"somebody": new_clips(np.random.default_rng(9), 3)})
    with opened(tmp_path / "data") as vid:
        vid.index.rebuild()
    shutil.copy(tmp_path / "data" / "index" / gallery.index.name, gallery.index)
    gallery.answers()


def test_the_file_of_another_space_under_this_name_is_not_believed(gallery: Enrolled) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICEID_SPEECH__PAD_MS", "70")
        people = {"speaker 0 elsewhere": new_clips(np.random.default_rng(10), 3)}
        fill(None, None, gallery.data.with_name("elsewhere"), people)
        with opened(gallery.data.with_name("elsewhere")) as vid:
            vid.index.rebuild()
    [other] = gallery.data.with_name("elsewhere").glob("index/*")
    assert other.name != gallery.index.name
    shutil.copy(other, gallery.index)
    gallery.answers()


def test_a_file_that_may_not_be_read_costs_time_and_no_answer(gallery: Enrolled) -> None:
    gallery.index.chmod(0)
    gallery.index.parent.chmod(0o500)
    owned = [gallery.data, *gallery.data.iterdir()]
    if os.geteuid() == 0:
        pytest.importorskip("pwd")
        from random_voices import NOBODY

        for path in owned:
            os.chown(path, NOBODY, -1)
        for parent in gallery.data.parents[:4]:  # one more of a worker of pytest-xdist
            parent.chmod(parent.stat().st_mode | 0o011)
    try:
        with unprivileged(), opened(gallery.data) as vid:
            assert gallery.truth.wrong_answers(vid, 1) == []
    finally:
        gallery.index.parent.chmod(0o700)
        for path in owned if os.geteuid() == 0 else ():
            os.chown(path, 0, -1)


def test_a_file_that_is_damaged_under_a_running_process_changes_none_of_its_answers(
    gallery: Enrolled,
) -> None:
    with opened(gallery.data) as vid:
        assert gallery.truth.wrong_answers(vid, 1) == []
        other = gallery.index.with_name("other")
        for content in (b"", b"text", gallery.sound[:5000]):
            other.write_bytes(content)
            other.replace(gallery.index)
            assert gallery.truth.wrong_answers(vid, 1) == []
        clips = new_clips(np.random.default_rng(11), 2)
        fill(None, None, gallery.data, {"late": clips})
        [late] = vid.search(EmbeddedClip(centroid(clips).astype(np.float32), vid.models.space), k=1)
        assert late.speaker.name == "late"
        vid.speakers.remove("late")
        assert gallery.truth.wrong_answers(vid, 1) == []
