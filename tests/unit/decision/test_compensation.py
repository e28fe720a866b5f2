"""What a compensation does to any vector, and that its bytes tell all of it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceid.decision import compensation as module
from voiceid.decision.compensation import Compensation
from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array

DIM = 12
REMOVED = 3
SEEDS = st.integers(0, 2**32 - 1)


def made(rng: np.random.Generator, axes: Float32Array | None = None) -> Compensation:
    """Return one that removes some directions, and that no part of the line is told by."""
    axes = axes_of(rng) if axes is None else axes
    left = np.eye(DIM) - axes @ axes.T
    return Compensation(
        weights=np.append(8.0 * left @ rng.normal(size=DIM), rng.normal()).astype(np.float32),
        means=(0.2 * rng.normal(size=(2, DIM))).astype(np.float32),
        wideband_directions=axes.T.astype(np.float32),
        telephone_directions=axes.T.astype(np.float32),
    )


def axes_of(rng: np.random.Generator) -> Float32Array:
    """Return directions (DIM, REMOVED) at right angles."""
    return np.linalg.qr(rng.normal(size=(DIM, REMOVED)))[0]


def vectors(rng: np.random.Generator, n: int = 6) -> Float32Array:
    return unit(rng.normal(size=(n, DIM)).astype(np.float32))


def by_hand(compensation: Compensation, vector: Float32Array) -> np.ndarray:
    """Return one embedding by the formula, in full precision."""
    weights, means = compensation.weights.astype(float), compensation.means.astype(float)
    x = vector.astype(float) / np.linalg.norm(vector.astype(float))
    share = 1.0 / (1.0 + np.exp(-(weights[:-1] @ x + weights[-1])))
    moved = x - (1.0 - share) * means[0] - share * means[1]
    left = moved.copy()
    for axis in compensation.wideband_directions.astype(float):
        left -= (1.0 - share) * (moved @ axis) * axis
    for axis in compensation.telephone_directions.astype(float):
        left -= share * (moved @ axis) * axis
    return left / np.linalg.norm(left)


@given(SEEDS)
def test_it_is_the_formula_and_of_unit_length(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, given_ = made(rng), vectors(rng)
    one = replace(one, wideband_directions=axes_of(rng).T[:1].astype(np.float32))
    found = one.apply(given_)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(found, [by_hand(one, v) for v in given_], atol=1e-4)


@given(SEEDS)
def test_one_vector_is_moved_as_among_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, given_ = made(rng), vectors(rng)
    np.testing.assert_allclose(one.apply(given_[2]), one.apply(given_)[2], atol=1e-5)
    stacked = one.apply(given_.reshape(2, 3, DIM))
    np.testing.assert_allclose(stacked.reshape(-1, DIM), one.apply(given_), atol=1e-5)


@given(SEEDS, st.floats(1e-3, 1e3))
def test_the_length_of_what_goes_in_does_not_matter(seed: int, length: float) -> None:
    rng = np.random.default_rng(seed)
    one, given_ = made(rng), vectors(rng)
    np.testing.assert_allclose(
        one.apply((length * given_).astype(np.float32)), one.apply(given_), atol=1e-4
    )


@given(SEEDS)
def test_what_lies_in_a_removed_direction_makes_no_difference(seed: int) -> None:
    """Two embeddings of unit length whose parts differ in the removed directions alone."""
    rng = np.random.default_rng(seed)
    axes = axes_of(rng)
    one, given_ = made(rng, axes), vectors(rng).astype(float)
    parts = given_ @ axes
    others = rng.normal(size=parts.shape)
    others *= np.linalg.norm(parts, axis=1, keepdims=True) / np.linalg.norm(
        others, axis=1, keepdims=True
    )
    moved = given_ + (others - parts) @ axes.T
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(
        one.apply(moved.astype(np.float32)), one.apply(given_.astype(np.float32)), atol=1e-4
    )
    np.testing.assert_allclose(one.apply(given_.astype(np.float32)) @ axes, 0.0, atol=1e-4)


@given(SEEDS, st.floats(-30.0, 30.0))
def test_without_means_a_step_of_any_size_in_a_removed_direction_is_taken_out(
    seed: int, step: float
) -> None:
    rng = np.random.default_rng(seed)
    axes = axes_of(rng)
    one = replace(made(rng, axes), means=np.zeros((2, DIM), np.float32))
    given_ = vectors(rng)
    moved = (given_ + step * axes[:, 0]).astype(np.float32)
    np.testing.assert_allclose(one.apply(moved), one.apply(given_), atol=2e-3)


@given(SEEDS)
def test_a_telephone_is_a_share_that_rises_along_the_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, given_ = made(rng), vectors(rng)
    shares = one.telephone(given_)
    assert shares.shape == (len(given_),)
    assert shares.dtype == np.float32
    assert np.all((shares >= 0.0) & (shares <= 1.0))
    odds = given_ @ one.weights[:-1] + one.weights[-1]
    np.testing.assert_allclose(shares, 1.0 / (1.0 + np.exp(-odds)), atol=1e-5)
    steps = np.linspace(0.0, 3.0, 7)[:, None] * one.weights[:-1] / 10.0
    assert np.all(np.diff(one.telephone((given_[0] + steps).astype(np.float32))) >= 0.0)
    away = np.abs(shares - 0.5) < 0.49  # not so near to an end that float32 shows no step
    further = one.telephone(given_ + np.float32(0.05) * one.weights[:-1])
    assert np.all(further[away] > shares[away])


@pytest.mark.parametrize(("scale", "share"), [(1e6, 1.0), (-1e6, 0.0)])
def test_odds_of_any_size_are_a_share(scale: float, share: float) -> None:
    one = replace(made(np.random.default_rng(0)), weights=np.full(DIM + 1, scale, np.float32))
    assert one.telephone(unit(np.ones((1, DIM), np.float32))).tolist() == [share]


@pytest.mark.parametrize(("odds", "line"), [(50.0, 1), (-50.0, 0)])
def test_the_mean_of_the_line_is_taken_away(odds: float, line: int) -> None:
    rng = np.random.default_rng(1)
    weights = np.append(np.zeros(DIM), odds).astype(np.float32)
    one, given_ = replace(made(rng), weights=weights), vectors(rng)
    none = np.zeros((0, DIM), np.float32)
    one = replace(one, wideband_directions=none, telephone_directions=none)
    np.testing.assert_allclose(one.apply(given_), unit(given_ - one.means[line]), atol=1e-6)


@pytest.mark.parametrize("shape", [(DIM + 1,), (DIM - 1,), (2, DIM + 1), (DIM, 2), (), (0,)])
def test_vectors_of_other_components_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="12 components"):
        made(np.random.default_rng(0)).apply(np.ones(shape, np.float32))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="no direction"):
        made(np.random.default_rng(0)).apply(np.full(DIM, bad, np.float32))


@given(SEEDS)
def test_the_bytes_tell_all_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, given_ = made(rng), vectors(rng)
    again = Compensation.from_bytes(one.to_bytes())
    assert (again.digest, again.dim) == (one.digest, DIM)
    assert again.to_bytes() == one.to_bytes()
    np.testing.assert_array_equal(again.apply(given_), one.apply(given_))
    np.testing.assert_array_equal(again.telephone(given_), one.telephone(given_))


@pytest.mark.parametrize("field", [field.name for field in fields(Compensation)])
def test_any_other_number_makes_another_digest(field: str) -> None:
    one = made(np.random.default_rng(0))
    other = getattr(one, field).copy()
    other.flat[-1] = np.nextafter(other.flat[-1], np.float32(9.0))
    assert replace(one, **{field: other}).digest != one.digest


ONE = made(np.random.default_rng(7))
GOOD = ONE.to_bytes()


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 7))
def test_a_wrong_bit_is_refused_or_changes_nothing(place: int, bit: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= 1 << bit
    try:
        found = Compensation.from_bytes(bytes(data))
    except ValueError:
        return
    assert found.digest == ONE.digest  # it hit a date, or what else no number depends on


@given(st.integers(0, len(GOOD) - 1))
def test_a_part_of_it_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        Compensation.from_bytes(GOOD[:length])


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Compensation.from_bytes(data)


def archive(**parts: object) -> bytes:
    """Return the archive of the good one with other arrays; None leaves one out."""
    arrays = {field.name: getattr(ONE, field.name) for field in fields(ONE)} | parts
    file = io.BytesIO()
    np.savez(file, **{name: part for name, part in arrays.items() if part is not None})
    return file.getvalue()


@pytest.mark.parametrize(
    "parts",
    [
        *(
            {"weights": None},
            {"means": None},
            {"wideband_directions": None},
            {"telephone_directions": None},
        ),
        {"weights": np.zeros(DIM, np.float32)},
        {"weights": np.zeros((DIM + 1, 1), np.float32)},
        {"means": np.zeros((3, DIM), np.float32)},
        {"means": np.zeros((DIM, 2), np.float32)},
        {"means": np.zeros(2 * DIM, np.float32)},
        {"telephone_directions": np.zeros((REMOVED, DIM + 1), np.float32)},
        {"telephone_directions": np.zeros((REMOVED + 1, DIM), np.float32)},
        {"telephone_directions": np.zeros((REMOVED, DIM, 1), np.float32)},
        {"telephone_directions": np.float32(1.0)},
        {"telephone_directions": np.array(["a"])},
        {"telephone_directions": np.ones((REMOVED, DIM), np.float32)},
        {"telephone_directions": np.zeros((REMOVED, DIM), np.float32)},
        *({field.name: np.nan * getattr(ONE, field.name)} for field in fields(ONE)),
        *({field.name: np.inf + getattr(ONE, field.name)} for field in fields(ONE)),
    ],
)
def test_arrays_that_are_none_of_it_are_refused(parts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Compensation.from_bytes(archive(**parts))


def test_no_object_is_unpickled() -> None:
    with pytest.raises(ValueError, match=r"."):
        Compensation.from_bytes(archive(weights=np.array([{}], dtype=object)))


def members(**contents: bytes) -> bytes:
    """Return a compressed archive of these members; the others are of the good one."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made_,
        zipfile.ZipFile(io.BytesIO(GOOD)) as good,
    ):
        for name in good.namelist():
            made_.writestr(name, contents.get(name.removesuffix(".npy"), good.read(name)))
    return file.getvalue()


