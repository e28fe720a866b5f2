"""Arrays are checked, and brought to float32 as a file of that type would be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sounds import RATE, decoded, encode

from voiceid.audio.arrays import to_float32
from voiceid.errors import AudioInvalid

SUBTYPES = {"int16": "PCM_16", "int32": "PCM_32"}


@pytest.mark.parametrize("dtype", SUBTYPES)
def test_integers_are_scaled_as_libsndfile_scales_them(dtype: str) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    pcm = rng.integers(info.min, info.max, 1000, dtype=dtype, endpoint=True)
    pcm[:2] = info.min, info.max
    data = encode(pcm, "WAV", subtype=SUBTYPES[dtype])
    swapped = pcm.astype(pcm.dtype.newbyteorder(">"))  # as networks send them
    for samples in (pcm, swapped):
        assert decoded((samples, RATE))[1].pcm_sha256 == decoded(data)[1].pcm_sha256


def test_unsigned_bytes_have_their_zero_at_128() -> None:
    values = to_float32(np.array([0, 128, 255], np.uint8))
    assert values.tolist() == [-1.0, 0.0, 127 / 128]


@given(hnp.arrays(st.sampled_from([np.int16, np.int32, np.uint8]), st.integers(1, 50)))
def test_integers_stay_within_full_scale(pcm: np.ndarray) -> None:
    values = to_float32(pcm)
    assert values.dtype == np.float32
    assert np.all(np.abs(values) <= 1.0)


def test_float32_is_not_copied() -> None:
    samples = np.zeros((10, 1), np.float32)
    assert to_float32(samples) is samples


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0),
        np.zeros((0, 2)),
        np.zeros((5, 0)),
        np.zeros(()),
        np.zeros((2, 2, 2)),
        np.zeros((2, 16000)),
        np.zeros((1000, 300)),
        np.zeros(10, bool),
        np.zeros(10, np.int64),
        np.zeros(10, np.uint16),
        np.zeros(10, complex),
        np.array(["a"]),
        np.array([None]),
        np.ma.masked_array(np.zeros(100), [False] * 99 + [True]),
        [[0.0, 0.1], [0.2]],
    ],
    ids=str,
)
def test_arrays_that_are_no_recording_are_invalid(array: np.ndarray) -> None:
    with pytest.raises(AudioInvalid) as caught:
        decoded((array, RATE))
    assert caught.value.hint


@pytest.mark.parametrize(
    "rate", [0, -1, 999, 768_001, 44100.5, float("nan"), float("inf"), True, None, "16000"]
)
def test_rates_that_no_recording_has_are_invalid(rate: object) -> None:
    with pytest.raises(AudioInvalid, match="sample rate"):
        decoded((np.zeros(100), rate))  # type: ignore[arg-type]


def test_a_rate_of_thousands_of_digits_is_invalid() -> None:
    with pytest.raises(AudioInvalid, match="sample rate"):
        decoded((np.zeros(100), 10**5000))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 32767.0])
def test_samples_that_cannot_be_played_are_invalid(value: float) -> None:
    with pytest.raises(AudioInvalid, match=r"at 0\.003 s"):
        decoded((np.array([0.0] * 50 + [value] * 50), RATE))


def test_one_sample_is_a_recording_if_a_short_one() -> None:
    heard, stream = decoded((np.array([0.5]), RATE))
    assert heard.tolist() == [0.5]
    assert stream.duration_s == 1 / RATE


def test_the_callers_array_is_left_as_it_was() -> None:
    samples = np.full(1000, 0.25, np.float32)
    decoded((samples, 8000))
    assert np.all(samples == 0.25)
