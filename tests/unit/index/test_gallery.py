"""The gallery follows a real database; nothing that happens to its file changes an answer."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_voices import DIM, OTHER_SPACE, SPACE, files_with, random_unit, sample, unprivileged

from voiceid.domain import Float32Array, SpeakerDetails
from voiceid.errors import IndexFault
from voiceid.index import sealer, sections
from voiceid.index.base import IndexOptions
from voiceid.index.file import remove_others
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Store, StoreOptions
from voiceid.store.reader import Reader
from voiceid.whole_files import alone_in

KINDS = ["exact", "compact", "two-stage"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "voices.sqlite3")
    yield store
    store.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index" / "voices.index"


def gallery(kind: str, path: Path) -> GalleryIndex:
    return GalleryIndex(SPACE.id, DIM, path, IndexOptions(kind))


def voices_in(path: Path) -> int:
    """Return how many vectors, or codes that are not zero, each section of a file holds."""
    _, arrays = sections.read(path, {})
    rows = {key: arrays[key] for key in ("there", "vectors", "bytes", "products") if key in arrays}
    [count] = {int(array.reshape(len(array), -1).any(axis=1).sum()) for array in rows.values()}
    return count


def enroll(store: Store, name: str, vector: Float32Array) -> int:
    """Enroll one sample; return the centroid's id."""
    with store.write() as writer:
        speaker = writer.speakers.find(name) or writer.speakers.add(name)
        writer.samples.add(speaker.id, SPACE, [sample(vector)])
        table = writer.centroids.table(SPACE.id)
        owners = writer.centroids.owners(table.ids.tolist())
        return next(i for i, owner in owners.items() if owner.speaker.id == speaker.id)


def remove(store: Store, name: str) -> None:
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get(name).id)


def answer(store: Store, index: GalleryIndex, query: Float32Array, k: int = 3) -> list[int]:
    with store.read() as reader:
        hits = index.search(reader, query, k)
        assert hits == brute_force(reader, query, k)
        return [i for i, _ in hits]


def brute_force(reader: Reader, query: Float32Array, k: int) -> list[tuple[int, float]]:
    table = reader.centroids.table(SPACE.id)
    if not len(table.ids):
        return []
    scores = np.einsum("ij,j->i", table.vectors.astype(float), query.astype(float))
    hits = zip(table.ids.tolist(), np.clip(scores.astype(np.float32), -1, 1).tolist(), strict=True)
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k]


def test_a_search_follows_every_change_of_the_database(store: Store, kind: str, path: Path) -> None:
    index, rng = gallery(kind, path), np.random.default_rng(1)
    a, b = random_unit(rng, 2)
    assert answer(store, index, a) == []
    alice = enroll(store, "alice", a)
    assert answer(store, index, a) == [alice]
    bob = enroll(store, "bob", b)
    assert answer(store, index, b) == [bob, alice]
    enroll(store, "alice", random_unit(rng))
    answer(store, index, a)
    remove(store, "alice")
    assert answer(store, index, a) == [bob]
    remove(store, "bob")
    assert answer(store, index, a) == []


@settings(deadline=None, max_examples=15)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["enroll", "remove", "search", "reopen"]), st.integers(0, 4)),
        max_size=14,
    ),
    kind=st.sampled_from(KINDS),
)
def test_any_history_is_answered_from_the_present(steps: list[tuple[str, int]], kind: str) -> None:
    rng = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as name:
        store = Store.open(Path(name) / "voices.sqlite3")
        path = Path(name) / "voices.index"
        index, enrolled = gallery(kind, path), set()
        for what, who in steps:
            if what == "enroll":
                enroll(store, f"speaker {who}", random_unit(rng))
                enrolled.add(who)
            elif what == "remove" and who in enrolled:
                remove(store, f"speaker {who}")
                enrolled.discard(who)
            elif what == "reopen":
                index.save()
                index = gallery(kind, path)
            else:
                assert len(answer(store, index, random_unit(rng), k=9)) == len(enrolled)
        store.close()


