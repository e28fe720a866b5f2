"""What a fitted transform does to vectors, and that its bytes tell all of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceid.decision.embeddings import unit
from voiceid.decision.transforms import AdaptationRefused, Candidate, Transform, fit

DIM = 12


def voices(
    seed: int, speakers: int = 8, samples: int = 6, dim: int = DIM
) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of speakers who share a mean and an uneven noise, and whose they are."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(speakers), samples)
    own = rng.standard_normal((speakers, dim))[who]
    noise = rng.standard_normal((len(who), dim)) * np.linspace(0.1, 1.0, dim)
    return unit((own + noise + 2.0 * np.ones(dim)).astype(np.float32)), who


def within(vectors: np.ndarray, who: np.ndarray) -> np.ndarray:
    """Return the mean of the speakers' covariances, as NumPy has them."""
    return np.mean([np.cov(vectors[who == s].T.astype(float)) for s in np.unique(who)], axis=0)


candidates = st.sampled_from(
    [Candidate("none"), Candidate("centring"), Candidate("wccn", 0.3), Candidate("wccn", 1.0)]
)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), candidates)
def test_what_comes_out_has_unit_length_and_is_what_the_bytes_say(
    seed: int, candidate: Candidate
) -> None:
    vectors, who = voices(seed)
    transform = fit(vectors, who, method=candidate.method, shrinkage=candidate.shrinkage)
    moved = transform.apply(vectors)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1.0, atol=1e-6)
    again = Transform.from_bytes(transform.to_bytes())
    assert again.digest == transform.digest
    np.testing.assert_array_equal(again.apply(vectors), moved)
    assert (again.method, again.shrinkage) == (transform.method, transform.shrinkage)
    assert (again.n_speakers, again.n_samples) == (8, 48)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_wccn_whitens_the_covariance_within_speakers(seed: int) -> None:
    vectors, who = voices(seed, speakers=10, samples=12)
    matrix = fit(vectors, who, method="wccn", shrinkage=0.0).matrix.astype(float)
    whitened = matrix.T @ within(vectors, who) @ matrix
    scale = np.trace(whitened) / DIM
    np.testing.assert_allclose(whitened / scale, np.eye(DIM), atol=2e-3)


@pytest.mark.parametrize("shrinkage", [0.2, 0.8])
def test_a_shrunk_covariance_is_the_formula_s(shrinkage: float) -> None:
    vectors, who = voices(1)
    covariance = within(vectors, who)
    scale = np.trace(covariance) / DIM
    shrunk = (1 - shrinkage) * covariance + shrinkage * scale * np.eye(DIM)
    matrix = fit(vectors, who, method="wccn", shrinkage=shrinkage).matrix.astype(float)
    np.testing.assert_allclose(matrix @ matrix, np.linalg.inv(shrunk) * scale, rtol=1e-3, atol=1e-4)


def test_at_full_shrinkage_wccn_is_centring() -> None:
    vectors, who = voices(2)
    full = fit(vectors, who, method="wccn", shrinkage=1.0).apply(vectors)
    np.testing.assert_allclose(full, fit(vectors, who, method="centring").apply(vectors), atol=1e-6)


def test_none_changes_nothing() -> None:
    vectors, who = voices(3)
    np.testing.assert_allclose(fit(vectors, who, method="none").apply(vectors), vectors, atol=1e-6)


def test_a_speaker_weighs_the_same_whatever_the_number_of_their_samples() -> None:
    vectors, who = voices(4)
    # Twice the same samples are the same mean, and nearly the same covariance.
    mine = who == 0
    more = np.concatenate([vectors, *[vectors[mine]] * 20])
    theirs = np.concatenate([who, *[who[mine]] * 20])
    one = fit(vectors, who, method="centring").mean
    np.testing.assert_allclose(fit(more, theirs, method="centring").mean, one, atol=1e-6)


