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


def test_a_centroid_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        centroid(np.empty((0, 4), dtype=np.float32))


@given(vectors)
def test_a_cosine_is_the_dot_product_of_unit_vectors(v: np.ndarray) -> None:
    a, b = v[0].astype(float), v[1].astype(float)
    expected = a @ b / np.sqrt((a @ a) * (b @ b))
    assert cosine(unit(v)[0], unit(v)[1]) == pytest.approx(expected, abs=1e-5)
    assert -1.0 <= cosine(unit(v)[0], unit(v)[0]) <= 1.0