def test_a_file_that_is_behind_catches_up_by_the_feed(store: Store, kind: str, path: Path) -> None:
    rng = np.random.default_rng(3)
    voices = random_unit(rng, 4)
    for n, voice in enumerate(voices[:3]):
        enroll(store, f"s{n}", voice)
    answer(store, gallery(kind, path), voices[0])
    enroll(store, "s3", voices[3])
    remove(store, "s0")
    index = gallery(kind, path)
    with store.read() as reader:
        assert index.status(reader).state == "behind"
        assert index.status(reader).vectors == 3
    assert len(answer(store, index, voices[3], k=9)) == 3


DAMAGES = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"x",
    "a flipped bit": lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
    "not an index": lambda data: b"\x80\x04hello" * 30,
    "no header": lambda data: data.split(b"\n")[0] + b"\n",
    "header of a list": lambda data: data.split(b"\n")[0] + b"\n[]\n" + data,
    "header without a key": lambda data: data.replace(b'"token"', b'"taken"'),
    "another space": lambda data: data.replace(SPACE.id.encode(), OTHER_SPACE.id.encode()),
    "a wrong count": lambda data: data.replace(b'"count": 2', b'"count": 3'),
    "an unknown token": lambda data: data.replace(b'"token": "', b'"token": "0'),
    "a future revision": lambda data: data.replace(b'"revision": 2', b'"revision": 9'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_damaged_or_foreign_is_built_again(
    store: Store, kind: str, path: Path, damage: str
) -> None:
    voices = random_unit(np.random.default_rng(4), 2)
    for n, voice in enumerate(voices):
        enroll(store, f"s{n}", voice)
    answer(store, gallery(kind, path), voices[0])
    good = path.read_bytes()
    path.write_bytes(DAMAGES[damage](good))
    assert path.read_bytes() != good
    index = gallery(kind, path)
    with store.read() as reader:
        assert index.status(reader).state in {"damaged", "behind"}
    assert len(answer(store, index, voices[1])) == 2
    with store.read() as reader:
        index.rebuild(reader)
        assert index.status(reader).state == "current"
    assert path.read_bytes() == good


def test_the_file_of_the_other_kind_is_built_again(store: Store, path: Path) -> None:
    voice = random_unit(np.random.default_rng(4))
    enroll(store, "alice", voice)
    for kind in [*KINDS, *KINDS]:
        assert len(answer(store, gallery(kind, path), voice)) == 1


def test_the_file_of_another_space_is_not_read_whatever_its_name(
    store: Store, kind: str, path: Path
) -> None:
    rng = np.random.default_rng(4)
    with store.write() as writer:
        speaker = writer.speakers.add("bob")
        for space in (SPACE, OTHER_SPACE):
            writer.samples.add(speaker.id, space, [sample(random_unit(rng), space=space)])
    with store.read() as reader:
        other = GalleryIndex(OTHER_SPACE.id, DIM, path, IndexOptions(kind))
        other.rebuild(reader)
        assert other.status(reader).state == "current"
        assert gallery(kind, path).status(reader).state == "damaged"
    answer(store, gallery(kind, path), random_unit(rng))


def test_a_restored_backup_is_not_answered_from_its_future(tmp_path: Path, kind: str) -> None:
    rng, database = np.random.default_rng(5), tmp_path / "voices.sqlite3"
    path = tmp_path / "voices.index"
    old, lost, new = random_unit(rng, 3)
    store = Store.open(database)
    enroll(store, "old", old)
    store.close()
    shutil.copy(database, tmp_path / "backup")
    store = Store.open(database)
    enroll(store, "lost", lost)
    answer(store, gallery(kind, path), lost)
    running = gallery(kind, path)
    answer(store, running, lost)
    store.close()
    shutil.copy(tmp_path / "backup", database)
    store = Store.open(database)
    for index in (running, gallery(kind, path)):
        assert len(answer(store, index, lost)) == 1
    assert files_with(tmp_path, lost) == set(), "a file of the lost future is still there"
    enroll(store, "new", new)  # the same revision number as "lost" had, and another token
    for index in (running, gallery(kind, path)):
        assert len(answer(store, index, lost)) == 2
    store.close()


def test_each_snapshot_gets_its_own_answer(store: Store, kind: str, path: Path) -> None:
    index = gallery(kind, path)
    a, b = random_unit(np.random.default_rng(6), 2)
    alice = enroll(store, "alice", a)
    with store.read() as before:
        assert [i for i, _ in index.search(before, b, 5)] == [alice]
        bob = enroll(store, "bob", b)
        assert answer(store, index, b) == [bob, alice]
        assert [i for i, _ in index.search(before, b, 5)] == [alice]
    assert answer(store, index, b) == [bob, alice]


def test_other_spaces_are_not_searched(store: Store, kind: str, path: Path) -> None:
    index = gallery(kind, path)
    a, b = random_unit(np.random.default_rng(7), 2)
    assert answer(store, index, a) == []
    with store.write() as writer:
        speaker = writer.speakers.add("bob")
        writer.samples.add(speaker.id, OTHER_SPACE, [sample(b, space=OTHER_SPACE)])
    assert answer(store, index, b) == []
    enroll(store, "alice", a)
    assert len(answer(store, index, b)) == 1


def test_a_removed_voice_leaves_the_file_with_the_next_sync(
    store: Store, kind: str, path: Path
) -> None:
    alice, bob = random_unit(np.random.default_rng(8), 2)
    enroll(store, "alice", alice)
    enroll(store, "bob", bob)
    answer(store, gallery(kind, path), alice)
    assert voices_in(path) == 2
    remove(store, "alice")
    with store.read() as reader:
        gallery(kind, path).sync(reader)
    assert voices_in(path) == 1
    assert files_with(path.parent, alice) == set()
    assert len(answer(store, gallery(kind, path), bob)) == 1


def test_an_older_index_does_not_replace_a_newer_file(store: Store, kind: str, path: Path) -> None:
    index = gallery(kind, path)
    voice = random_unit(np.random.default_rng(9))
    enroll(store, "alice", voice)
    answer(store, index, voice)
    enroll(store, "bob", random_unit(np.random.default_rng(10)))
    with store.read() as reader:
        gallery(kind, path).rebuild(reader)
    newer = path.read_bytes()
    index.save()
    assert path.read_bytes() == newer


def test_what_a_killed_process_left_half_written_is_swept(
    store: Store, kind: str, path: Path
) -> None:
    path.parent.mkdir()
    left = path.with_name(f".{path.name}.abc")
    with store.read() as reader:
        for act in (gallery(kind, path).rebuild, gallery(kind, path).sync):
            left.write_bytes(b"a voice")
            act(reader)
            assert not left.exists()


def test_the_file_is_for_its_owner_only(store: Store, kind: str, path: Path) -> None:
    with store.read() as reader:
        gallery(kind, path).rebuild(reader)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_to_costs_the_cache_and_no_answer(
    store: Store, kind: str, tmp_path: Path
) -> None:
    voice = random_unit(np.random.default_rng(11))
    enroll(store, "alice", voice)
    (tmp_path / "file").write_bytes(b"")
    assert len(answer(store, gallery(kind, tmp_path / "file" / "x.index"), voice)) == 1
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    with store.read() as reader, unprivileged():
        index = gallery(kind, folder / "x.index")
        assert len(index.search(reader, voice, 1)) == 1
        index.save()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "query", [np.zeros(DIM + 1), np.zeros((1, DIM)), np.full(DIM, np.nan), np.full(DIM, np.inf)]
)
def test_a_query_that_is_no_vector_of_the_space_is_a_fault(
    store: Store, kind: str, path: Path, query: np.ndarray
) -> None:
    with store.read() as reader, pytest.raises(IndexFault):
        gallery(kind, path).search(reader, query.astype(np.float32), 1)


