"""Sealing: what was changed, moved or is of another key does not open."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.protection import Key, SealBroken
from voiceid.protection.ciphers import OVERHEAD_BYTES

KEY = Key(bytes(range(32)))


@given(data=st.binary(max_size=300), flipped=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_and_no_cut_opens(data: bytes, flipped: int, bit: int) -> None:
    sealed = KEY.seal(data, "column", 7)
    assert len(sealed) == len(data) + OVERHEAD_BYTES
    assert KEY.open(sealed, "column", 7) == data
    changed = bytearray(sealed)
    changed[flipped % len(sealed)] ^= 1 << bit
    for broken in (bytes(changed), sealed[:-1], sealed + b"x", b""):
        with pytest.raises(SealBroken):
            KEY.open(broken, "column", 7)


@pytest.mark.parametrize("context", [("column", 8), ("column",), ("colum", "n7"), ("column", "7")])
def test_what_is_sealed_in_one_place_does_not_open_in_another(context: tuple[object, ...]) -> None:
    sealed = KEY.seal(b"voice", "column", 7)
    with pytest.raises(SealBroken):
        KEY.open(sealed, *context)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealBroken):
        Key.new().open(KEY.seal(b"voice"))


def test_the_same_is_never_sealed_alike() -> None:
    assert KEY.seal(b"voice") != KEY.seal(b"voice")


def test_a_wrapped_key_opens_what_it_sealed() -> None:
    inner = Key.new()
    sealed = inner.seal(b"voice")
    assert KEY.unwrap(KEY.wrap(inner, 3), 3).open(sealed) == b"voice"


def test_a_digest_is_hmac_sha256_of_the_content_as_python_writes_it() -> None:
    expected = hmac.new(KEY.secret, b"('name', 'alice')", hashlib.sha256).digest()
    assert KEY.digest("name", "alice") == expected


def test_a_key_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, but this one has 5"):
        Key(b"short")
