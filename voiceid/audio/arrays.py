"""Samples that the caller already has: checked, and converted to float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid

MAX_CHANNELS = 256

MAX_VALUES_A_S = 64 * 48_000
"""Rate times channels: 64 channels of 48 kHz, 16 of 192 kHz, 4 of 768 kHz."""

MEAN_VALUES_A_S = 8 * 48_000
"""The same for the whole recording, for each second of the longest duration allowed."""

_MIN_RATE_HZ, _MAX_RATE_HZ = 1000, 768_000
"""768 kHz is the highest rate that converters are sold with; no speech survives 1 kHz."""

_FLOAT32_BITS = 24
"""Integers of at most this many bits are exact in float32."""

_INTEGERS = (np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.uint8))


def samples_and_rate(
    samples: npt.NDArray[Any], rate: object, where: str, channels: int = 0
) -> tuple[npt.NDArray[Any], int]:
    """Check an array of shape (n,) or (n, channels) and its rate; return it as (n, channels).

    - `channels`: how many there are, if known; then there may be fewer samples than channels.
    """
    if isinstance(samples, np.ma.MaskedArray) and np.ma.is_masked(samples):
        raise AudioInvalid(
            f"{where}: some samples are masked; a recording cannot have masked samples",
            hint="Pass samples.filled(0), or cut the masked parts out.",
        )
    try:
        array = np.asarray(samples)
    except ValueError as error:  # rows of several lengths
        raise AudioInvalid(
            f"{where}: these samples are not an array: {error}",
            hint="Pass shape (samples,) or (samples, channels).",
        ) from error
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # RTP's are big-endian
    if array.dtype.kind != "f" and array.dtype not in _INTEGERS:
        raise AudioInvalid(
            f"{where}: samples of type {array.dtype} are not audio",
            hint="Pass float samples in [-1, 1], or int16, int32 or uint8.",
        )
    if array.ndim not in {1, 2} or array.size == 0:
        raise AudioInvalid(
            f"{where}: an array of shape {array.shape} is not a recording",
            hint="Pass shape (samples,) or (samples, channels), with at least one sample.",
        )
    table = array.reshape(len(array), -1)
    if table.shape[1] != channels and table.shape[1] > min(len(table), MAX_CHANNELS):
        raise AudioInvalid(
            f"{where}: an array of shape {array.shape} has more channels than samples,"
            f" or more than {MAX_CHANNELS}",
            hint="The first axis is samples, the second channels: transpose the array.",
        )
    return table, check_rate(_whole(rate, where), where)


def _whole(rate: Any, where: str) -> int:
    whole = isinstance(rate, int | np.integer) and not isinstance(rate, bool)
    if not whole and not (isinstance(rate, float | np.floating) and float(rate).is_integer()):
        raise AudioInvalid(
            f"{where}: the sample rate is {rate!r:.20}, not a whole number of hertz",
            hint="Pass (samples, rate), for example (samples, 16000).",
        )
    return int(rate)


def _short(rate_hz: int) -> str:
    """Return a rate for a message; Python writes no number of thousands of digits."""
    return str(rate_hz) if abs(rate_hz) < 10**20 else "more than 1e20"


def check_rate(rate_hz: int, where: str) -> int:
    """Return the sample rate, 1000 to 768000 Hz, or raise :class:`AudioInvalid`."""
    if not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
        raise AudioInvalid(
            f"{where} has a sample rate of {_short(rate_hz)} Hz, outside the supported range",
            hint=f"Use a rate from {_MIN_RATE_HZ} to {_MAX_RATE_HZ} Hz.",
        )
    return rate_hz


def to_float32(samples: npt.NDArray[Any]) -> Float32Array:
    """Return samples of any PCM type as float32, full scale being -1 to 1.

    Integers are divided by 2 to the power of (bits - 1), as libsndfile does, so that one
    recording has one hash whichever way it comes in.
    """
    kind = samples.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):  # too large becomes inf: refused later
            return samples.astype(np.float32, copy=False)
    bits = 8 * samples.dtype.itemsize
    scale = 2.0 ** (1 - bits)
    if bits > _FLOAT32_BITS:
        return (samples.astype(np.float64) * scale).astype(np.float32)
    zero = np.float32(2 ** (bits - 1) if kind == "u" else 0)
    return (samples.astype(np.float32) - zero) * np.float32(scale)


class ArrayDecoder:
    """Samples that are already decoded, of any PCM type; float32 is passed on without a copy."""

    def __init__(self, table: npt.NDArray[Any], sample_rate_hz: int, block_values: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.channels = int(table.shape[1])
        self.duration_hint_s: float | None = len(table) / sample_rate_hz
        self.truncated = False
        self.unheard: dict[str, str] = {}
        self._table = table
        self._step = max(1, block_values // self.channels)

    def blocks(self) -> Iterator[Float32Array]:
        """Yield blocks of shape (n, channels) float32."""
        for start in range(0, len(self._table), self._step):
            yield to_float32(self._table[start : start + self._step])

    def close(self) -> None:
        """Do nothing: the array is the caller's."""