def test_the_status_says_what_file_and_database_hold(store: Store, kind: str, path: Path) -> None:
    index = gallery(kind, path)
    with store.read() as reader:
        assert index.status(reader).state == "missing"
        assert not path.exists()
    enroll(store, "alice", random_unit(np.random.default_rng(12)))
    with store.read() as reader:
        index.rebuild(reader)
        status = index.status(reader)
    assert (status.state, status.vectors, status.enrolled) == ("current", 1, 1)
    assert status.revision == status.database_revision == 1
    assert (status.space, status.kind) == (SPACE.id, kind)


def sealed_with(
    store: Store, kind: str, path: Path, n: int = 30
) -> tuple[GalleryIndex, np.ndarray]:
    voices = random_unit(np.random.default_rng(13), n + 10)
    for number, voice in enumerate(voices[:n]):
        enroll(store, f"s{number}", voice)
    index = gallery(kind, path)
    with store.read() as reader:
        index.rebuild(reader)
    return index, voices


def test_a_group_follows_who_joins_and_who_leaves(store: Store, kind: str, path: Path) -> None:
    index, voices = sealed_with(store, kind, path)

    def members(*query: int) -> list[str]:
        with store.read() as reader:
            hits = index.search(reader, voices[query[0]], 99, "Staff")
            owners = reader.centroids.owners([i for i, _ in hits])
            assert index.size(reader, "staff") == len(hits)
            return sorted(owners[i].speaker.name for i, _ in hits)

    def change(name: str, **details: object) -> None:
        with store.write() as writer:
            writer.speakers.edit(writer.speakers.get(name).id, SpeakerDetails(**details))

    assert members(0) == []
    change("s1", groups=("staff",))
    change("s2", groups=("staff",))
    assert members(0) == ["s1", "s2"]
    enroll(store, "s2", voices[35])
    enroll(store, "new", voices[36])
    assert members(36) == ["s1", "s2"]
    change("new", groups=("staff",))
    change("s1", not_groups=("staff",))
    assert members(36) == ["new", "s2"]
    remove(store, "s2")
    assert members(36) == ["new"]