def test_the_mean_of_a_site_is_taken_out_and_that_of_its_few_speakers_is_not() -> None:
    rng = np.random.default_rng(5)
    own = np.repeat(rng.standard_normal((10, 64)), 3, axis=0)
    who = np.repeat(np.arange(10), 3)
    shared = 3.0 * rng.standard_normal(64)
    there = unit((own + shared).astype(np.float32))
    chance = unit(own.astype(np.float32))
    kept = fit(there, who, method="centring").mean
    assert np.linalg.norm(kept) > 0.9 * np.linalg.norm(there.mean(axis=0))
    dropped = fit(chance, who, method="centring").mean
    assert np.linalg.norm(dropped) < 0.5 * np.linalg.norm(chance.mean(axis=0))


def test_names_of_speakers_and_their_order_do_not_matter() -> None:
    vectors, who = voices(6)
    order = np.random.default_rng(0).permutation(len(who))
    one = fit(vectors, who, method="wccn", shrinkage=0.5)
    other = fit(vectors[order], [f"s{i}" for i in who[order]], method="wccn", shrinkage=0.5)
    np.testing.assert_allclose(other.matrix, one.matrix, atol=1e-4)
    np.testing.assert_allclose(other.mean, one.mean, atol=1e-6)


def test_what_was_fitted_otherwise_has_another_digest() -> None:
    vectors, who = voices(7)
    fitted = [fit(vectors, who, method="wccn", shrinkage=s) for s in (0.3, 0.5, 0.5)]
    assert fitted[0].digest != fitted[1].digest == fitted[2].digest


@pytest.mark.parametrize("method", ["", "lda", "WCCN"])
def test_another_method_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="no method"):
        fit(*voices(0), method=method)


@pytest.mark.parametrize("shrinkage", [-0.1, 1.1, np.nan])
def test_a_shrinkage_that_is_no_share_is_refused(shrinkage: float) -> None:
    with pytest.raises(ValueError, match="shrinkage"):
        fit(*voices(0), method="wccn", shrinkage=shrinkage)


def test_too_few_samples_for_a_shrinkage_of_zero_are_refused() -> None:
    with pytest.raises(AdaptationRefused, match="do not span 12 dimensions"):
        fit(*voices(0, speakers=3, samples=2), method="wccn", shrinkage=0.0)


def test_single_samples_and_copies_tell_nothing_of_what_varies_in_a_voice() -> None:
    vectors, _ = voices(0)
    with pytest.raises(AdaptationRefused, match="no speaker has two samples that differ"):
        fit(vectors, np.arange(len(vectors)), method="wccn", shrinkage=0.5)
    copies = np.repeat(vectors[:5], 2, axis=0)
    with pytest.raises(AdaptationRefused, match="differ"):
        fit(copies, np.repeat(np.arange(5), 2), method="wccn", shrinkage=0.5)


def test_vectors_of_another_dimension_are_refused() -> None:
    transform = fit(*voices(0), method="centring")
    with pytest.raises(ValueError, match="12 components"):
        transform.apply(np.ones((2, DIM + 1), np.float32))


GOOD = fit(*voices(0), method="wccn", shrinkage=0.5).to_bytes()


@given(st.integers(0, len(GOOD)))
def test_a_part_of_a_transform_is_refused(length: int) -> None:
    if length < len(GOOD):
        with pytest.raises(ValueError, match="transform"):
            Transform.from_bytes(GOOD[:length])


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    for candidate in (data, GOOD[:20] + data, GOOD + data + b"\0"):
        with pytest.raises(ValueError, match="transform"):
            Transform.from_bytes(candidate)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"wccn"', b'"lda"'),
        (b'"shrinkage": 0.5', b'"shrinkage": 5.0'),
        (b'"shrinkage": 0.5', b'"shrinkage": NaN'),
        (b'"dim": 12', b'"dim": 13'),
        (b'"dim": 12', b'"dim": -1'),
        (b'"dim": 12', b'"dim": 1e400'),
        (b'"dim": 12', b'"dim": 99999999999999999999'),
        (b'"dim": 12', b'"dim": "12"'),
        (b'"dim": 12', b'"dim": 12, "more": 1'),
        (b"{", b"[" * 100_000 + b"{"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(ValueError, match="transform"):
        Transform.from_bytes(GOOD.replace(old, new, 1))


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        Transform.from_bytes(GOOD[:-4] + np.float32(np.nan).tobytes())
