"""Files sealed piece by piece are read as plain ones are, from anywhere; and never cut."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.protection import Key, SealBroken, opening, sealed_stream, sealing
from voiceid.protection.ciphers import OVERHEAD_BYTES

KEY, PIECE = Key(b"k" * 32), 16


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed_stream, "_PIECE", PIECE)
        patch.setattr(sealed_stream, "_SEALED", PIECE + OVERHEAD_BYTES)
        yield


def sealed(parts: list[bytes], head: bytes = b"") -> bytes:
    file = io.BytesIO(head)
    file.seek(0, os.SEEK_END)
    with sealing(file, KEY, "a", 1) as into:
        for part in parts:
            into.write(part)
    return file.getvalue()


@given(
    parts=st.lists(st.binary(max_size=40), max_size=4),
    moves=st.lists(
        st.tuples(st.integers(0, 90), st.sampled_from([0, 2]), st.integers(-1, 40)), max_size=6
    ),
)
def test_it_is_read_as_a_plain_file_is(
    parts: list[bytes], moves: list[tuple[int, int, int]]
) -> None:
    plain = io.BytesIO(b"".join(parts))
    file = io.BytesIO(sealed(parts, b"head"))
    file.seek(4)
    opened = opening(file, KEY, "a", 1)
    for offset, whence, size in moves:
        where = -min(offset, len(plain.getvalue())) if whence == os.SEEK_END else offset
        assert opened.seek(where, whence) == plain.seek(where, whence)
        assert opened.read(size) == plain.read(size)
        assert opened.tell() == plain.tell()


@given(data=st.binary(max_size=70), cut=st.integers(0, 10**6), more=st.binary(max_size=60))
def test_no_other_end_opens(data: bytes, cut: int, more: bytes) -> None:
    whole = sealed([data])
    cut %= len(whole)
    pieces = [whole[:cut], whole[:cut] + more, whole + whole[-(PIECE + OVERHEAD_BYTES) :]]
    for broken in (piece for piece in pieces if piece != whole):
        with pytest.raises(SealBroken):
            opening(io.BytesIO(broken), KEY, "a", 1).read()
    for context in (("a", 2), ("b", 1), ("a",)):
        with pytest.raises(SealBroken):
            opening(io.BytesIO(whole), KEY, *context).read()