def test_an_older_snapshot_is_answered_as_it_was_without_a_new_index(
    kind: str, path: Path, tmp_path: Path
) -> None:
    # A removal waits, so long, for readers to let go of what it left in the log.
    store = Store.open(tmp_path / "impatient.sqlite3", StoreOptions(busy_timeout_ms=50))
    index, voices = sealed_with(store, kind, path)
    with store.read() as before:
        old = brute_force(before, voices[3], 5)
        built = index._flat
        with store.write() as writer:
            writer.speakers.edit(writer.speakers.get("s4").id, SpeakerDetails(groups=("staff",)))
        remove(store, "s3")
        enroll(store, "s5", voices[31])
        enroll(store, "late", voices[3])
        near = voices[3] + np.float32(0.1) * voices[32]
        enroll(store, "later", near / np.linalg.norm(near))
        answer(store, index, voices[3])
        for k in (1, 5, 99):
            assert index.search(before, voices[3], k) == brute_force(before, voices[3], k)
        assert index.search(before, voices[3], 5) == old
        assert index.search(before, voices[3], 5, "staff") == []
        assert (index.size(before), len(index)) == (30, 31), "one went, and two came"
        assert index._flat is built, "an index was built for the old snapshot"
    with store.read() as now:
        late = now.centroids.id_of(now.speakers.get("late").id, SPACE.id)
    assert answer(store, index, voices[3])[0] == late
    store.close()


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gallery is due to be sealed after few changes, and is never rebuilt for them."""
    monkeypatch.setattr("voiceid.index.gallery._REBUILD_AFTER", 5)
    monkeypatch.setattr("voiceid.index.gallery._REBUILD_SHARE", 9.0)
    monkeypatch.setattr("voiceid.index.gallery._SEAL_SHARE", 0.0)


@pytest.mark.usefixtures("little")
def test_a_gallery_that_is_due_is_sealed_by_another_and_taken_from_there(
    store: Store, path: Path
) -> None:
    index, voices = sealed_with(store, "two-stage", path)
    running, asked = gallery("two-stage", path), []
    due = GalleryIndex(SPACE.id, DIM, path, IndexOptions("two-stage"), lambda: asked.append(1))
    for number in range(30, 36):
        enroll(store, f"s{number}", voices[number])
        answer(store, running, voices[number])
        with store.read() as reader:
            index.sync(reader)
            due.sync(reader)
            assert index.is_due(reader) == index.status(reader).is_due == (number == 35)
    assert asked == [1]
    assert len(index._sealed) == len(running._sealed) == 30, "a command sealed the gallery"
    assert gallery("two-stage", path).seal(store.read)
    with store.read() as reader:
        assert not index.is_due(reader)
    enroll(store, "s3", random_unit(np.random.default_rng(14)))
    for one in (index, running, gallery("two-stage", path)):
        assert len(answer(store, one, voices[3], k=99)) == 36
        assert len(one._sealed) == 36, "the new file was not taken"
        assert len(one._flat) == 1


@pytest.mark.parametrize("tier", ["compact", "two-stage"])
def test_a_search_makes_no_codes_that_another_has_made_or_is_making(
    store: Store, path: Path, tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceid.index.gallery._followed", lambda _: 3)
    running, voices = sealed_with(store, tier, path)
    made, codes = [], GalleryIndex._codes
    monkeypatch.setattr(GalleryIndex, "_codes", lambda *of: made.append(1) or codes(*of))
    with alone_in(path.parent, "sealing.lock"):
        for number in range(30, 34):
            enroll(store, f"s{number}", voices[number])
        assert len(answer(store, running, voices[33], k=99)) == 34
        path.unlink()
        for one in (running, gallery(tier, path)):
            assert len(answer(store, one, voices[33], k=99)) == 34
            with store.read() as reader:
                assert one.size(reader) == 34
    assert (made, path.exists()) == ([], False)
    other = gallery(tier, path)
    assert len(answer(store, other, voices[33], k=99)) == 34
    assert made == [1], "a file that no process makes is made by the search"
    for number in range(34, 40):
        enroll(store, f"s{number}", voices[number])
    assert gallery(tier, path).seal(store.read)
    for one in (running, other):
        assert len(answer(store, one, voices[39], k=99)) == 40
        assert len(one._sealed) == 40
    assert made == [1, 1], "one by the one who sealed"


@pytest.mark.usefixtures("little")
def test_an_index_is_lost_when_a_search_would_make_it_again(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceid.index.gallery._followed", lambda size: size / 10)
    index, voices = sealed_with(store, "compact", path)
    for number, is_lost in ((30, False), (31, False), (32, False), (33, True)):
        enroll(store, f"s{number}", voices[number])
        with store.read() as reader:
            assert index.is_due(reader, lost=True) == is_lost
            assert not gallery("exact", path).is_due(reader, lost=True)
    path.unlink()
    with store.read() as reader:
        assert index.is_due(reader, lost=True)


@pytest.mark.usefixtures("little")
def test_what_changes_while_a_gallery_is_sealed_is_not_in_its_file(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceid.index.sealed._ROWS_AT_ONCE", 7)
    index, voices = sealed_with(store, "two-stage", path)
    for number in range(30, 36):
        enroll(store, f"s{number}", voices[number])
    waiting = [
        lambda: remove(store, "s1"),
        lambda: enroll(store, "s2", voices[36]),
        lambda: enroll(store, "late", voices[37]),
        lambda: remove(store, "s33"),
        lambda: None,
        lambda: None,  # until the rows to be sealed are known
    ]

    @contextmanager
    def read() -> Iterator[Reader]:
        with store.read() as reader:
            yield reader
        if waiting:
            waiting.pop()()
            with store.read() as reader:
                assert gallery("two-stage", path).sync(reader)

    assert gallery("two-stage", path).seal(read)
    assert waiting == []
    assert voices_in(path) == 36 - 3
    for one in (index, gallery("two-stage", path)):
        assert len(answer(store, one, voices[36], k=99)) == 35
        assert len(one._flat) == 2, "the sealed file was not put in place"


def test_the_old_centroid_of_a_speaker_leaves_the_file_with_the_next_sync(
    store: Store, kind: str, path: Path
) -> None:
    alice, bob, more = random_unit(np.random.default_rng(15), 3)
    enroll(store, "alice", alice)
    enroll(store, "bob", bob)
    running = gallery(kind, path)
    answer(store, running, alice)
    with store.read() as before:
        old = brute_force(before, alice, 3)
        enroll(store, "alice", more)
        with store.read() as reader:
            assert gallery(kind, path).sync(reader)
        assert voices_in(path) == 1
        assert files_with(path.parent, alice) == set()
        for index in (running, gallery(kind, path)):  # they see what was, in spite of the file
            assert index.search(before, alice, 3) == old
    for index in (running, gallery(kind, path)):
        assert len(answer(store, index, alice)) == 2
    remove(store, "alice")
    remove(store, "bob")
    with store.read() as reader:
        assert gallery(kind, path).sync(reader)
    assert list(path.parent.iterdir()) == []


def test_a_speaker_who_was_erased_is_found_when_a_backup_brings_them_back(
    tmp_path: Path, kind: str
) -> None:
    database, path = tmp_path / "voices.sqlite3", tmp_path / "voices.index"
    store = Store.open(database)
    alice, bob = random_unit(np.random.default_rng(16), 2)
    enroll(store, "alice", alice)
    enroll(store, "bob", bob)
    answer(store, gallery(kind, path), alice)
    store.close()
    shutil.copy(database, tmp_path / "backup")
    store = Store.open(database)
    remove(store, "alice")
    with store.read() as reader:
        gallery(kind, path).sync(reader)
    store.close()
    shutil.copy(tmp_path / "backup", database)
    store = Store.open(database)
    for seed in (17, 21):
        assert len(answer(store, gallery(kind, path), alice)) == 2
        enroll(store, "bob", random_unit(np.random.default_rng(seed)))
        with store.read() as reader:
            gallery(kind, path).sync(reader)
    store.close()


def test_a_sync_says_when_it_can_neither_erase_nor_remove(
    store: Store, kind: str, tmp_path: Path
) -> None:
    folder = tmp_path / "closed"
    enroll(store, "alice", random_unit(np.random.default_rng(18)))
    enroll(store, "bob", random_unit(np.random.default_rng(19)))
    with store.read() as reader:
        gallery(kind, folder / "x.index").rebuild(reader)
    remove(store, "alice")
    (folder / "x.index").chmod(0o444)
    folder.chmod(0o555)
    with store.read() as reader, unprivileged():
        assert not gallery(kind, folder / "x.index").sync(reader)
    folder.chmod(0o755)
    with store.read() as reader:
        assert gallery(kind, folder / "x.index").sync(reader)


def test_erasing_does_not_load_faiss(store: Store, kind: str, path: Path) -> None:
    for name in ("alice", "bob", "carol"):
        enroll(store, name, random_unit(np.random.default_rng(len(name))))
    with store.read() as reader:
        gallery(kind, path).rebuild(reader)
    remove(store, "bob")
    script = f"""
