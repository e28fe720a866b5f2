"""Each snapshot gets the answer of its own point of the history, with brute force as oracle."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from histories import History, Snapshot, random_history
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_voices import DIM, SPACE, files_with, random_unit

from voiceid.index import gallery as module
from voiceid.index import sealed
from voiceid.index.base import IndexOptions
from voiceid.index.gallery import GalleryIndex

KINDS = ["exact", "compact", "two-stage"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enroll", "remove", "join", "ask", "ask", "reopen", "sync"]),
        st.integers(0, 13),
        st.integers(0, 6),
    ),
    max_size=24,
)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Codes of few vectors are made and measured in little time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "_LEAST_QUERIES", 64)
        patch.setattr(sealed, "_THREADS", 1)
        patch.setattr(sealed, "_SPARE", 1)
        patch.setattr("voiceid.index.codes._LEAST", 40)
        yield


@contextmanager
def gallery_of(kind: str) -> Iterator[GalleryIndex]:
    with tempfile.TemporaryDirectory() as folder:
        yield gallery_at(Path(folder), kind)


def gallery_at(folder: Path, kind: str) -> GalleryIndex:
    return GalleryIndex(SPACE.id, DIM, folder / "x.index", IndexOptions(kind))


def require_right(index: GalleryIndex, snapshot: Snapshot, query: np.ndarray) -> None:
    """Ask for the nearest, of all and of the group, and how many there are."""
    for group in (None, "staff"):
        for k in (1, 4, 99):
            assert index.search(snapshot, query, k, group) == snapshot.nearest(query, k, group)
        assert index.size(snapshot, group) == snapshot.count("", group)


def change(history: History, what: str, who: int, rng: np.random.Generator) -> None:
    there = history.now.vectors.get(who)
    if what == "remove" and there is not None:
        history.change(who, None)
    elif what == "join" and there is not None:
        history.change(who, there, member=who not in history.now.members)
    elif what == "enroll":
        history.change(who, random_unit(rng), member=who % 2 == 0)


@settings(max_examples=60)
@given(steps=STEPS, kind=st.sampled_from(KINDS[:2]), n=st.integers(0, 9))
def test_an_index_that_is_ahead_answers_each_older_snapshot_as_it_was(
    steps: list[tuple[str, int, int]], kind: str, n: int
) -> None:
    rng = np.random.default_rng(n)
    history = random_history(rng, n)
    with gallery_of(kind) as first:
        index = first
        require_right(index, history.now, random_unit(rng))
        for what, who, back in steps:
            change(history, what, who, rng)
            if what == "ask":
                old = history.points[max(0, len(history.points) - 1 - back)]
                near = old.vectors.get(who, random_unit(rng))  # an enrolled voice, or a stranger's
                require_right(index, old, near)
            elif what == "reopen":
                index.save()
                index = gallery_at(index._file.path.parent, kind)
            elif what == "sync":
                assert index.sync(history.now)
        require_right(index, history.now, random_unit(rng))


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_from_before_ten_changes_is_not_answered_by_a_new_index(kind: str) -> None:
    """The nearest are the changed ones, and there are more who came than who went."""
    rng = np.random.default_rng(1)
    history = random_history(rng, 20)
    before, query = history.now, random_unit(rng)
    with gallery_of(kind) as index:
        require_right(index, before, query)
        built = index._flat
        for number in range(7):
            near = query + 0.2 * random_unit(rng)
            history.change(30 + number, (near / np.linalg.norm(near)).astype(np.float32))
        for number in (1, 2, 3):
            history.change(number, None)
        require_right(index, history.now, query)
        for snapshot in (before, history.points[24], history.now, before, history.now):
            require_right(index, snapshot, query)
        assert index._flat is built, "an index was built for the old snapshot"
        assert len(index) == 24


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@example(lost=1, new=6, n=3, rebuilt=True, seed=1)
@given(
    lost=st.integers(1, 4),
    new=st.integers(0, 6),
    n=st.integers(1, 6),
    rebuilt=st.booleans(),
    seed=st.integers(0, 99),
)
def test_an_index_of_a_lost_future_answers_nothing_of_it(
    kind: str, lost: int, new: int, n: int, rebuilt: bool, seed: int
) -> None:
    """A backup is put back: the numbers of revisions are given again, with other tokens.

    Another process may have written its file of the newest point by then.
    """
    rng = np.random.default_rng(seed)
    history = random_history(rng, n)
    restored = history.fork(len(history.points), "b")
    with gallery_of(kind) as running:
        require_right(running, history.now, random_unit(rng))
        for number in range(lost):
            history.change(50 + number, random_unit(rng))
        require_right(running, history.now, random_unit(rng))
        running.save()
        for number in range(new):
            restored.change(50 + number, random_unit(rng))
        if rebuilt:
            gallery_at(running._file.path.parent, kind).rebuild(restored.now)
        for index in (running, gallery_at(running._file.path.parent, kind)):
            for snapshot in restored.points[n:]:
                newest = restored.now.vectors[max(restored.now.vectors)]
                for query in (random_unit(rng), newest):
                    require_right(index, snapshot, query)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gallery is due to be sealed after few changes, and is never rebuilt for them."""
    monkeypatch.setattr(module, "_REBUILD_AFTER", 3)
    monkeypatch.setattr(module, "_REBUILD_SHARE", 9.0)
    monkeypatch.setattr(module, "_SEAL_SHARE", 0.0)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("ahead", [0, 3])
