"""The secret rotation keeps cosines, and nothing else that two galleries could be matched by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from voiceid.protection import Key, rotation

KEY = Key(bytes(range(32)))


@settings(deadline=None, max_examples=20)
@given(secret=st.binary(min_size=32, max_size=32), dim=st.integers(1, 256))
def test_it_is_orthogonal(secret: bytes, dim: int) -> None:
    matrix = rotation(Key(secret), "space", dim)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(dim), atol=1e-12)


def test_cosines_stay_to_the_rounding_of_float32() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((200, 192))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    turned = (vectors @ rotation(KEY, "space", 192)).astype(np.float32)
    turned, vectors = turned.astype(np.float64), vectors.astype(np.float64)
    np.testing.assert_allclose(turned @ turned.T, vectors @ vectors.T, atol=1e-7)


def test_it_is_the_same_on_every_machine() -> None:
    # Made once in plain Python: SHAKE256, Box and Muller, and Gram and Schmidt for the QR.
    expected = [
        [0.9196667823513202, -0.3926996427800391],
        [0.39269964278003794, 0.9196667823513197],
    ]
    np.testing.assert_allclose(rotation(KEY, "space", 2), expected, atol=1e-12)


def test_one_voice_in_two_galleries_is_as_far_apart_as_two_voices() -> None:
    rng, dim = np.random.default_rng(2), 192
    vectors = rng.standard_normal((400, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    here, there = (vectors @ rotation(Key.new(), "space", dim) for _ in range(2))
    same = np.einsum("nd,nd->n", here, there)
    other = np.einsum("nd,nd->n", here, np.roll(there, 1, axis=0))
    assert abs(same).max() < 0.4  # of one gallery: 1
    assert kstest(same * np.sqrt(dim), other * np.sqrt(dim)).pvalue > 1e-4


def test_every_direction_is_as_likely() -> None:
    entries = np.concatenate(
        [rotation(Key(bytes([i] * 32)), "space", 24).ravel() for i in range(40)]
    )
    assert entries.mean() == pytest.approx(0, abs=0.006)
    assert entries.var() == pytest.approx(1 / 24, rel=0.05)
    firsts = [rotation(Key(bytes([i] * 32)), "space", 3)[0, 0] for i in range(200)]
    assert kstest(firsts, "uniform", args=(-1, 2)).pvalue > 1e-4  # on a sphere in three dimensions


def test_a_key_or_a_space_makes_another() -> None:
    first = rotation(KEY, "space", 24)
    assert np.array_equal(first, rotation(KEY, "space", 24))
    assert abs(first - rotation(KEY, "other", 24)).max() > 0.1
    assert abs(first - rotation(Key.new(), "space", 24)).max() > 0.1