def test_an_array_that_claims_more_than_memory_holds_is_refused() -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 56,)}
    )
    assert Compensation.from_bytes(members()).digest == ONE.digest
    with pytest.raises(ValueError, match=r"."):
        Compensation.from_bytes(members(weights=file.getvalue()))


@settings(max_examples=200)
@given(st.integers(30, len(members()) - 1), st.integers(0, 7))
def test_damage_of_a_compressed_archive_is_refused_too(place: int, bit: int) -> None:
    data = bytearray(members())
    data[place] ^= 1 << bit
    try:
        found = Compensation.from_bytes(bytes(data))
    except ValueError:
        return
    assert found.digest == ONE.digest


def test_an_archive_larger_than_the_bound_is_refused() -> None:
    """Also one that is small, and unpacks to more."""
    large = int(np.sqrt(module.MOST_BYTES / 4)) + 1
    zeros = {
        "weights": np.zeros(large + 1, np.float32),
        "means": np.zeros((2, large), np.float32),
        "matrix": np.zeros((large, large), np.float32),
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **zeros)
    assert len(packed.getvalue()) < module.MOST_BYTES // 100
    for data in (packed.getvalue(), archive(**zeros), archive(more=zeros["matrix"])):
        with pytest.raises(ValueError, match="larger than 16777216 bytes"):
            Compensation.from_bytes(data)


def test_the_bound_leaves_room_for_a_model_of_1024_components(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = 1024 * 1024 + 2 * 1024 + 1025
    assert 3 * 4 * numbers < module.MOST_BYTES
    monkeypatch.setattr(module, "MOST_BYTES", len(GOOD))
    assert Compensation.from_bytes(GOOD).digest == ONE.digest
    monkeypatch.setattr(module, "MOST_BYTES", len(GOOD) - 1)
    with pytest.raises(ValueError, match="larger than"):
        Compensation.from_bytes(GOOD)
