"""Vector arithmetic against NumPy written out, over random vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voiceid.decision.embeddings import centroid, cosine, unit

vectors = arrays(
    np.float32,
    st.tuples(st.integers(2, 6), st.integers(2, 8)),
    elements=st.floats(-1e3, 1e3, width=32).filter(lambda x: abs(x) > 1e-3),
)


@given(vectors)
def test_unit_vectors_have_length_one_and_keep_their_direction(v: np.ndarray) -> None:
    u = unit(v)
    assert u.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(u * np.linalg.norm(v, axis=1, keepdims=True), v, rtol=1e-4)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="no direction"):
        unit(np.full(4, bad, dtype=np.float32))


@given(vectors, st.floats(0.01, 100.0))
def test_loudness_does_not_weigh_in_a_centroid(v: np.ndarray, gain: float) -> None:
    louder = v.copy()
    louder[0] *= gain
    try:
        expected = centroid(v)
    except ValueError:  # opposite vectors cancel out
        return
    np.testing.assert_allclose(centroid(louder), expected, atol=2e-3)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_samples_of_both_bands_weigh_the_same_however_many(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    v = (rng.normal(size=6) + 0.3 * rng.normal(size=(n + m, 6))).astype(np.float32)
    narrow = rng.permutation(np.arange(n + m) < n)
    means = [
        unit(unit(v[rows]).astype(np.float64).mean(axis=0, keepdims=True))[0]
        for rows in (narrow, ~narrow)
    ]
    found = centroid(v, narrow)
    np.testing.assert_allclose(found, unit((means[0] + means[1]) / 2), atol=1e-5)
    assert cosine(found, means[0]) == pytest.approx(cosine(found, means[1]), abs=1e-5)
    np.testing.assert_allclose(centroid(v, ~narrow), found, atol=1e-6)


@pytest.mark.parametrize("narrowband", [True, False])
def test_samples_of_one_band_are_averaged_as_they_are(narrowband: bool) -> None:
    v = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    np.testing.assert_array_equal(centroid(v, np.full(5, narrowband)), centroid(v))


def test_a_centroid_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        centroid(np.empty((0, 4), dtype=np.float32))


@given(vectors)
def test_a_cosine_is_the_dot_product_of_unit_vectors(v: np.ndarray) -> None:
    a, b = v[0].astype(float), v[1].astype(float)
    expected = a @ b / np.sqrt((a @ a) * (b @ b))
    assert cosine(unit(v)[0], unit(v)[1]) == pytest.approx(expected, abs=1e-5)
    assert -1.0 <= cosine(unit(v)[0], unit(v)[0]) <= 1.0
