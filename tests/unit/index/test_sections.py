"""The file of an index: what was put in comes out, and no damage to it goes unseen."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceid.index import sections

FACTS = {"space": "test", "count": 3}
IDS = np.array([1, 5, 2**53 + 1], dtype=np.int64)
CODES = np.random.default_rng(1).integers(0, 256, (3, 24), dtype=np.uint8)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("sections") / "x.index").read_bytes()


def written(path: Path) -> Path:
    nothing = np.empty((0, 24), dtype=np.float32)
    sections.write(path, dict(FACTS), {"ids": IDS, "codes": CODES, "nothing": nothing})
    return path


def holds_what_was_written(path: Path) -> bool:
    facts, arrays = sections.read(path, {})
    return (
        facts == FACTS
        and arrays["ids"].tolist() == IDS.tolist()
        and arrays["codes"].tolist() == CODES.tolist()
        and arrays["nothing"].shape == (0, 24)
    )


def test_what_was_put_in_comes_out(tmp_path: Path) -> None:
    path = written(tmp_path / "x.index")
    assert holds_what_was_written(path)
    assert sections.header(path) == FACTS
    assert [p.name for p in tmp_path.iterdir()] == ["x.index"]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="x"):
        written(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bit=st.integers(0))
def test_a_flipped_bit_is_seen_or_says_nothing(good: bytes, tmp_path: Path, bit: int) -> None:
    damaged = bytearray(good)
    damaged[(bit // 8) % len(good)] ^= 1 << (bit % 8)
    path = tmp_path / "flipped.index"
    path.write_bytes(bytes(damaged))
    with contextlib.suppress(sections.Unusable):
        assert holds_what_was_written(path)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=st.integers(0), data=st.binary(max_size=50))
def test_a_cut_or_longer_file_is_no_file(
    good: bytes, tmp_path: Path, where: int, data: bytes
) -> None:
    path = tmp_path / "cut.index"
    for content in (good[: where % len(good)], good + b"x" + data, data):
        path.write_bytes(content)
        with pytest.raises(sections.Unusable):
            sections.read(path, {})


def test_another_ones_file_is_no_file(tmp_path: Path) -> None:
    path = written(tmp_path / "x.index")
    with pytest.raises(sections.Unusable, match="another"):
        sections.read(path, {"space": "other"})
    with pytest.raises(sections.Unusable):
        sections.read(tmp_path / "missing", {})
    with pytest.raises(sections.Unusable):
        sections.read(tmp_path, {})
    os.mkfifo(tmp_path / "pipe")  # no process writes into it
    with pytest.raises(sections.Unusable):
        sections.read(tmp_path / "pipe", {})


def test_rows_are_erased_in_place_and_the_sums_follow(tmp_path: Path) -> None:
    path = written(tmp_path / "x.index")
    _, before = sections.read(path, {})
    inode = path.stat().st_ino
    assert sections.erase(path, np.array([5, 6]), {"codes", "gone"}, {"count": 2}) == 1
    facts, arrays = sections.read(path, {})
    assert facts == {"space": "test", "count": 2}
    assert arrays["codes"].any(axis=1).tolist() == [True, False, True]
    assert not before["codes"][1].any(), "a process that had it open does not see it"
    assert path.stat().st_ino == inode


def test_a_row_that_lies_in_two_chunks_is_erased_with_the_sums_of_both(tmp_path: Path) -> None:
    codes, ids = np.full((9000, 300), 7, dtype=np.uint8), np.arange(9000)
    arrays = {"before": codes[:1], "ids": ids, "codes": codes}
    layout = sections._Layout({name: (a.dtype.str, a.shape) for name, a in arrays.items()})
    begins = layout.offsets["codes"] - sections._HEADER_BYTES + 300 * ids
    both = np.flatnonzero(begins // (1 << 20) != (begins + 299) // (1 << 20))
    assert len(both) == 2
    for row in both:
        sections.write(tmp_path / "x.index", {}, arrays)
        assert sections.erase(tmp_path / "x.index", ids[row : row + 1], {"codes"}, {}) == 1
        _, found = sections.read(tmp_path / "x.index", {})
        assert not found["codes"][row].any()


@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.sets(st.integers(0, 8999), max_size=9))
def test_erased_rows_of_many_chunks_leave_a_sound_file(rows: set[int], tmp_path: Path) -> None:
    path, ids = tmp_path / "large.index", np.arange(9000)
    codes = np.full((9000, 300), 7, dtype=np.uint8)
    sections.write(path, {}, {"before": codes[:1], "ids": ids, "codes": codes})
    assert sections.erase(path, np.array(sorted(rows), dtype=np.int64), {"codes"}, {}) == len(rows)
    _, arrays = sections.read(path, {})
    assert set(np.flatnonzero(~arrays["codes"].any(axis=1)).tolist()) == rows