import sys
from pathlib import Path
from voiceid.index.base import IndexOptions
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Store
with Store.open(Path({str(store.path)!r})).read() as reader:
    for space_id, path in (({SPACE.id!r}, {str(path)!r}), ("other", {str(path)!r} + "2")):
        assert GalleryIndex(space_id, {DIM}, Path(path), IndexOptions({kind!r})).sync(reader)
assert "faiss" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert voices_in(path) == 2


def test_the_files_of_spaces_that_are_gone_are_removed(tmp_path: Path) -> None:
    kept = ["a.index", "notes.txt"]
    for name in [*kept, "b.index", ".b.index.x", ".a.index.y"]:
        (tmp_path / name).write_bytes(b"voices")
    assert remove_others(tmp_path, ["a"]) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert remove_others(tmp_path / "missing", ["a"]) == []


def test_the_sealer_starts_where_a_gallery_has_no_folder_of_index_files_yet(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "index"
    assert sealer.start([sys.executable, "-c", "pass"], folder, {})
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_sealer_is_one_process_at_a_time_and_seals_what_is_due(
    store: Store, path: Path, tmp_path: Path
) -> None:
    enroll(store, "alice", random_unit(np.random.default_rng(20)))
    path.parent.mkdir()
    wrote = tmp_path / "wrote"
    command = [sys.executable, "-c", f"import os; open({str(wrote)!r}, 'w').write(os.environ['X'])"]
    assert sealer.start(command, path.parent, {"X": "kind"})
    assert not sealer.start(command, path.parent, {}), "two in a minute"
    deadline = time.monotonic() + 60
    while not (wrote.exists() and wrote.read_text() == "kind"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.utime(path.parent / "sealing.lock", (0, 0))
    index = gallery("compact", path)
    with alone_in(path.parent, "sealing.lock"):
        assert not sealer.start(command, path.parent, {}), "one is at work"
        assert not sealer.seal_due(path.parent, [index], store.read)
    assert not path.exists()
    assert sealer.seal_due(path.parent, [index], store.read)
    assert voices_in(path) == 1


def test_a_gallery_that_cannot_be_sealed_is_held_whole(
    store: Store, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    index, voices = sealed_with(store, kind, tmp_path / "file" / "x.index")
    remove(store, "s1")
    assert len(answer(store, index, voices[2], k=99)) == 29