def test_a_sealed_file_of_another_history_or_of_a_later_point_is_not_taken(ahead: int) -> None:
    """The running index is due, and would take the file of a process that sealed it meanwhile."""
    rng = np.random.default_rng(2)
    history = random_history(rng, 8)
    other = history.fork(len(history.points), "b") if not ahead else history
    with gallery_of("compact") as running:
        require_right(running, history.now, random_unit(rng))
        for number in range(4 + ahead):
            other.change(60 + number, random_unit(rng))
        if not ahead:
            for number in range(6):
                history.change(70 + number, random_unit(rng))
        asked = history.points[len(history.points) - 1 - ahead]
        writer = gallery_at(running._file.path.parent, "compact")
        assert writer.seal(lambda: nullcontext(other.now))
        sealed_at = running._file.header()
        assert sealed_at is not None
        assert sealed_at["revision"] == other.now.revision.number
        before = running._sealed
        require_right(running, asked, random_unit(rng))
        assert running._sealed is before, "another file was taken"
        require_right(running, history.now, random_unit(rng))
        assert (running._sealed is before) == (not ahead)
        for last in list(history.now.vectors)[-2:]:  # sealed by now, and not yet there before
            near = history.now.vectors[last]
            for snapshot in (asked, history.now, history.points[-2], history.now):
                require_right(running, snapshot, near)


@pytest.mark.usefixtures("little")
def test_a_gallery_is_due_after_so_many_changes_and_one_more() -> None:
    rng = np.random.default_rng(3)
    history = random_history(rng, 8)
    with gallery_of("compact") as index:
        require_right(index, history.now, random_unit(rng))
        for number in range(4):
            assert not index.is_due(history.now)
            history.change(80 + number, random_unit(rng))
        assert index.is_due(history.now)


@pytest.mark.parametrize("kind", KINDS)
def test_a_status_is_current_for_the_very_point_of_the_file_alone(kind: str) -> None:
    history = random_history(np.random.default_rng(4), 3)
    twin = history.fork(3, "b")
    twin.change(3, random_unit(np.random.default_rng(5)))
    with gallery_of(kind) as index:
        index.rebuild(history.now)
        states = [index.status(snapshot).state for snapshot in (history.now, twin.now)]
        assert states == ["current", "behind"], "the numbers are one, and the tokens are two"


@pytest.mark.parametrize("kind", KINDS)
def test_erased_rows_of_a_file_come_from_the_snapshot(kind: str) -> None:
    """Another process erased them, and this one is asked in a snapshot from before."""
    rng = np.random.default_rng(6)
    history = random_history(rng, 12)
    with gallery_of(kind) as writer:
        writer.rebuild(history.now)
        before, folder = history.now, writer._file.path.parent
        running = gallery_at(folder, kind)
        require_right(running, before, random_unit(rng))
        for number in (2, 5):
            history.change(number, None)
        history.change(7, random_unit(rng))
        assert gallery_at(folder, kind).sync(history.now)
        for index in (running, gallery_at(folder, kind)):
            for number in (2, 5, 7, 9):
                require_right(index, before, before.vectors[number])
            require_right(index, history.now, before.vectors[7])


@pytest.mark.parametrize("erased", [False, True])
def test_what_is_gone_leaves_the_file_also_after_a_backup_was_put_back(erased: bool) -> None:
    """The file is of the common past, or of the lost future; it may have been erased in there."""
    rng = np.random.default_rng(7)
    history = random_history(rng, 6)
    restored, voices = history.fork(len(history.points), "b"), dict(history.now.vectors)
    lost, changed = random_unit(rng), random_unit(rng)
    with gallery_of("exact") as index:
        folder = index._file.path.parent
        if not erased:
            history.change(90, lost)
        index.rebuild(history.now)
        if erased:
            history.change(2, None)
            assert gallery_at(folder, "exact").sync(history.now)
            assert files_with(folder, voices[2]) == set()
        restored.change(1, None)
        restored.change(3, changed)
        assert gallery_at(folder, "exact").sync(restored.now)
        for gone in (lost, voices[1], voices[3]):
            assert files_with(folder, gone) == set()
        for one in (index, gallery_at(folder, "exact")):
            require_right(one, restored.now, voices[2])
